/**
 * The conversation of one call: decides who speaks when.
 *
 *   waiting ──response.create──▶ responding ──spoken──▶ listening ──voice──▶ hearing ──silence──▶ responding
 * …
 *
 * - The interviewer never begins by itself: the first `response.create` starts it.
 * - Voice starts a turn of the candidate only while listening. While the interviewer speaks it is ignored,
 *   unless `bargeIn`. Voice that continues when listening begins starts a turn then. After the goodbye has
 *   begun, or the end tool was called, voice starts no turn.
 * - A reply that is requested while the candidate speaks does not end the turn. The turn is committed when the
 *   candidate stops, and gets no reply of its own.
 * - An item is added to the conversation, and to the ground truth, when it is announced; its text follows
 *   later.
 *
 * Cues (fault point `realtime.turn`, taken when a turn of the candidate is committed): `transcription_first`,
 * `transcription_late`, `transcription_failed`, `transcription_missing` (candidate-turn.ts),
 * `interrupted_reply` (the candidate interrupts the reply to this turn).
 */
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { beginTurn, type CandidateTurn, createTranscriptions, idleTurn } from './candidate-turn.ts';
import { createItems, type Items, textsOf } from './items.ts';
import { callFunction, type Reply, speakReply } from './reply.ts';
import { createSaidLog, type SaidLine } from './said.ts';
import { fillSchema } from './schema-filler.ts';
import { createCursor, type InterviewScript, resumeAt, type ScriptCursor } from './script.ts';
import type { RealtimeSession } from './session-config.ts';
import { createTimers } from './timers.ts';
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
  /** Where an earlier call of the interview stopped; used when the context does not show it. */
  startAt: number;
  /** Called whenever the script advances. */
  onProgress(position: number): void;
  session(): RealtimeSession;
  emit(event: WireEvent): void;
  audio: { start(): void; stop(): void };
  /** The name of the cue for this turn, if any. */
  cue(): string | undefined;
  bargeIn: boolean;
  /** Name of the tool that the model calls after the last turn, if the session has it. */
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
  /** `response.cancel`; false when there is no active response. */
  cancel(): boolean;
  /** `output_audio_buffer.clear`. */
  clearOutput(): void;
  /** Voice was detected, or there was silence for long enough. */
  voice(active: boolean): void;
  /** A whole turn of the candidate without audio, for tests without media. Throws unless listening. */
  candidateTurn(durationMs?: number): void;
  /** The candidate interrupts the current reply, or the next one. */
  interrupt(): void;
  said(): SaidLine[];
  stop(): void;
}

type Phase =
  | { name: 'waiting' }
  | { name: 'listening' }
  | { name: 'hearing'; turn: CandidateTurn }
  /** While `reply` is undefined the model is thinking. */
  | { name: 'responding'; reply: Reply | undefined };

const interruptionText = (n: number) => `Sorry, one moment please, I did not hear you well. Interruption ${n}.`;
const synthesizedVoiceMs = 60;

export function createConversation(deps: ConversationDeps): Conversation {
  const { clock, session, emit, pace } = deps;
  const id = newWireId('conv');
  const items = createItems();
  const script = createCursor(deps.script);
  const log = createSaidLog();
  const timers = createTimers(clock);
  const transcriptions = createTranscriptions();
  const startedMs = clock.monotonicMs();
  const audioMs = () => Math.round(clock.monotonicMs() - startedMs);
  const turnDeps = { clock, items, log, transcriptions, session, emit, audioMs };
  const replyDeps = { clock, timers, items, log, conversationId: id, session, emit, audio: deps.audio };
  let phase: Phase = { name: 'waiting' };
  let voiceActive = false;
  let interruptNext = false;
  let interruptions = 0;
  let hasSpoken = false;
  let farewell = false;
  /** The candidate was still speaking when a client requested a reply. */
  let openTurn: CandidateTurn | undefined;
  let idleTimer: Timer | undefined;

  // ---- the candidate

  function listen() {
    phase = { name: 'listening' };
    if (farewell) return;
    if (openTurn) {
      phase = { name: 'hearing', turn: openTurn };
      openTurn = undefined;
      return;
    }
    if (voiceActive) return hear(false);
    const idleMs = session().audio.input.turn_detection?.idle_timeout_ms;
    if (idleMs) idleTimer = timers.after(idleMs, nudge);
  }

  function nudge() {
    if (phase.name !== 'listening') return;
    idleTurn(turnDeps);
    say(script.again());
  }

  function hear(interrupting: boolean) {
    idleTimer?.cancel();
    interruptions += interrupting ? 1 : 0;
    const text = interrupting ? interruptionText(interruptions) : script.answer();
    deps.onProgress(script.position);
    const turn = beginTurn(turnDeps, text, interrupting);
    if (interrupting) cutReply('turn_detected');
    phase = { name: 'hearing', turn };
    turn.streamText();
  }

  function commit(turn: CandidateTurn) {
    const cue = deps.cue();
    turn.commit(cue);
    if (cue === 'interrupted_reply') interruptNext = true;
    phase = { name: 'listening' };
    const repliesByItself = session().audio.input.turn_detection?.create_response !== false;
    if (repliesByItself) reply(turn.interrupting);
    else transcriptions.send('first', 'with_reply');
  }

  /** The reply was requested already. */
  function commitOpenTurn() {
    openTurn?.commit(deps.cue());
    openTurn = undefined;
    transcriptions.send('first', 'with_reply');
  }

  // By then real voice may have ended this turn and begun another.
  function commitAfter(delayMs: number) {
    if (phase.name !== 'hearing') return;
    const { turn } = phase;
    timers.after(delayMs, () => {
      if (phase.name === 'hearing' && phase.turn === turn) commit(turn);
      else if (openTurn === turn) commitOpenTurn();
    });
  }

  function synthesizeInterruption() {
    interruptNext = false;
    if (phase.name !== 'responding' || !phase.reply) return;
    hear(true);
    commitAfter(synthesizedVoiceMs);
  }

  // ---- the interviewer

  function begin(metadata?: unknown) {
    const known = resumeAt(deps.script, [session().instructions, ...items.all().flatMap(textsOf)]);
    script.moveTo(known > 0 ? known : deps.startAt);
    if (script.finished) finish(metadata);
    else say(script.question(script.position > 0), metadata);
  }

  function reply(toInterruption: boolean, metadata?: unknown) {
    transcriptions.send('first');
    if (toInterruption) say(script.again(), metadata);
    else if (script.finished) finish(metadata);
    else say(script.question(), metadata);
  }

  function finish(metadata?: unknown) {
    const tool = session().tools.find((candidate) => candidate.name === deps.endTool);
    if (tool && !farewell) callEndTool(JSON.stringify(fillSchema(tool.parameters ?? { type: 'object' })), metadata);
    else sayGoodbye(metadata);
  }

  function callEndTool(args: string, metadata?: unknown) {
    farewell = true;
    phase = { name: 'responding', reply: undefined };
    timers.after(pace.thinkMs, () => {
      callFunction(replyDeps, { name: deps.endTool, args, metadata }, () => transcriptions.send('with_reply'));
      transcriptions.send('late');
      listen();
    });
  }

  const callsEndTool = () => items.all().some((item) => item.type === 'function_call');

  function finishAgain(metadata?: unknown) {
    farewell = false;
    finish(metadata);
  }

  function sayGoodbye(metadata?: unknown) {
    farewell = true;
    say(script.goodbye, metadata);
  }

  function say(text: string, metadata: unknown = null) {
    idleTimer?.cancel();
    phase = { name: 'responding', reply: undefined };
    timers.after(pace.thinkMs, () => speak(text, metadata));
  }

  function speak(text: string, metadata: unknown) {
    const speakMs = pace.speakMs(text);
    const onBegun = () => transcriptions.send('with_reply');
    const onDone = () => {
      transcriptions.send('late');
      listen();
    };
    phase = { name: 'responding', reply: speakReply(replyDeps, { text, metadata, speakMs, onBegun, onDone }) };
    hasSpoken = true;
    if (interruptNext) timers.after(speakMs * 0.25, synthesizeInterruption);
  }

  function cutReply(reason: 'turn_detected' | 'client_cancelled'): boolean {
    if (phase.name !== 'responding' || !phase.reply) return false;
    phase.reply.cut(reason);
    transcriptions.send('late');
    return true;
  }

  // ---- from outside

  function voice(active: boolean) {
    voiceActive = active;
    if (!active && phase.name === 'hearing') commit(phase.turn);
    else if (!active && openTurn) commitOpenTurn();
    if (!active || farewell) return;
    if (phase.name === 'listening') hear(false);
    else if (phase.name === 'responding' && phase.reply && deps.bargeIn) hear(true);
  }

  function respond(metadata?: unknown): 'ok' | 'busy' {
    if (phase.name === 'responding') return 'busy';
    if (phase.name === 'hearing') openTurn = phase.turn;
    const last = items.last;
    const unanswered = last?.role === 'user' && last.content?.[0]?.type === 'input_audio';
    const unheard = farewell && !items.all().some((item) => item.type === 'function_call_output');
    if (phase.name === 'waiting') begin(metadata);
    // Its tool call got no output, or it was told since that the connection was interrupted: it calls the
    // tool again.
    else if ((unheard || (farewell && last?.role === 'system')) && callsEndTool()) finishAgain(metadata);
    else if (last?.type === 'function_call_output' || farewell) sayGoodbye(metadata);
    else if (unanswered || script.finished) reply(false, metadata);
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
      if (phase.name !== 'responding' || phase.reply?.generated) return false;
      if (!cutReply('client_cancelled')) timers.cancelAll();
      // There is no reply left that they have to wait for.
      transcriptions.send('with_reply', 'late');
      listen();
      return true;
    },
    clearOutput: () => {
      if (cutReply('client_cancelled')) listen();
    },
    voice,
    candidateTurn: (durationMs = synthesizedVoiceMs) => {
      if (phase.name !== 'listening') throw new Error(`the candidate cannot speak while the call is ${phase.name}`);
      hear(false);
      commitAfter(durationMs);
    },
    interrupt: () => {
      interruptNext = true;
      if (phase.name === 'responding' && phase.reply) synthesizeInterruption();
    },
    said: log.lines,
    stop: timers.cancelAll,
  };
}
