import { createHash } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Duty } from '../database/machine-store.ts';

/**
 * Which periodic work this orchestrator does at present.
 *
 * - A duty is held for one lease, counted on our own monotonic clock from when the renewal was sent. The
 *   database counts from when it received the renewal, so we never hold a duty longer than the database says.
 *   If the database does not answer, every duty ends by itself.
 * - Writes made on duty carry its fencing number, and the database refuses an outdated one: a process that was
 *   frozen in the middle of its work does no harm when it continues.
 * - A stopping orchestrator first gives back its duties, so that others do not wait for its leases to expire.
 */
export interface Duties {
  /** Renews the duties held and takes a fair share of the free ones. Throws if the database does not answer. */
  renew(): Promise<void>;
  /** The duties of this kind held now. `reconcile` is the kind of `reconcile:0`, `reconcile:1`, … */
  held(kind: string): Duty[];
  /** Gives back all duties and takes none from then on. */
  giveBack(): Promise<void>;
}

export interface DutiesDeps {
  store: { keepDuties(names: string[], leaseMs: number, draining: boolean): Promise<Duty[]> };
  names: string[];
  leaseMs: number;
  clock: Clock;
  logger: Logger;
}

/** Number of duties over which apps are spread. */
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
    const untilMs = clock.monotonicMs() + leaseMs; // Read before the request is sent.
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
