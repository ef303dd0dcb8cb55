import type { MachineStore } from '../database/machine-store.ts';
import type { SessionStore } from '../database/session-store.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { HangUps } from '../voice/hang-up.ts';
import type { Duties } from './duties.ts';

/**
 * What nobody in particular is there for: sessions that nobody used, sessions that a crash left without a machine, calls
 * that nobody hung up. One orchestrator does it; each part of it alone would also be safe on several.
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
