/**
 * Detects voice activity from loudness: on at the first loud frame, off after a period without one or when a
 * turn becomes too long. Silence is the absence of loud frames, so it is also detected when the sender stops
 * sending (DTX, a lost network).
 */
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

export interface VoiceActivityOptions {
  clock: Clock;
  /** Read at each turn, because the session may change it. */
  silenceMs(): number;
  maxTurnMs: number;
  onChange(active: boolean): void;
}

/** Loudness (root mean square of 16-bit samples) from which a frame counts as voice. */
export const voiceLevel = 250;

export function createVoiceActivity(options: VoiceActivityOptions) {
  const { clock } = options;
  let timer: Timer | undefined;
  let startedMs = 0;
  let lastLoudMs = 0;

  function on() {
    startedMs = lastLoudMs;
    watch(options.silenceMs());
    options.onChange(true);
  }
  function off() {
    timer?.cancel();
    timer = undefined;
    options.onChange(false);
  }
  function watch(delayMs: number) {
    timer = clock.setTimer(() => {
      const leftMs = lastLoudMs + options.silenceMs() - clock.monotonicMs();
      if (leftMs <= 0) off();
      else watch(leftMs);
    }, delayMs);
  }
  return {
    /** One frame of the candidate's audio. */
    heard(level: number): void {
      if (level < voiceLevel) return;
      lastLoudMs = clock.monotonicMs();
      if (!timer) on();
      else if (lastLoudMs - startedMs >= options.maxTurnMs) off();
    },
    stop(): void {
      timer?.cancel();
      timer = undefined;
    },
  };
}
