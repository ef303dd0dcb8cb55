import type { Directive } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { type Beat, beatKey, type MachineStore } from '../database/machine-store.ts';
import type { LeaseWatch } from '../fleet/lease-watch.ts';

/**
 * Collects heartbeats and writes them in one batch, at most once per `flushMs`. Each heartbeat is answered when
 * its batch has been written. The first one after a pause is written at once, so that a single worker does not
 * wait for its directive.
 */
export interface Heartbeats {
  /** Rejects if the batch could not be written. The worker's lease is then not renewed. */
  record(beat: Beat): Promise<Directive>;
  /** Writes the waiting heartbeats now. */
  flush(): Promise<void>;
}

interface Waiting {
  beat: Beat;
  /** Monotonic ms. */
  sinceMs: number;
  resolve(directive: Directive): void;
  reject(error: unknown): void;
}

export interface HeartbeatsDeps {
  machines: Pick<MachineStore, 'recordHeartbeats'>;
  clock: Clock;
  flushMs: number;
  /** Called after each batch, with whether it could be written. */
  leases?: Pick<LeaseWatch, 'able' | 'unable'>;
}

/** The steps in `phases` were reported as ages. While the heartbeat waits for its batch, they grow older. */
function aged({ phases, ...beat }: Beat, waitedMs: number): Beat {
  if (phases === undefined) return beat;
  const { edge_wait, ...ages } = phases;
  const older = Object.entries(ages).map(([step, ageMs = 0]) => [step, ageMs + waitedMs]);
  return { ...beat, phases: { edge_wait, ...Object.fromEntries(older) } };
}

export function createHeartbeats({ machines, clock, flushMs, leases }: HeartbeatsDeps): Heartbeats {
  let waiting: Waiting[] = [];
  let timer: Timer | undefined;
  let lastFlushMs = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();

  const write = async (batch: Waiting[]): Promise<void> => {
    try {
      // If a machine sent several heartbeats, the last one counts.
      const nowMs = clock.monotonicMs();
      const beats = [
        ...new Map(batch.map(({ beat, sinceMs }) => [beatKey(beat), aged(beat, nowMs - sinceMs)])).values(),
      ];
      const directives = await machines.recordHeartbeats(beats);
      leases?.able();
      for (const { beat, resolve } of batch) resolve(directives.get(beatKey(beat)) ?? { kind: 'fenced' });
    } catch (error) {
      leases?.unable();
      for (const { reject } of batch) reject(error);
    }
  };

  const flush = (): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    if (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      lastFlushMs = clock.monotonicMs();
      writing = writing.then(() => write(batch));
    }
    return writing;
  };

  return {
    flush,
    record: (beat) =>
      new Promise((resolve, reject) => {
        waiting.push({ beat, sinceMs: clock.monotonicMs(), resolve, reject });
        const dueMs = Math.max(0, lastFlushMs + flushMs - clock.monotonicMs());
        timer ??= clock.setTimer(() => void flush(), dueMs);
      }),
  };
}
