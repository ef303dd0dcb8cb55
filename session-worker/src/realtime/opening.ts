import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Decides when the interviewer may begin to speak in a call.
 *
 * - It begins when our sideband can be spoken on and the browser says that its call is connected. A provider that is asked
 *   for a response before the media is up speaks before the candidate can hear it.
 * - A browser that never says so gets `callConnectMs`; then the interviewer begins without it. A browser that says it may
 *   not play the voice yet gets no such limit: the candidate could not hear the interviewer.
 * - It begins once per call, and never in a call that was replaced.
 */
export interface Opening {
  /** The sideband of this call can be spoken on. */
  speakable(ordinal: number): void;
  /** The browser's side of this call is up, and the candidate hears it. */
  connected(ordinal: number): void;
  /** The browser will not play the voice of this call until the candidate clicks. */
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
