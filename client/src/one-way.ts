import type { Problems } from './problems.ts';
import type { Turn } from './types.ts';

/**
 * Notices that sound flows in one direction only although the call is up, and asks for another call.
 *
 * - `voice_missing`: the provider plays the interviewer's voice, and no audio packet arrives.
 * - `not_heard`: it is the candidate's turn, the microphone picks up sound, and the provider notices no speech. Where the
 *   statistics do not contain the microphone's energy, the level meter is read (meter-energy.ts).
 *
 * Either counts after several measurements in a row, and is over as soon as sound flows.
 */
export interface OneWay {
  measured(since: Since): void;
}

/** What happened since the last measurement. */
export interface Since {
  /** Whose turn it is now. */
  turn: Turn;
  /** Whether the provider has reported speech of the candidate. */
  isHeard: boolean;
  /** Number of audio packets. */
  received: number;
  /** Energy of the candidate's sound. */
  energy: number;
}

export interface OneWayDeps {
  problems: Problems;
  /** Replaces the call that is up. */
  replaceCall(): void;
}

/** Measurements in a row. */
const enough = { voice_missing: 2, not_heard: 3 };
/** Energy of half a second of a voice whose root mean square is 0.1. Keystrokes have less. */
const voiceEnergy = 0.005;

export function createOneWay({ problems, replaceCall }: OneWayDeps): OneWay {
  const counts = { voice_missing: 0, not_heard: 0 };
  const isFine = (code: keyof typeof counts) => {
    counts[code] = 0;
    problems.settle(code);
  };
  const isSuspect = (code: keyof typeof counts) => {
    counts[code] += 1;
    if (counts[code] < enough[code]) return;
    counts[code] = 0;
    problems.raise(code);
    replaceCall();
  };
  return {
    measured: ({ turn, isHeard, received, energy }) => {
      if (received > 0) isFine('voice_missing');
      else if (turn === 'speaking') isSuspect('voice_missing');
      if (isHeard || turn === 'hearing') isFine('not_heard');
      else if (turn === 'listening' && energy > voiceEnergy) isSuspect('not_heard');
    },
  };
}
