import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createOutbox } from '../outside/outbox.ts';
import type { Store } from '../outside/store.ts';
import type { IntegrityKind } from '../realtime/voice.ts';

/**
 * Reports to the database what the guard detected, as a count per kind (outbox.ts). Detections during a
 * request are added up and sent in the next one. If an answer is lost, its count is sent twice: the total may
 * then be too large, never too small.
 */
export interface Flags {
  add(kind: IntegrityKind): void;
  /** Resolves when every flag is stored; rejects with the signal's reason. */
  flush(signal: AbortSignal): Promise<void>;
  stop(): void;
}

export interface FlagsDeps {
  clock: Clock;
  log: Logger;
  flag: Store['flag'];
  onFenced(): void;
  random?: () => number;
}

interface Sighting {
  kind: IntegrityKind;
  count: number;
}

export function createFlags({ clock, log, flag, onFenced, random }: FlagsDeps): Flags {
  const outbox = createOutbox<Sighting>({
    ...{ clock, log, random, onFenced },
    kind: 'integrity flag',
    keyOf: ({ kind }) => kind,
    merge: (older, newer) => ({ kind: newer.kind, count: older.count + newer.count }),
    send: ([sighting]) =>
      sighting ? flag(sighting.kind, sighting.count) : Promise.resolve({ kind: 'ok', value: null }),
  });
  return {
    add: (kind) => void outbox.add({ kind, count: 1 }),
    flush: outbox.flush,
    stop: outbox.stop,
  };
}
