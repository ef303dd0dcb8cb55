import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { VoiceCall, VoiceEvent, VoiceFactory } from '../src/realtime/voice.ts';

/**
 * A second voice adapter: an interviewer that asks the questions of a script and takes typed answers. No provider, no WebRTC,
 * no network: the offer and the answer are any text. It shows that realtime/voice.ts really is the border.
 */
export interface Scripted {
  factory: VoiceFactory;
  /** The calls of the adapter's functions, in order. */
  readonly asked: string[];
}

export function scriptedVoice(questions: string[]): Scripted {
  const asked: string[] = [];
  const noted = <T>(what: string, value: T): T => {
    asked.push(what);
    return value;
  };
  const factory: VoiceFactory = () => ({
    offerProblem: (offer) => (offer === '' ? 'it is empty' : undefined),
    createCall: async ({ offer }) => noted(`call ${offer}`, { kind: 'created', callId: 'scripted_1', answer: 'ready' }),
    hangUp: async (callId) => noted(`hang up ${callId}`, true),
    attend: ({ ordinal }, hear) => attend(ordinal, questions, hear),
  });
  return { factory, asked };
}

function attend(ordinal: number, questions: string[], hear: (event: VoiceEvent) => void): VoiceCall {
  const entries: TranscriptEntry[] = [];
  let next = 0;
  let silent = false;
  const say = (speaker: 'ai' | 'candidate', item_id: string, text: string) => {
    const entry: TranscriptEntry = {
      ...{ ordinal, item_id, speaker, text, confidence: null, start_ms: null, end_ms: null },
      previous_item_id: entries.at(-1)?.item_id ?? null,
      interrupted: false,
      verified: true,
    };
    entries.push(entry);
    hear({ type: 'said', entries: [entry] });
  };
  const ask = () => {
    const question = questions[next];
    next += 1;
    if (question === undefined) return hear({ type: 'finished' });
    say('ai', `question_${next}`, question);
    hear({ type: 'turn_over' });
  };
  setImmediate(() => hear({ type: 'attached', speakable: true }));
  return {
    ready: async () => 'ready',
    attached: true,
    log: {
      entries: () => entries,
      knows: (id) => entries.some((e) => e.item_id === id),
      awaited: () => 0,
      settle: () => [],
    },
    begin: () => ask(),
    returned: () => undefined,
    tell: () => !silent,
    type: (itemId, text) => {
      if (silent) return false;
      say('candidate', itemId, text);
      ask();
      return true;
    },
    silence: () => {
      silent = true;
    },
    expectEnd: () => {
      silent = true;
    },
    close: () => undefined,
  };
}
