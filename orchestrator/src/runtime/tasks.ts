/**
 * Background tasks, at most one per key.
 *
 * `stop` aborts the signal, starts no further task and waits for the running ones. Failures caused by the abort are ignored.
 */
export interface Tasks {
  /** Aborted by `stop`. */
  readonly signal: AbortSignal;
  /** Starts a task. Does nothing if a task with this key is running, or after `stop`. */
  start(key: string, work: () => Promise<void>, onError: (error: unknown) => void): void;
  /** Resolves when no task is running. */
  stop(): Promise<void>;
}

/** @param owner name of the component, used in the abort's reason. */
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
