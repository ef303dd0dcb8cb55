/**
 * Work in the background, at most one task for each key.
 *
 * Stopping aborts the signal, begins nothing more and waits for what is under way; what fails because of it is no failure.
 */
export interface Tasks {
  /** Aborted by `stop`. */
  readonly signal: AbortSignal;
  /** Begins the work. Does nothing when a task of this key is under way or the tasks have stopped. */
  start(key: string, work: () => Promise<void>, onError: (error: unknown) => void): void;
  /** Resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** @param owner whose tasks these are; the reason of the abort names it. */
export function createTasks(owner: string): Tasks {
  const underWay = new Map<string, Promise<void>>();
  const stopping = new AbortController();
  const { signal } = stopping;
  return {
    signal,
    start: (key, work, onError) => {
      if (signal.aborted || underWay.has(key)) return;
      const task = work()
        .catch((error: unknown) => {
          if (!signal.aborted) onError(error);
        })
        .finally(() => underWay.delete(key));
      underWay.set(key, task);
    },
    stop: async () => {
      stopping.abort(new Error(`${owner} stops`));
      await Promise.all(underWay.values());
    },
  };
}
