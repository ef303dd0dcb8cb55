import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';

/** Runs periodic jobs. The next run of a job starts `everyMs` after the last one ended. */
export interface Ticker {
  start(): void;
  /** Resolves when the running jobs have ended. */
  stop(): Promise<void>;
}

export interface Job {
  name: string;
  everyMs: number;
  run(): Promise<unknown>;
}

/** A failing job is logged and runs again at its next time. */
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
