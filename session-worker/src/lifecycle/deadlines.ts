import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';

/**
 * The session's own timers. They run in the VM, so the session ends on time even if every orchestrator is down.
 *
 *   waiting for the candidate          neverJoinedMs       → candidate_never_joined
 *   candidate present, no call yet     offerMs             → call_not_established
 *   candidate disconnected             reconnectGraceMs    → candidate_left
 *   interview running                  maxDurationMs       → max_duration, after a warning
 */
export interface SessionDeadlines {
  /**
   * Starts the timers. `resumed`: another machine served the session before, so the candidate counts as
   * disconnected.
   */
  start(resumed: boolean): void;
  joined(): void;
  left(): void;
  /** A call is up: the wait for an offer ends. */
  callUp(): void;
  /** Gives the browser `offerMs` from now to set up a call. */
  awaitOffer(): void;
  /** Sets when the interview began (Unix ms). Only the first call counts. */
  began(startedAt: number): void;
  /** Changes how long the interview may last, ms; also while it runs. */
  mayLast(maxDurationMs: number): void;
  /** Unix ms when the interview must be over, once it has begun. */
  readonly endsAt: number | null;
  stop(): void;
}

export interface SessionDeadlinesDeps {
  clock: Clock;
  deadlines: Deadlines;
  maxDurationMs: number;
  onExpired(reason: SessionReason): void;
  onWarning(endsAt: number): void;
}

export function createSessionDeadlines(deps: SessionDeadlinesDeps): SessionDeadlines {
  const { clock, deadlines, onExpired } = deps;
  let { maxDurationMs } = deps;
  let presence: Timer | undefined;
  let offer: Timer | undefined;
  let timers: Timer[] = [];
  let callSeen = false;
  let startedAt: number | null = null;
  let endsAt: number | null = null;

  const expire = (reason: SessionReason, delayMs: number) =>
    clock.setTimer(() => onExpired(reason), Math.max(0, delayMs));
  const left = () => {
    presence?.cancel();
    presence = expire('candidate_left', deadlines.reconnectGraceMs);
  };

  const awaitOffer = () => {
    offer?.cancel();
    offer = expire('call_not_established', deadlines.offerMs);
  };

  const run = (since: number) => {
    for (const timer of timers) timer.cancel();
    endsAt = since + maxDurationMs;
    const leftMs = endsAt - clock.now();
    const warnInMs = leftMs - deadlines.durationWarningMs;
    timers = [
      expire('max_duration', leftMs),
      // An interview shorter than the warning time is warned after half of it.
      clock.setTimer(() => deps.onWarning(endsAt ?? 0), warnInMs > 0 ? warnInMs : Math.max(0, leftMs / 2)),
    ];
  };

  return {
    start: (resumed) => {
      if (resumed) left();
      else presence = expire('candidate_never_joined', deadlines.neverJoinedMs);
    },
    joined: () => {
      presence?.cancel();
      presence = undefined;
      if (!callSeen && !offer) awaitOffer();
    },
    left,
    callUp: () => {
      callSeen = true;
      offer?.cancel();
      offer = undefined;
    },
    awaitOffer,
    began: (at) => {
      if (startedAt !== null) return;
      startedAt = at;
      run(at);
    },
    mayLast: (next) => {
      if (next === maxDurationMs) return;
      maxDurationMs = next;
      if (startedAt !== null) run(startedAt);
    },
    get endsAt() {
      return endsAt;
    },
    stop: () => {
      for (const timer of [presence, offer, ...timers]) timer?.cancel();
      timers = [];
    },
  };
}
