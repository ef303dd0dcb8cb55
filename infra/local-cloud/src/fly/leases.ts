/**
 * Leases: while a machine has one, mutating calls without its nonce are refused. An expired lease has no
 * effect.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { apiError, leaseHeld } from './api-error.ts';
import type { Lease, Machine, State } from './state.ts';

const DEFAULT_TTL_S = 30;

export interface Leases {
  current(machine: Machine): Lease | undefined;
  /** Takes the lease, or refreshes it for the holder of `nonce`. Throws 409 for any other caller. */
  acquire(machine: Machine, request: { ttlS?: number; description?: string }, nonce: string | undefined): Lease;
  release(machine: Machine, nonce: string | undefined): void;
  /** Throws 409 unless the machine is free or `nonce` holds it. */
  check(machine: Machine, nonce: string | undefined): void;
}

export const leaseView = (lease: Lease) => ({
  nonce: lease.nonce,
  expires_at: Math.floor(lease.expiresAtMs / 1_000),
  owner: lease.owner,
  description: lease.description,
  version: lease.version,
});

export function createLeases(state: State, clock: Clock): Leases {
  const owner = `${randomUUID()}@tokens.fly.io`;

  function current(machine: Machine): Lease | undefined {
    if (machine.lease && machine.lease.expiresAtMs <= clock.now()) machine.lease = undefined;
    return machine.lease;
  }

  function check(machine: Machine, nonce: string | undefined): void {
    const lease = current(machine);
    if (lease && lease.nonce !== nonce) throw leaseHeld(machine.id, lease.owner, lease.expiresAtMs);
  }

  return {
    current,
    check,
    acquire: (machine, { ttlS = DEFAULT_TTL_S, description = '' }, nonce) => {
      check(machine, nonce);
      const held = current(machine);
      machine.lease = {
        nonce: held?.nonce ?? randomBytes(6).toString('hex'),
        owner,
        description: description || (held?.description ?? ''),
        expiresAtMs: clock.now() + ttlS * 1_000,
        version: machine.instanceId,
      };
      state.touch(machine);
      return machine.lease;
    },
    release: (machine, nonce) => {
      if (!current(machine)) throw apiError(404, 'lease not found');
      check(machine, nonce);
      machine.lease = undefined;
      state.touch(machine);
    },
  };
}
