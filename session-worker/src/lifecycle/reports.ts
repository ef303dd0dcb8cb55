import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Report, Store } from '../outside/store.ts';

/**
 * What the database is told of the session: connecting, in progress, finalizing, and the candidate's presence.
 *
 * Reports go out in order, one at a time, and are tried again until they are in: the conversation never waits for them.
 * Presence alone is not worth a queue: only the latest waits.
 */
export interface Reports {
  add(report: Report): void;
  /** Resolves when nothing is left to report; rejects with the signal's reason. */
  flush(signal: AbortSignal): Promise<void>;
  stop(): void;
}

export interface ReportsDeps {
  clock: Clock;
  log: Logger;
  report: Store['report'];
  onFenced(): void;
  random?: () => number;
}

const isPresenceOnly = (report: Report | undefined) => report !== undefined && report.status === undefined;

export function createReports({ clock, log, report, onFenced, random = Math.random }: ReportsDeps): Reports {
  const queue: Report[] = [];
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const sendFirst = async (next: Report, attempt: number): Promise<boolean> => {
    const result = await report(next);
    if (stopping.signal.aborted || result.kind === 'ok') return true;
    if (result.kind === 'fenced') {
      stopping.abort(new Error('fenced'));
      onFenced();
      return true;
    }
    log.warn({ error: result.error, status: next.status, attempt }, 'report did not reach the database');
    if (result.kind === 'refused') return true;
    await clock
      .sleep(100 + backoffMs(attempt, { baseMs: 200, maxMs: 5_000, random }), stopping.signal)
      .catch(() => undefined);
    return false;
  };
  const run = async () => {
    for (let attempt = 0; queue.length > 0 && !stopping.signal.aborted; attempt += 1) {
      const next = queue[0] as Report;
      if (!(await sendFirst(next, attempt))) continue;
      queue.splice(queue.indexOf(next), 1);
      attempt = -1;
    }
  };
  const wake = () => {
    running ??= run().finally(() => {
      running = undefined;
      if (queue.length > 0 && !stopping.signal.aborted) wake();
    });
  };

  return {
    add: (added) => {
      if (stopping.signal.aborted) return;
      // The first may be on its way: it stays.
      if (queue.length > 1 && isPresenceOnly(added) && isPresenceOnly(queue.at(-1))) queue.pop();
      queue.push(added);
      wake();
    },
    flush: async (signal) => {
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      aborted.catch(() => undefined);
      while (running) await Promise.race([running, aborted]);
    },
    stop: () => stopping.abort(new Error('the reports have stopped')),
  };
}
