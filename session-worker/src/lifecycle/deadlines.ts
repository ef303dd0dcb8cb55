import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';

/**
 * The session's own timers: they run in the VM, so that it ends itself though every orchestrator were dead.
 *
 *   waiting for the candidate   neverJoinedMs       → candidate_never_joined
 *   joined (or asked), no call  offerMs             → call_not_established
 *   the candidate is gone       reconnectGraceMs    → candidate_left
 *   the interview runs          maxDurationMs       → max_duration, with a warning before
 */
export interface SessionDeadlines {
  /** Starts the timers. `resumed`: the session was served by another machine, so the candidate counts as gone, not as new. */
  start(resumed: boolean): void;
  joined(): void;
  left(): void;
  /** A call is up: no offer is waited for. */
  callUp(): void;
  /** The browser has `offerMs` (again) to bring a call about. */
  awaitOffer(): void;
  /** The interview began then (Unix ms); later calls change nothing. */
  began(startedAt: number): void;
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
  const { clock, deadlines, maxDurationMs, onExpired } = deps;
  let presence: Timer | undefined;
  let offer: Timer | undefined;
  let timers: Timer[] = [];
  let callSeen = false;
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
    began: (startedAt) => {
      if (endsAt !== null) return;
      endsAt = startedAt + maxDurationMs;
      const leftMs = endsAt - clock.now();
      timers.push(expire('max_duration', leftMs));
      const warnInMs = leftMs - deadlines.durationWarningMs;
      // An interview shorter than the warning time is warned of at half time: better late than never.
      timers.push(clock.setTimer(() => deps.onWarning(endsAt ?? 0), warnInMs > 0 ? warnInMs : Math.max(0, leftMs / 2)));
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
