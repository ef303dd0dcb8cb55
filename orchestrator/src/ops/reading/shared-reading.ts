import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * A reading of which many clients need the same answer. Those who ask while it is under way, or until `freshMs` after its start,
 * share it. A failed reading is not kept.
 */
export function createSharedReading<T>(
  read: () => Promise<T>,
  { clock, freshMs }: { clock: Pick<Clock, 'monotonicMs'>; freshMs: number },
): () => Promise<T> {
  let last: { startedMs: number; answer: Promise<T> } | undefined;
  return () => {
    if (last !== undefined && clock.monotonicMs() - last.startedMs < freshMs) return last.answer;
    const mine = { startedMs: clock.monotonicMs(), answer: read() };
    last = mine;
    mine.answer.catch(() => {
      if (last === mine) last = undefined;
    });
    return mine.answer;
  };
}
