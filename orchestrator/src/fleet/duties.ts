import { createHash } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Duty } from '../database/machine-store.ts';

/**
 * Which regular work is this orchestrator's just now.
 *
 * D1  A duty is held until a whole lease after the request that renewed it was sent, on our own monotonic clock: shorter
 *     than the database's lease, never longer. A database that is away therefore ends every duty by itself.
 * D2  What is done on duty carries its fence to the database, which refuses an outdated one: a process that was frozen in
 *     the middle of its work harms nothing when it wakes up.
 * D3  Giving everything back is the first thing a stopping orchestrator does, so that nobody waits for its leases.
 */
export interface Duties {
  /** Renews what is held and takes a fair share of what is free. Throws when the database is away. */
  renew(): Promise<void>;
  /** The duties of this kind that are ours now: `reconcile` for `reconcile:0`, `reconcile:1`, … */
  held(kind: string): Duty[];
  /** D3. Afterwards nothing is held or taken. */
  giveBack(): Promise<void>;
}

export interface DutiesDeps {
  store: { keepDuties(names: string[], leaseMs: number, draining: boolean): Promise<Duty[]> };
  names: string[];
  leaseMs: number;
  clock: Clock;
  logger: Logger;
}

/** Apps are spread over this many duties. */
const shards = 4;

/** The duty under which an app's machines are reconciled. */
export const dutyOfApp = (app: string): string =>
  `reconcile:${createHash('sha256').update(app).digest().readUInt32BE() % shards}`;

export const dutyNames = [...Array.from({ length: shards }, (_, n) => `reconcile:${n}`), 'housekeeping'];

const kindOf = (name: string): string => name.split(':')[0] as string;

export function createDuties({ store, names, leaseMs, clock, logger }: DutiesDeps): Duties {
  let held = new Map<string, Duty & { untilMs: number }>();
  let stopped = false;

  const report = (duties: Duty[]): void => {
    for (const duty of duties)
      if (held.get(duty.name)?.fence !== duty.fence) logger.info({ name: duty.name, count: duty.fence }, 'duty taken');
  };

  const keep = async (draining: boolean): Promise<void> => {
    const untilMs = clock.monotonicMs() + leaseMs; // D1
    const duties = await store.keepDuties(names, leaseMs, draining);
    if (stopped && !draining) return;
    report(duties);
    held = new Map(duties.map((duty) => [duty.name, { ...duty, untilMs }]));
  };

  return {
    renew: async () => {
      if (!stopped) await keep(false);
    },
    held: (kind) =>
      [...held.values()]
        .filter((duty) => kindOf(duty.name) === kind && duty.untilMs > clock.monotonicMs())
        .map(({ name, fence }) => ({ name, fence })),
    giveBack: async () => {
      stopped = true;
      held = new Map();
      await keep(true);
    },
  };
}
