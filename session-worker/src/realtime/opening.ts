import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Decides when the interviewer may begin to speak in a call.
 *
 * - It begins when the sideband is ready and the browser reports its call as connected. If a response were
 *   requested before the media is up, the provider would speak before the candidate can hear it.
 * - If the browser does not report that within `callConnectMs`, the interviewer begins anyway. There is no
 *   such limit while the browser reports that it may not play audio yet: the candidate would not hear the
 *   interviewer.
 * - It begins once per call, and never in a call that was replaced.
 */
export interface Opening {
  /** The sideband of this call is ready. */
  speakable(ordinal: number): void;
  /** The browser's side of this call is up, and the candidate hears it. */
  connected(ordinal: number): void;
  /** The browser may not play this call's audio until the candidate clicks. */
  blocked(ordinal: number): void;
  stop(): void;
}

export interface OpeningDeps {
  clock: Clock;
  callConnectMs: number;
  begin(ordinal: number): void;
}

export function createOpening({ clock, callConnectMs, begin }: OpeningDeps): Opening {
  let waiting: { ordinal: number; limit: Timer | undefined } | undefined;
  let connectedOrdinal = 0;
  let blockedOrdinal = 0;
  const stop = () => {
    waiting?.limit?.cancel();
    waiting = undefined;
  };
  const open = (ordinal: number) => {
    stop();
    begin(ordinal);
  };
  return {
    speakable: (ordinal) => {
      stop();
      const limit = blockedOrdinal === ordinal ? undefined : clock.setTimer(() => open(ordinal), callConnectMs);
      waiting = { ordinal, limit };
      if (connectedOrdinal === ordinal) open(ordinal);
    },
    connected: (ordinal) => {
      connectedOrdinal = ordinal;
      if (waiting?.ordinal === ordinal) open(ordinal);
    },
    blocked: (ordinal) => {
      blockedOrdinal = ordinal;
      if (waiting?.ordinal === ordinal) waiting.limit?.cancel();
    },
    stop,
  };
}
