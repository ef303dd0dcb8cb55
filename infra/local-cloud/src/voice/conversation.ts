/**
 * One call's conversation: who speaks when, and the events of it.
 *
 *   waiting ──response.create──▶ responding ──spoken──▶ listening ──voice──▶ hearing ──silence──▶ responding …
 *
 * 1. The interviewer never begins by itself: the first `response.create` does it (or `autoStart`, once media is up).
 * 2. Voice is a candidate's turn only while listening; while the interviewer speaks it is nothing, unless `bargeIn`.
 *    Voice that is still there when listening begins starts a turn then.
 * 3. An item enters the conversation, and the ground truth, when it is announced; its text follows later.
 * 4. The candidate's text reaches the wire after the reply has begun, as recorded live, unless a cue says otherwise.
 *
 * Cues (fault point `realtime.turn`, taken when a turn of the candidate is committed): `transcription_first`,
 * `transcription_late` (after the reply), `transcription_failed`, `transcription_missing`, `interrupted_reply`.
 */
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import * as candidateEvents from './candidate-events.ts';
import { createItems, type Item, type Items, textsOf } from './items.ts';
import * as responseEvents from './response-events.ts';
import { createSaidLog, type SaidLine } from './said.ts';
import { fillSchema } from './schema-filler.ts';
import { createCursor, type InterviewScript, resumeAt, type ScriptCursor } from './script.ts';
import type { RealtimeSession } from './session-config.ts';
import { newWireId, type WireEvent } from './wire.ts';

export interface ConversationPace {
  /** How long the interviewer's audio of one turn lasts. */
  speakMs: (text: string) => number;
  /** From the end of the candidate's turn to `response.created`. */
  thinkMs: number;
}

export interface ConversationDeps {
  clock: Clock;
  pace: ConversationPace;
  script: InterviewScript;
  /** Where another call of the same interview left off; used when the context tells nothing. */
  startAt: number;
  /** Told whenever the script moves on. */
  onProgress(position: number): void;
  session(): RealtimeSession;
  emit(event: WireEvent): void;
  audio: { start(): void; stop(): void };
  /** The name of the cue for this turn, if any. */
  cue(): string | undefined;
  bargeIn: boolean;
  /** Name of the tool the model calls after the last turn, if the session has it. */
  endTool: string;
}

export interface Conversation {
  readonly id: string;
  readonly items: Items;
  readonly script: ScriptCursor;
  readonly phase: 'waiting' | 'listening' | 'hearing' | 'responding';
  readonly hasSpoken: boolean;
  /** `response.create`; `busy` while a response is active. */
  respond(metadata?: unknown): 'ok' | 'busy';
  /** `response.cancel`; false when none is being made. */
  cancel(): boolean;
  /** `output_audio_buffer.clear`. */
  clearOutput(): void;
  /** Voice has been heard, or has been silent long enough. */
  voice(active: boolean): void;
  /** A whole turn of the candidate without any audio, for tests that have no media. */
  candidateTurn(durationMs?: number): void;
  /** The candidate speaks into the reply under way, or the next one. */
  interrupt(): void;
  said(): SaidLine[];
  stop(): void;
}

interface Hearing {
  item: Item;
  text: string;
  startedMs: number;
  deltasSent: number;
  interrupting: boolean;
}

interface Speaking {
  response: responseEvents.ModelResponse;
  deltas: string[];
  deltasSent: number;
  generated: boolean;
  audibleMs: number | undefined;
  line: SaidLine;
}

type Phase =
  | { name: 'waiting' }
  | { name: 'listening' }
  | { name: 'hearing'; turn: Hearing }
  | { name: 'responding'; speaking: Speaking | undefined };

interface PendingTranscription {
  when: 'first' | 'with_reply' | 'late';
  send(): void;
}

const interruptionText = (n: number) => `Sorry, one moment please, I did not hear you well. Interruption ${n}.`;
const idleText =
  'No user speech was detected for a while. Follow up on the last message or ask if they are still there.';
const synthesizedVoiceMs = 60;

export function createConversation(deps: ConversationDeps): Conversation {
  const { clock, emit, session } = deps;
  const id = newWireId('conv');
  const items = createItems();
  const script = createCursor(deps.script);
  const log = createSaidLog();
  const startedMs = clock.monotonicMs();
  const timers = new Set<Timer>();
  let phase: Phase = { name: 'waiting' };
  let pending: PendingTranscription[] = [];
  let voiceActive = false;
  let interruptNext = false;
  let interruptions = 0;
  let hasSpoken = false;
  let endToolCalled = false;
  let idleTimer: Timer | undefined;

  const sinceStartMs = () => Math.round(clock.monotonicMs() - startedMs);
  function after(delayMs: number, work: () => void): Timer {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      work();
    }, delayMs);
    timers.add(timer);
    return timer;
  }
  function cancelTimers() {
    for (const timer of timers) timer.cancel();
    timers.clear();
  }
  const emitAll = (events: WireEvent[]) => {
    for (const event of events) emit(event);
  };

  // ---- the candidate's turn

  function listen() {
    phase = { name: 'listening' };
    if (voiceActive) return hear(false);
    const idleMs = session().audio.input.turn_detection?.idle_timeout_ms;
    if (idleMs) idleTimer = after(idleMs, idle);
  }

  function hear(interrupting: boolean) {
    idleTimer?.cancel();
    interruptions += interrupting ? 1 : 0;
    const text = interrupting ? interruptionText(interruptions) : script.answer();
    deps.onProgress(script.position);
    const item: Item = {
      id: newWireId('item'),
      type: 'message',
      status: 'completed',
      role: 'user',
      content: [{ type: 'input_audio', transcript: null }],
    };
    emit({ type: 'input_audio_buffer.speech_started', audio_start_ms: sinceStartMs(), item_id: item.id });
    if (interrupting && phase.name === 'responding') cutShort('turn_detected');
    const turn = { item, text, startedMs: clock.monotonicMs(), deltasSent: 0, interrupting };
    phase = { name: 'hearing', turn };
    sendEarlyDeltas(turn);
  }

  // This model transcribes while the candidate is still speaking: deltas come before the item exists.
  function sendEarlyDeltas(turn: Hearing) {
    if (session().audio.input.transcription?.model !== 'gpt-realtime-whisper') return;
    const deltas = responseEvents.deltasOf(turn.text).slice(0, 2);
    turn.deltasSent = deltas.length;
    emitAll(candidateEvents.transcriptionDeltas(transcriptionOf(turn), deltas));
  }

  const transcriptionOf = (turn: Hearing) => ({
    itemId: turn.item.id,
    text: turn.text,
    withLogprobs: session().include?.includes('item.input_audio_transcription.logprobs') ?? false,
    durationMs: clock.monotonicMs() - turn.startedMs,
  });

  function commit(turn: Hearing) {
    const cue = deps.cue();
    emit({ type: 'input_audio_buffer.speech_stopped', audio_end_ms: sinceStartMs(), item_id: turn.item.id });
    const previous = items.add(turn.item) || null;
    const line = log.begin(turn.item.id, 'candidate');
    line.text = turn.text;
    emitAll(candidateEvents.committed({ ...turn.item }, previous));
    if (cue === 'interrupted_reply') interruptNext = true;
    planTranscription(turn, line, cue);
    phase = { name: 'listening' };
    if (session().audio.input.turn_detection?.create_response === false) sendTranscriptions('first', 'with_reply');
    else reply(turn.interrupting);
  }

  function planTranscription(turn: Hearing, line: SaidLine, cue: string | undefined) {
    if (!session().audio.input.transcription || cue === 'transcription_missing') return;
    const transcription = transcriptionOf(turn);
    const send = () => {
      if (cue === 'transcription_failed') return emit(candidateEvents.transcriptionFailed(turn.item.id));
      const rest = responseEvents.deltasOf(turn.text).slice(turn.deltasSent);
      emitAll(candidateEvents.transcriptionDeltas(transcription, rest));
      line.transcribed = true;
      turn.item.content = [{ type: 'input_audio', transcript: turn.text }];
      emit(candidateEvents.transcriptionCompleted(transcription));
    };
    const when = cue === 'transcription_first' ? 'first' : cue === 'transcription_late' ? 'late' : 'with_reply';
    pending.push({ when, send });
  }

  function sendTranscriptions(...when: Array<PendingTranscription['when']>) {
    const due = pending.filter((transcription) => when.includes(transcription.when));
    pending = pending.filter((transcription) => !when.includes(transcription.when));
    for (const transcription of due) transcription.send();
  }

  // Recorded live: a system note, then an empty turn of the candidate, then a nudge.
  function idle() {
    if (phase.name !== 'listening') return;
    const heard: Item = {
      id: newWireId('item'),
      type: 'message',
      status: 'completed',
      role: 'user',
      content: [{ type: 'input_audio', transcript: null }],
    };
    const nowMs = sinceStartMs();
    emit({
      type: 'input_audio_buffer.timeout_triggered',
      audio_start_ms: nowMs,
      audio_end_ms: nowMs,
      item_id: heard.id,
    });
    const note: Item = {
      id: newWireId('item'),
      type: 'message',
      status: 'completed',
      role: 'system',
      content: [{ type: 'input_text', text: idleText }],
    };
    const beforeNote = items.add(note) || null;
    emit({ type: 'conversation.item.added', previous_item_id: beforeNote, item: note });
    emit({ type: 'conversation.item.done', previous_item_id: beforeNote, item: note });
    emitAll(candidateEvents.committed(heard, items.add(heard) || null));
    const silent = { itemId: heard.id, text: '', withLogprobs: false, durationMs: 0 };
    if (session().audio.input.transcription) {
      pending.push({ when: 'with_reply', send: () => emit(candidateEvents.transcriptionCompleted(silent)) });
    }
    say(script.again());
  }

  // ---- the interviewer's turn

  function reply(wasInterruption: boolean) {
    sendTranscriptions('first');
    if (wasInterruption) return say(script.again());
    if (!script.finished) return say(script.question());
    const tool = session().tools.find((candidate) => candidate.name === deps.endTool);
    if (tool && !endToolCalled) return callEndTool(tool);
    say(script.goodbye);
  }

  function begin() {
    const context = [session().instructions, ...items.all().flatMap(textsOf)];
    const known = resumeAt(deps.script, context);
    script.moveTo(known > 0 ? known : deps.startAt);
    if (script.finished) return reply(false);
    say(script.question(script.position > 0));
  }

  function responseFor(text: string, item: Item, metadata: unknown): responseEvents.ModelResponse {
    const previousItemId = items.add(item) || null;
    return { id: newWireId('resp'), conversationId: id, item, previousItemId, text, metadata };
  }

  function callEndTool(tool: RealtimeSession['tools'][number]) {
    endToolCalled = true;
    phase = { name: 'responding', speaking: undefined };
    after(deps.pace.thinkMs, () => {
      const item: Item = {
        id: newWireId('item'),
        type: 'function_call',
        status: 'in_progress',
        name: deps.endTool,
        call_id: newWireId('call'),
        arguments: '',
      };
      const args = JSON.stringify(fillSchema(tool.parameters ?? { type: 'object' }));
      const response = { ...responseFor(args, item, null), item: { ...item } };
      const events = responseEvents.functionCall(response, session());
      Object.assign(item, { status: 'completed', arguments: args });
      const [created, ...rest] = events;
      if (created) emit(created);
      sendTranscriptions('with_reply');
      emitAll(rest);
      sendTranscriptions('late');
      listen();
    });
  }

  function say(text: string, metadata: unknown = null) {
    idleTimer?.cancel();
    phase = { name: 'responding', speaking: undefined };
    after(deps.pace.thinkMs, () => startSpeaking(text, metadata));
  }

  function startSpeaking(text: string, metadata: unknown) {
    const item: Item = {
      id: newWireId('item'),
      type: 'message',
      status: 'in_progress',
      role: 'assistant',
      content: [],
    };
    const response = responseFor(text, item, metadata);
    const line = log.begin(item.id, 'interviewer');
    const deltas = responseEvents.deltasOf(text);
    const speaking: Speaking = { response, deltas, deltasSent: 0, generated: false, audibleMs: undefined, line };
    phase = { name: 'responding', speaking };
    emitAll(responseEvents.spokenOpening({ ...response, item: { ...item } }, session()));
    sendDeltas(speaking, 1);
    sendTranscriptions('with_reply');
    sendDeltas(speaking, Math.ceil(deltas.length / 2));
    emit({ type: 'output_audio_buffer.started', response_id: response.id });
    speaking.audibleMs = clock.monotonicMs();
    hasSpoken = true;
    deps.audio.start();
    const speakMs = deps.pace.speakMs(text);
    // The text is always complete well before the audio has been played.
    after(speakMs * 0.4, () => finishText(speaking));
    after(speakMs, () => finishAudio(speaking));
    if (interruptNext) after(speakMs * 0.25, synthesizeInterruption);
  }

  function sendDeltas(speaking: Speaking, upTo: number) {
    for (const delta of speaking.deltas.slice(speaking.deltasSent, upTo)) {
      emit(responseEvents.transcriptDelta(speaking.response, delta));
    }
    speaking.deltasSent = Math.max(speaking.deltasSent, upTo);
    speaking.line.text = speaking.deltas.slice(0, speaking.deltasSent).join('');
  }

  function closeText(speaking: Speaking, end: responseEvents.ResponseEnd) {
    const said = speaking.line.text;
    speaking.generated = true;
    speaking.line.transcribed = true;
    emitAll(responseEvents.spokenClosing(speaking.response, said, session(), end));
    const status = end.status === 'completed' ? 'completed' : 'incomplete';
    Object.assign(speaking.response.item, { status, content: [{ type: 'output_audio', transcript: said }] });
  }

  function finishText(speaking: Speaking) {
    sendDeltas(speaking, speaking.deltas.length);
    closeText(speaking, { status: 'completed' });
  }

  function finishAudio(speaking: Speaking) {
    deps.audio.stop();
    emit({ type: 'output_audio_buffer.stopped', response_id: speaking.response.id });
    sendTranscriptions('late');
    listen();
  }

  /** The reply ends before its time: what was not played is thrown away, what was not made yet never will be. */
  function cutShort(reason: 'turn_detected' | 'client_cancelled') {
    if (phase.name !== 'responding') return;
    const { speaking } = phase;
    cancelTimers();
    if (!speaking) return;
    deps.audio.stop();
    speaking.line.interrupted = true;
    const { response } = speaking;
    const playedMs = Math.round(clock.monotonicMs() - (speaking.audibleMs ?? clock.monotonicMs()));
    emit({ type: 'output_audio_buffer.cleared', response_id: response.id });
    emit({ type: 'conversation.item.truncated', item_id: response.item.id, content_index: 0, audio_end_ms: playedMs });
    if (!speaking.generated) closeText(speaking, { status: 'cancelled', reason });
    sendTranscriptions('late');
  }

  function synthesizeInterruption() {
    interruptNext = false;
    if (phase.name !== 'responding') return;
    hear(true);
    stopHearingAfter(synthesizedVoiceMs);
  }

  // Real voice may have ended this turn and begun another before the time is up.
  function stopHearingAfter(delayMs: number) {
    if (phase.name !== 'hearing') return;
    const { turn } = phase;
    after(delayMs, () => phase.name === 'hearing' && phase.turn === turn && commit(turn));
  }

  function voice(active: boolean) {
    voiceActive = active;
    if (active && phase.name === 'listening') return hear(false);
    if (active && phase.name === 'responding' && phase.speaking && deps.bargeIn) return hear(true);
    if (!active && phase.name === 'hearing') commit(phase.turn);
  }

  function respond(metadata?: unknown): 'ok' | 'busy' {
    if (phase.name === 'responding') return 'busy';
    const last = items.last;
    if (phase.name === 'waiting') begin();
    else if (last?.type === 'function_call_output') say(script.goodbye, metadata);
    else if (last?.role === 'user' && last.content?.[0]?.type === 'input_audio') reply(false);
    else say(script.again(), metadata);
    return 'ok';
  }

  return {
    id,
    items,
    script,
    get phase() {
      return phase.name;
    },
    get hasSpoken() {
      return hasSpoken;
    },
    respond,
    cancel: () => {
      if (phase.name !== 'responding' || phase.speaking?.generated) return false;
      cutShort('client_cancelled');
      listen();
      return true;
    },
    clearOutput: () => {
      if (phase.name !== 'responding' || !phase.speaking) return;
      cutShort('client_cancelled');
      listen();
    },
    voice,
    candidateTurn: (durationMs = synthesizedVoiceMs) => {
      if (phase.name !== 'listening') throw new Error(`the candidate cannot speak while the call is ${phase.name}`);
      hear(false);
      stopHearingAfter(durationMs);
    },
    interrupt: () => {
      interruptNext = true;
      if (phase.name === 'responding' && phase.speaking) synthesizeInterruption();
    },
    said: log.lines,
    stop: cancelTimers,
  };
}
