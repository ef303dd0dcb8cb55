import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Presence } from '@greenroom/shared/session/states.ts';
import { createOutbox } from '../outside/outbox.ts';
import type { Report, Store } from '../outside/store.ts';
import { createRateLimit } from '../room/rate-limit.ts';

/**
 * Reports the session's progress to the database: connecting, in progress, finalizing, and the candidate's
 * presence (outbox.ts).
 *
 * - The conversation never waits for a report. The first one, that the candidate is present, is sent after `firstPresentMs`, or
 *   before the next one: in the meantime the browser is greeted and its offer answered.
 * - Any other change of presence is reported at once. After `presenceBurst` changes only one per `presenceGapMs` is
 *   reported, because each report makes an event and may make a webhook. The last state is always reported.
 */
export interface Reports {
  add(report: Report): void;
  /** The candidate connected or disconnected. The first `present` also moves the session to `connecting`. */
  presence(presence: Presence): void;
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

const firstPresentMs = 500;
const presenceBurst = 4;
const presenceGapMs = 5_000;

export function createReports({ clock, log, report, onFenced, random }: ReportsDeps): Reports {
  const outbox = createOutbox<Report>({
    ...{ clock, log, random, onFenced },
    kind: 'report',
    keyOf: ({ status }) => status ?? 'presence',
    merge: (older, newer) => ({ ...older, ...newer }),
    send: ([first]) => report(first ?? {}),
  });
  let reported: Presence | undefined;
  let now: Presence | undefined;
  let later: Timer | undefined;
  /** Runs while the first presence waits. */
  let first: Timer | undefined;
  const rate = createRateLimit({
    perSecond: 1_000 / presenceGapMs,
    burst: presenceBurst,
    nowMs: () => clock.monotonicMs(),
  });

  const tell = () => {
    later = undefined;
    if (now === undefined || now === reported) return;
    if (!rate.take()) {
      later = clock.setTimer(tell, presenceGapMs);
      return;
    }
    const isFirst = reported === undefined && now === 'present';
    outbox.add({ ...(isFirst ? { status: 'connecting' } : {}), presence: now });
    reported = now;
  };

  const tellFirst = () => {
    if (!first) return;
    first.cancel();
    first = undefined;
    tell();
  };

  return {
    add: (added) => {
      tellFirst();
      outbox.add(added);
    },
    presence: (presence) => {
      if (presence !== now) tellFirst();
      const isFirst = now === undefined && presence === 'present';
      now = presence;
      if (isFirst) first = clock.setTimer(tellFirst, firstPresentMs);
      else if (!first && !later) tell();
    },
    flush: (signal) => {
      tellFirst();
      return outbox.flush(signal);
    },
    stop: () => {
      first?.cancel();
      later?.cancel();
      outbox.stop();
    },
  };
}
