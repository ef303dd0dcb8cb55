import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * When the interviewer may begin to speak in a call.
 *
 * O1  A provider that is asked for a response before the media is up speaks into the void: the candidate would miss the
 *     beginning. So both must hold: our sideband can be spoken on, and the browser says that its call is connected.
 * O2  A browser that never says so does not silence the interviewer: after `callConnectMs` it begins all the same.
 * O3  It begins once per call, and a call that was replaced begins no more.
 */
export interface Opening {
  /** The sideband of this call can be spoken on. */
  speakable(ordinal: number): void;
  /** The browser's side of this call is up. */
  connected(ordinal: number): void;
  stop(): void;
}

export interface OpeningDeps {
  clock: Clock;
  callConnectMs: number;
  begin(ordinal: number): void;
}

export function createOpening({ clock, callConnectMs, begin }: OpeningDeps): Opening {
  let waiting: { ordinal: number; limit: Timer } | undefined;
  let connectedOrdinal = 0;
  const open = (ordinal: number) => {
    waiting?.limit.cancel();
    waiting = undefined;
    begin(ordinal);
  };
  return {
    speakable: (ordinal) => {
      waiting?.limit.cancel();
      waiting = { ordinal, limit: clock.setTimer(() => open(ordinal), callConnectMs) };
      if (connectedOrdinal === ordinal) open(ordinal);
    },
    connected: (ordinal) => {
      connectedOrdinal = ordinal;
      if (waiting?.ordinal === ordinal) open(ordinal);
    },
    stop: () => {
      waiting?.limit.cancel();
      waiting = undefined;
    },
  };
}
