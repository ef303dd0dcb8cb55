import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';

/** Runs jobs again and again, each in its own rhythm: the next turn begins `everyMs` after the last one ended. */
export interface Ticker {
  start(): void;
  /** Resolves when what was under way has ended. */
  stop(): Promise<void>;
}

export interface Job {
  name: string;
  everyMs: number;
  run(): Promise<unknown>;
}

/** A job that fails is logged and runs again at its next turn. */
export function createTicker(jobs: Job[], { clock, logger }: { clock: Clock; logger: Logger }): Ticker {
  const timers = new Map<string, Timer>();
  const underWay = new Set<Promise<void>>();
  let stopped = true;

  const turn = (job: Job): void => {
    const task = Promise.resolve()
      .then(() => job.run())
      .then(() => undefined)
      .catch((error: unknown) => logger.warn({ name: job.name, error }, 'a regular job failed'))
      .finally(() => {
        underWay.delete(task);
        if (!stopped)
          timers.set(
            job.name,
            clock.setTimer(() => turn(job), job.everyMs),
          );
      });
    underWay.add(task);
  };

  return {
    start: () => {
      stopped = false;
      for (const job of jobs) turn(job);
    },
    stop: async () => {
      stopped = true;
      for (const timer of timers.values()) timer.cancel();
      await Promise.all(underWay);
    },
  };
}
