/** A live timeline. It prints a line per event with the milliseconds since the start, and keeps the first time of each step. */
export interface Timeline {
  mark(step: string, detail?: string): void;
  /** Milliseconds until the first mark of a step; null if it never happened. */
  at(step: string): number | null;
}

/** @param print receives each line as it happens. */
export function createTimeline(print: (line: string) => void, now: () => number = () => performance.now()): Timeline {
  const startedMs = now();
  const first = new Map<string, number>();
  return {
    mark: (step, detail = '') => {
      const elapsedMs = Math.round(now() - startedMs);
      if (!first.has(step)) first.set(step, elapsedMs);
      print(`${String(elapsedMs).padStart(7)} ms  ${step.padEnd(22)} ${detail}`.trimEnd());
    },
    at: (step) => first.get(step) ?? null,
  };
}
