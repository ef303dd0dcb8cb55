import type { MachineStore } from '../database/machine-store.ts';
import type { SessionStore } from '../database/session-store.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { HangUps } from '../voice/hang-up.ts';
import type { Duties } from './duties.ts';

/**
 * Periodic clean-up that belongs to no single component: ends sessions that expired, settles sessions that a
 * crash left without a machine, and hangs up calls that were left open. One orchestrator does it at a time; it
 * would be safe if several did.
 */
export interface Housekeeping {
  run(): Promise<void>;
}

export interface HousekeepingDeps {
  duties: Pick<Duties, 'held'>;
  machines: Pick<MachineStore, 'settle'>;
  sessions: Pick<SessionStore, 'expire'>;
  hangUps: HangUps;
  onChange: (sessionId: string) => void;
}

export function createHousekeeping({ duties, machines, sessions, hangUps, onChange }: HousekeepingDeps): Housekeeping {
  return {
    run: async () => {
      const [duty] = duties.held('housekeeping');
      if (duty === undefined) return;
      for (const id of await sessions.expire()) onChange(id);
      crashPoint('housekeeping.expired');
      for (const id of await machines.settle({ duty })) onChange(id);
      await hangUps.run();
    },
  };
}
