import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createOutbox } from '../outside/outbox.ts';
import type { Store } from '../outside/store.ts';
import type { IntegrityKind } from '../realtime/voice.ts';

/**
 * Tells the database what the guard saw, kind by kind and counted (outbox.ts). Sightings that come during a request are
 * counted together in the next one. A count whose answer was lost is sent twice, which only makes it larger.
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
