import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { createRoot } from 'react-dom/client';
import { en } from '../react/en.ts';
import { InterviewRoom } from '../react/room.tsx';
import { openEntryStore } from '../src/entry-store.ts';
import type { CallPeer } from '../src/types.ts';

/**
 * A long interview in fast motion, for `bench room`: the real room and SDK, with a service and a voice provider inside the
 * page. `window.talk(entries, gapMs)` adds entries, each spoken in pieces, one piece every `gapMs`.
 */
const sessionId = '00000000-0000-4000-8000-000000000001';
const wordsAt = ['We ran a queue', ' in front of Postgres.', ' Today I would begin without it', ' and measure first.'];

let service: PageSocket | undefined;
class PageSocket extends EventTarget {
  static readonly OPEN = 1;
  readyState = 1;
  constructor() {
    super();
    service = this;
    setTimeout(() => this.dispatchEvent(new Event('open')));
  }
  tell(message: ServerMessage) {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
  }
  send(text: string) {
    const message = JSON.parse(text) as { type: string; ordinal?: number; entries?: Array<{ item_id: string }> };
    if (message.type === 'ping') this.tell({ type: 'pong' });
    if (message.type === 'init_session')
      this.tell({
        ...{ type: 'session_ready', v: 1, session_id: sessionId, epoch: 1, reconnect_token: 'again' },
        ...{ acked: [], ordinal: 1, call_active: false, simulated: true, ends_at: Date.now() + 3_600_000 },
      });
    if (message.type === 'sdp_offer') this.tell({ type: 'sdp_answer', sdp: 'v=0', ordinal: message.ordinal ?? 1 });
    if (message.type === 'transcript_update')
      this.tell({ type: 'transcript_ack', item_ids: (message.entries ?? []).map(({ item_id }) => item_id) });
  }
  close() {
    this.readyState = 3;
  }
}

let hearEvent: (event: Record<string, unknown>) => void = () => undefined;
const createPeer = (): CallPeer => {
  let onState: (state: 'connected') => void = () => undefined;
  return {
    offer: async () => 'v=0',
    accept: async () => onState('connected'),
    onEvent: (listener) => {
      hearEvent = listener;
    },
    onState: (listener) => {
      onState = listener;
    },
    close: () => undefined,
  };
};

const looked = {
  ...{ status: 'ready', starts_at: null, now: new Date().toISOString(), joinable: true, organiser: 'Northwind' },
  ...{ position: { title: 'Backend engineer' }, candidate: { name: 'Kim Lee' }, minutes: 60, records_video: false },
  adjustments: { extra_minutes: 0, slower: false, typing: false },
  ...{ simulated: false, bound: 'no', consent: { required: false, text_version: null, text: null, given_at: null } },
};
const joined = {
  ...{ session_id: sessionId, websocket_url: `wss://service.test/ws/sessions/${sessionId}`, join_token: 'join' },
  ...{ simulated: false, interview_context: { position: looked.position, candidate: looked.candidate } },
};

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
let count = 0;
async function say(gapMs: number): Promise<void> {
  count += 1;
  const speaker = count % 2 === 1 ? 'ai' : 'candidate';
  const itemId = `item_${count}`;
  hearEvent({ type: speaker === 'ai' ? 'output_audio_buffer.started' : 'input_audio_buffer.speech_started' });
  let text = '';
  for (const [at, piece] of wordsAt.entries()) {
    text += piece;
    const final = at === wordsAt.length - 1;
    service?.tell({
      type: 'transcript_entry',
      final,
      entry: {
        ...{ ordinal: 1, item_id: itemId, previous_item_id: count > 1 ? `item_${count - 1}` : null, speaker, text },
        ...{ confidence: null, start_ms: count * 6_000, end_ms: count * 6_000 + 4_000 },
        ...{ interrupted: false, verified: true },
      },
    });
    await later(gapMs);
  }
  hearEvent({
    type:
      speaker === 'ai'
        ? 'response.output_audio_transcript.done'
        : 'conversation.item.input_audio_transcription.completed',
    ...{ item_id: itemId, transcript: text },
  });
  hearEvent({ type: speaker === 'ai' ? 'output_audio_buffer.stopped' : 'input_audio_buffer.speech_stopped' });
}

Object.assign(window, {
  talk: async (entries: number, gapMs: number) => {
    for (let entry = 0; entry < entries; entry += 1) await say(gapMs);
  },
});
createRoot(document.getElementById('room') as HTMLElement).render(
  <InterviewRoom
    link={`https://service.test/join/${sessionId}#code`}
    messages={en}
    createPeer={createPeer}
    store={await openEntryStore()}
    WebSocket={PageSocket as unknown as typeof WebSocket}
    fetch={async (_url, init) => Response.json(init?.method === 'POST' ? joined : looked)}
  />,
);
