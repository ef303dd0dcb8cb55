import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Store } from '../outside/store.ts';
import type { IntegrityKind } from './guard.ts';

/**
 * Tells the database what the guard saw, kind by kind and counted. One request at a time: what comes meanwhile is the next
 * request's count, so a flood costs no more than a drop. Tried until it is in; a count whose answer was lost is told twice,
 * which only makes it larger.
 */
export interface Flags {
  add(kind: IntegrityKind): void;
  /** Resolves when nothing is left to tell; rejects with the signal's reason. */
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

export function createFlags({ clock, log, flag, onFenced, random = Math.random }: FlagsDeps): Flags {
  const counts = new Map<IntegrityKind, number>();
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const tell = async (kind: IntegrityKind, count: number): Promise<'told' | 'again'> => {
    const result = await flag(kind, count);
    if (result.kind === 'fenced') {
      stopping.abort(new Error('fenced'));
      onFenced();
    }
    if (result.kind !== 'unavailable') return 'told';
    log.warn({ error: result.error, kind, count }, 'an integrity flag did not reach the database');
    return 'again';
  };
  const run = async () => {
    for (let attempt = 0; counts.size > 0 && !stopping.signal.aborted; ) {
      const [kind, count] = counts.entries().next().value as [IntegrityKind, number];
      counts.delete(kind);
      if ((await tell(kind, count)) === 'told') {
        attempt = 0;
        continue;
      }
      counts.set(kind, (counts.get(kind) ?? 0) + count);
      const delayMs = 100 + backoffMs(attempt, { baseMs: 200, maxMs: 5_000, random });
      attempt += 1;
      await clock.sleep(delayMs, stopping.signal).catch(() => undefined);
    }
  };
  const wake = () => {
    running ??= run().finally(() => {
      running = undefined;
      if (counts.size > 0 && !stopping.signal.aborted) wake();
    });
  };

  return {
    add: (kind) => {
      if (stopping.signal.aborted) return;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      wake();
    },
    flush: async (signal) => {
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      aborted.catch(() => undefined);
      while (running) await Promise.race([running, aborted]);
    },
    stop: () => stopping.abort(new Error('the flags have stopped')),
  };
}
