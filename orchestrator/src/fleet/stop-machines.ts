import type { EndResult } from '../database/session-store.ts';
import type { FlyClient } from '../fly/client.ts';
import type { Endings } from './ending.ts';

export interface StopMachinesDeps {
  endings: Pick<Endings, 'destroy'>;
  fly: Pick<FlyClient, 'stop'>;
  /** How long Fly waits for a worker to exit before it kills the machine. */
  stopTimeoutMs: number;
}

/** Machines of a session whose end was requested. */
export type MachinesOfEnd = Extract<EndResult, { kind: 'accepted' }>['machines'];

/**
 * Returns a function that stops the machines of an ended session. A worker that serves the session is told by its
 * next directive; Fly's stop makes it ask for that at once. Other machines are destroyed.
 */
export const createMachineStopper =
  ({ endings, fly, stopTimeoutMs }: StopMachinesDeps) =>
  /** @param evidence why the machines are stopped; it is logged */
  (machines: MachinesOfEnd, evidence: string): void => {
    for (const { machine_id, app_name, fly_machine_id, state } of machines) {
      if (fly_machine_id === null) continue;
      if (state === 'destroying') endings.destroy({ machine_id, app_name, fly_machine_id }, 'session_gone', evidence);
      else void fly.stop(app_name, fly_machine_id, 'SIGTERM', `${Math.ceil(stopTimeoutMs / 1_000)}s`);
    }
  };
