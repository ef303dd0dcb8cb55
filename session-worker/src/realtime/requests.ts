import type { CandidateRequest } from '@greenroom/shared/protocol/socket.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { VoiceCall } from './voice.ts';

/**
 * What the candidate requests with a button or types instead of speaking. The browser sends it over our
 * WebSocket and the worker inserts it into the call; a browser that inserts items itself is flagged.
 *
 * - A request is a note to the interviewer and not a transcript entry: asking for a pause must not affect the
 *   evaluation.
 * - A typed answer is an entry of the candidate. Its item id is derived from the browser's id, so an answer
 *   that is sent again after a reconnection is inserted once.
 * - Each makes the provider speak, which costs money: at most one request per `requestEveryMs` and one typed
 *   answer per `typedEveryMs`.
 */
export interface Requests {
  ask(what: CandidateRequest): Asked;
  type(id: string, text: string): Asked;
}

/** `not_now`: the interviewer cannot be reached at the moment; the candidate may try again. */
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
