import type { Directive } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { type Beat, beatKey, type MachineStore } from '../database/machine-store.ts';
import type { LeaseWatch } from '../fleet/lease-watch.ts';

/**
 * Collects heartbeats and writes them in one batch, at most once per `flushMs`; each answers when its batch is written.
 * The first after a pause is written at once: a lone worker that asks for its directive does not wait.
 */
export interface Heartbeats {
  /** Throws when the batch could not be written: the worker's lease is not renewed then. */
  record(beat: Beat): Promise<Directive>;
  /** Writes what is waiting, now. */
  flush(): Promise<void>;
}

interface Waiting {
  beat: Beat;
  resolve(directive: Directive): void;
  reject(error: unknown): void;
}

export interface HeartbeatsDeps {
  machines: Pick<MachineStore, 'recordHeartbeats'>;
  clock: Clock;
  flushMs: number;
  /** Told of what was stored and what was not. */
  leases?: Pick<LeaseWatch, 'able' | 'unable'>;
}

export function createHeartbeats({ machines, clock, flushMs, leases }: HeartbeatsDeps): Heartbeats {
  let waiting: Waiting[] = [];
  let timer: Timer | undefined;
  let lastFlushMs = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();

  const write = async (batch: Waiting[]): Promise<void> => {
    try {
      // The last word of a machine counts.
      const beats = [...new Map(batch.map(({ beat }) => [beatKey(beat), beat])).values()];
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
        waiting.push({ beat, resolve, reject });
        const dueMs = Math.max(0, lastFlushMs + flushMs - clock.monotonicMs());
        timer ??= clock.setTimer(() => void flush(), dueMs);
      }),
  };
}
