import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Tracks in which calls the candidate could hear the interviewer, and ends a session in which media never
 * flowed.
 *
 * - The provider speaks even into a call whose media never came up (for example when a network blocks UDP),
 *   and its events look the same. So what it says in a call counts only after evidence that the candidate is
 *   connected: the browser reports the call as connected, the provider detects the candidate's speech, the
 *   browser has events of the call, or the candidate types an answer.
 * - A browser that may not play audio yet shows that media flows, but not that the candidate hears it. Such a
 *   call counts as heard only after `call_connected`.
 * - Without any evidence within `noMediaMs` of the session's first offer, the session ends.
 */
export interface Media {
  /** The browser has sent an offer. */
  offered(): void;
  /** The browser reports this call as connected and plays its audio. */
  connected(ordinal: number): void;
  /** The browser may not play this call's audio until the candidate clicks. */
  blocked(ordinal: number): void;
  /** The candidate spoke or typed in this call, or the browser has events of it. */
  answered(ordinal: number): void;
  /** Whether the candidate could hear this call. */
  isHeard(ordinal: number): boolean;
  /** Whether media has flowed in any call of this session. */
  readonly flowed: boolean;
  stop(): void;
}

export interface MediaDeps {
  clock: Clock;
  noMediaMs: number;
  /** Another machine served the session before, and media may have flowed there. */
  resumed: boolean;
  /** From now on this call counts as heard. */
  onHeard(ordinal: number): void;
  onNone(): void;
}

export function createMedia({ clock, noMediaMs, resumed, onHeard, onNone }: MediaDeps): Media {
  const heard = new Set<number>();
  const blocked = new Set<number>();
  let flowed = resumed;
  let limit: Timer | undefined;
  let offered = false;

  const flow = () => {
    flowed = true;
    limit?.cancel();
  };
  const hear = (ordinal: number) => {
    flow();
    if (heard.has(ordinal)) return;
    heard.add(ordinal);
    onHeard(ordinal);
  };
  return {
    offered: () => {
      if (offered || flowed) return;
      offered = true;
      limit = clock.setTimer(onNone, noMediaMs);
    },
    connected: (ordinal) => {
      blocked.delete(ordinal);
      hear(ordinal);
    },
    blocked: (ordinal) => void blocked.add(ordinal),
    answered: (ordinal) => {
      if (blocked.has(ordinal)) flow();
      else hear(ordinal);
    },
    isHeard: (ordinal) => heard.has(ordinal),
    get flowed() {
      return flowed;
    },
    stop: () => limit?.cancel(),
  };
}
