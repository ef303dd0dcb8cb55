import type { CandidateRequest } from '@greenroom/shared/protocol/socket.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { VoiceCall } from './voice.ts';

/**
 * What the candidate asks or types instead of saying it. It comes over our socket and is put into the call by us: a browser
 * that puts something into the call itself is flagged.
 *
 * - A request is a note to the interviewer and no entry of the transcript: asking for a pause must not count in the evaluation.
 * - A typed answer is an entry of the candidate's. Its item id comes from the browser's own id, so that an answer that is
 *   sent again after a reconnection is asked once.
 * - Each makes the interviewer speak, which is paid for: requests come at most every `requestEveryMs`, typed answers at
 *   most every `typedEveryMs`.
 */
export interface Requests {
  ask(what: CandidateRequest): Asked;
  type(id: string, text: string): Asked;
}

/** `not_now`: the call cannot be spoken on just now; the candidate may try again. */
export type Asked = 'done' | 'too_often' | 'not_now';

export interface RequestsDeps {
  clock: Clock;
  tell: VoiceCall['tell'];
  type: VoiceCall['type'];
}

const requestEveryMs = 2_000;
const typedEveryMs = 1_000;

const notes: Record<CandidateRequest, string> = {
  repeat: 'The candidate asks you to say that again. Repeat your last question in other words, and nothing else.',
  slower: 'The candidate asks you to speak more slowly. Speak slowly from now on, and repeat your last question.',
  moment: 'The candidate has asked for a moment to think. Say nothing until the candidate speaks or is ready to go on.',
  go_on: 'The candidate is ready to go on. Repeat your last question in a few words.',
};

export const typedItemId = (id: string): string => `typed_${id}`;

export function createRequests({ clock, tell, type }: RequestsDeps): Requests {
  const typed = new Set<string>();
  let nextRequestMs = 0;
  let nextTypedMs = 0;
  return {
    ask: (what) => {
      if (clock.monotonicMs() < nextRequestMs) return 'too_often';
      if (!tell(notes[what], what !== 'moment')) return 'not_now';
      nextRequestMs = clock.monotonicMs() + requestEveryMs;
      return 'done';
    },
    type: (id, text) => {
      if (typed.has(id)) return 'done';
      if (clock.monotonicMs() < nextTypedMs) return 'too_often';
      if (!type(typedItemId(id), text)) return 'not_now';
      typed.add(id);
      nextTypedMs = clock.monotonicMs() + typedEveryMs;
      return 'done';
    },
  };
}
