import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Knows in which calls the candidate can have heard the interviewer, and ends a session in which no media ever flowed.
 *
 * - The provider speaks into a call whose media never came up (a network that blocks UDP), and its events look the same. So
 *   what it says in a call counts only once there is evidence that the candidate is there: the browser says that the call is
 *   connected, the provider hears the candidate speak, the browser has events of the call, or the candidate types an answer.
 * - A browser that may not play the voice yet proves that media flows, and not that anybody hears it: only `call_connected`
 *   does then.
 * - Without any evidence within `noMediaMs` of the session's first offer, it ends.
 */
export interface Media {
  /** An offer came. */
  offered(): void;
  /** The browser says that this call is connected and its voice is played. */
  connected(ordinal: number): void;
  /** The browser may not play this call's voice until the candidate clicks. */
  blocked(ordinal: number): void;
  /** The candidate was heard in this call, or answered in it. */
  answered(ordinal: number): void;
  /** Whether the candidate can have heard this call. */
  isHeard(ordinal: number): boolean;
  /** Whether media has flowed in any call of this session. */
  readonly flowed: boolean;
  stop(): void;
}

export interface MediaDeps {
  clock: Clock;
  noMediaMs: number;
  /** Another machine served the session before: what it knew is not known here. */
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
