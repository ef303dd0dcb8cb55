import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Http } from '../../outside/http.ts';
import type { AttendedCall, VoiceCall, VoiceEvent, VoiceFactory } from '../voice.ts';
import { createCallLog } from './call-log.ts';
import type { Json, ProviderEvent } from './events.ts';
import { createGuard } from './guard.ts';
import { createInterviewer, note } from './interviewer.ts';
import { createProvider } from './provider.ts';
import { offerProblem } from './sdp.ts';
import { createSideband, updateOf } from './sideband.ts';

/**
 * The adapter for realtime calls of OpenAI and Azure: SDP over HTTP, and a sideband WebSocket for everything
 * else. Only this folder knows their event names.
 */
export const createOpenAiVoice =
  ({ http, clock }: { http: Http; clock: Clock }): VoiceFactory =>
  ({ realtime, deadlines, log, say, mayFinish }) => {
    const provider = createProvider({
      ...{ http, clock },
      webrtcFilter: realtime.webrtc_filter,
      requestMs: deadlines.providerRequestMs,
    });
    return {
      offerProblem,
      createCall: ({ offer, form, session, credential }, signal) =>
        provider.createCall({ form, sdp: offer, session }, credential, signal),
      hangUp: provider.hangUp,
      attend: (call, hear) =>
        attend(call, hear, {
          ...{ clock, log, say, mayFinish },
          url: provider.sidebandUrl(call.callId, call.credential),
          attachMs: Math.round(deadlines.sidebandReadyMs / 2),
          goodbyeMs: deadlines.goodbyeMs,
        }),
    };
  };

interface AttendOptions extends Pick<Parameters<VoiceFactory>[0], 'log' | 'say' | 'mayFinish'> {
  clock: Clock;
  url: string;
  attachMs: number;
  goodbyeMs: number;
}

/** How long the provider may answer 404 about a call it has just created. */
const newCallMs = 5_000;

function attend(call: AttendedCall, hear: (event: VoiceEvent) => void, options: AttendOptions): VoiceCall {
  const { clock, log, say, mayFinish, url, attachMs, goodbyeMs } = options;
  const { ordinal, credential, session, isNew } = call;
  const startedMs = clock.monotonicMs();
  const spoken = createCallLog(ordinal);
  let silent = false;

  const guard = createGuard({
    ...{ clock, log },
    send: (event) => say(event, sideband.send),
    update: updateOf(session),
    flag: (kind) => hear({ type: 'foreign', kind }),
  });
  const interviewer = createInterviewer({
    ...{ clock, log, goodbyeMs, mayFinish },
    send: guard.send,
    onFinished: () => hear({ type: 'finished' }),
    onFailed: (reason) => hear({ type: 'failed', reason }),
  });
  const onEvent = (event: ProviderEvent) => {
    if (event.type === 'input_audio_buffer.speech_started') hear({ type: 'candidate_heard' });
    if (event.type === 'conversation.item.input_audio_transcription.failed') hear({ type: 'untranscribed' });
    const { entries, partial } = spoken.apply(event, clock.monotonicMs() - startedMs);
    if (partial && partial.text !== '') hear({ type: 'saying', entry: partial });
    if (entries.length > 0) hear({ type: 'said', entries });
    if (silent) return;
    guard.event(event);
    interviewer.event(event);
    if (event.type === 'output_audio_buffer.stopped') hear({ type: 'turn_over' });
  };
  const onReady = (first: boolean, updated: boolean) => {
    // Unless the call was made just now, its events before this moment were missed.
    const gap = !first || !isNew;
    if (!silent) guard.attached(gap, updated);
    if (!silent && gap) interviewer.resumed();
    hear({ type: 'attached', speakable: first && isNew });
  };
  const sideband = createSideband({
    ...{ url, credential: credential.value, session, clock, log, attachMs, onEvent, onReady },
    newCallMs: isNew ? newCallMs : 0,
    onMissing: () => hear({ type: 'missing' }),
    onGone: () => hear({ type: 'gone' }),
  });
  const silence = () => {
    silent = true;
    interviewer.stop();
    guard.stop();
  };

  return {
    ready: sideband.ready,
    get attached() {
      return sideband.attached;
    },
    log: spoken,
    begin: interviewer.begin,
    returned: interviewer.returned,
    tell: (text, answer) => interviewer.tell(note(text).item, answer),
    type: (itemId, text) => {
      spoken.typed(itemId, text);
      return interviewer.tell(typedItem(itemId, text), true);
    },
    silence,
    expectEnd: () => {
      silence();
      sideband.expectEnd();
    },
    close: () => {
      silence();
      sideband.close();
    },
  };
}

const typedItem = (id: string, text: string): Json => ({
  id,
  type: 'message',
  role: 'user',
  content: [{ type: 'input_text', text }],
});
