import { randomUUID } from 'node:crypto';
import { type ScriptedOffer, scriptedOffer, scriptedSession } from '@greenroom/shared/protocol/scripted-call.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { AttendedCall, VoiceCall, VoiceEvent, VoiceFactory } from '../voice.ts';

/**
 * The adapter of test mode: an interviewer that asks the questions of a script and takes typed answers. It needs no
 * provider, no WebRTC and no network, and costs nothing.
 *
 * - A call exists only in its worker. On another machine it is gone, so the candidate is asked for a new offer, as after
 *   the loss of a provider's call. The interviewer then continues after the last question that was answered.
 * - The offer is JSON (protocol/scripted-call.ts). A browser's offer is refused: only a simulated candidate can join.
 */
/** How long the interviewer takes before it speaks, ms. */
const thinkMs = 150;
const goodbye = 'Thank you, that was all. Goodbye.';
const onlySimulated =
  'this is a test session, which only a simulated candidate can join: POST /api/test/sessions/{id}/simulate';

export const createScriptedVoice =
  ({ clock }: { clock: Clock }): VoiceFactory =>
  () => {
    const offers = new Map<string, ScriptedOffer>();
    return {
      offerProblem: (offer) => (offerIn(offer) ? undefined : onlySimulated),
      createCall: async ({ offer }) => {
        const callId = `scripted_${randomUUID()}`;
        const given = offerIn(offer);
        if (given) offers.set(callId, given);
        return { kind: 'created', callId, answer: JSON.stringify({ scripted: 1 }) };
      },
      hangUp: async () => true,
      attend: (call, hear) => {
        if (!call.isNew) setImmediate(() => hear({ type: 'gone' }));
        return attend(call, hear, clock, offers.get(call.callId)?.tampers ?? []);
      },
    };
  };

function offerIn(offer: string): ScriptedOffer | undefined {
  try {
    return scriptedOffer.safeParse(JSON.parse(offer)).data;
  } catch {
    return undefined;
  }
}

function attend(
  { ordinal, isNew, session }: AttendedCall,
  hear: (event: VoiceEvent) => void,
  clock: Clock,
  tampers: ScriptedOffer['tampers'],
): VoiceCall {
  const questions = scriptedSession.safeParse(session).data?.questions ?? [];
  const entries: TranscriptEntry[] = [];
  let next = 0;
  let silent = !isNew;
  let thinking: Timer | undefined;

  const say = (speaker: TranscriptEntry['speaker'], item_id: string, text: string) => {
    const entry: TranscriptEntry = {
      ...{ ordinal, item_id, speaker, text, confidence: null, start_ms: null, end_ms: null },
      previous_item_id: entries.at(-1)?.item_id ?? null,
      ...{ interrupted: false, verified: true },
    };
    entries.push(entry);
    hear({ type: 'said', entries: [entry] });
  };
  const ask = () => {
    const question = questions[next];
    next += 1;
    say('ai', `question_${ordinal}_${next}`, question ?? goodbye);
    hear({ type: 'turn_over' });
    if (question === undefined) hear({ type: 'finished' });
  };
  const think = () => {
    thinking?.cancel();
    thinking = clock.setTimer(() => silent || ask(), thinkMs);
  };
  const silence = () => {
    silent = true;
    thinking?.cancel();
  };
  if (isNew)
    setImmediate(() => {
      hear({ type: 'attached', speakable: true });
      for (const kind of tampers) hear({ type: 'foreign', kind });
    });

  return {
    ready: async () => 'ready',
    get attached() {
      return isNew;
    },
    log: {
      entries: () => entries,
      knows: (id) => entries.some(({ item_id }) => item_id === id),
      awaited: () => 0,
      settle: () => [],
    },
    begin: (recap) => {
      next = recap === undefined ? 0 : nextAfter(recap, questions);
      think();
    },
    returned: () => undefined,
    tell: () => !silent,
    type: (itemId, text) => {
      if (silent) return false;
      say('candidate', itemId, text);
      think();
      return true;
    },
    silence,
    expectEnd: silence,
    close: silence,
  };
}

/** Which question comes next: the last one that the recap contains, or the one after it if the candidate answered. */
function nextAfter(recap: string, questions: readonly string[]): number {
  const lines = recap.split('\n');
  const last = lines.findLastIndex((line) => questions.some((question) => line.endsWith(`: ${question}`)));
  if (last < 0) return 0;
  const asked = questions.findLastIndex((question) => lines[last]?.endsWith(`: ${question}`));
  return lines.slice(last + 1).some((line) => line.startsWith('Candidate')) ? asked + 1 : asked;
}
