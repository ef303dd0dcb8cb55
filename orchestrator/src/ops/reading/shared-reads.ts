import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { OperatorActs, OperatorStore } from '../../database/operator-store.ts';

/**
 * Gives one reading of the database to all who ask the same: ten dashboards with the same view cost as much as one.
 *
 * - A reading is given to everyone who asks while it is under way.
 * - Its answer is given again for `restShare` times as long as the reading took, at most `longestMs`. So no view takes more than
 *   a tenth of the time, and an answer that is cheap is read again at once.
 * - An act through this process is visible at once: it drops all answers, also of readings that are under way. What another
 *   process did is visible after `longestMs` at the latest.
 *
 * Every role gets the same answer: who may read is checked before.
 */
const restShare = 9;
const longestMs = 2_000;

interface Reading {
  answer: Promise<unknown>;
  /** Undefined while the reading is under way. */
  untilMs: number | undefined;
}

type Call = (...args: never[]) => Promise<unknown>;

/** Lists and summaries: what an open view reads again and again. */
const views = [
  ...(['overview', 'regions', 'pools', 'costs', 'schedule', 'brake'] as const),
  ...(['sessions', 'machines', 'events', 'audit', 'tenants', 'work', 'deliveries'] as const),
];
/** Every act: one that is missing here does not compile. */
const acts: Record<keyof OperatorActs, true> = {
  ...{ endSession: true, stopMachine: true, drainRegion: true, openRegion: true, putPool: true },
  ...{ releaseBrake: true, retryWork: true, replayDelivery: true },
};

/** @returns the same store, whose views are read once for all */
export function withSharedReads(store: OperatorStore, clock: Pick<Clock, 'monotonicMs'>): OperatorStore {
  const readings = new Map<string, Reading>();

  const dropOld = (): void => {
    for (const [key, { untilMs }] of readings)
      if (untilMs !== undefined && untilMs <= clock.monotonicMs()) readings.delete(key);
  };
  const begin = (key: string, read: () => Promise<unknown>): Promise<unknown> => {
    const startedMs = clock.monotonicMs();
    const reading: Reading = { answer: read(), untilMs: undefined };
    readings.set(key, reading);
    const end = (restMs: number) => {
      reading.untilMs = clock.monotonicMs() + restMs;
    };
    reading.answer.then(
      () => end(Math.min(longestMs, restShare * (clock.monotonicMs() - startedMs))),
      () => end(0),
    );
    return reading.answer;
  };
  const shared = (name: string, call: Call): Call =>
    ((...args: unknown[]) => {
      dropOld();
      const key = JSON.stringify([name, args]);
      return readings.get(key)?.answer ?? begin(key, () => call(...(args as never[])));
    }) as Call;
  const forgetting = (call: Call): Call =>
    ((...args: never[]) => call(...args).finally(() => readings.clear())) as Call;

  const wrapped: Partial<Record<keyof OperatorStore, Call>> = {};
  for (const name of views) wrapped[name] = shared(name, store[name]);
  for (const name of Object.keys(acts) as Array<keyof OperatorActs>) wrapped[name] = forgetting(store[name]);
  return { ...store, ...wrapped } as OperatorStore;
}
