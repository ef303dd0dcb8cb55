import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Ending } from './ending.ts';
import type { SessionDeadlines } from './lifecycle/deadlines.ts';
import type { Orchestrator } from './outside/orchestrator.ts';
import { type Calls, callEveryMs, createCalls, type OfferResult } from './realtime/calls.ts';
import { createOpening } from './realtime/opening.ts';
import { createRequests, type Requests } from './realtime/requests.ts';
import { createRollover } from './realtime/rollover.ts';
import { createSidebandWatch } from './realtime/sideband-watch.ts';
import type { Voice, VoiceCall, VoiceEvent } from './realtime/voice.ts';
import type { SessionRecord } from './record.ts';
import type { Connection } from './room/connection.ts';

/**
 * The conversation of one session: its calls, one after the other, and who listens and speaks in the one under way.
 *
 * V1  A call that is being replaced may still be heard, but has no say.
 * V2  What the browser was asked for stands until it has offered it, and is told again to whoever comes back.
 * V3  An answer may not have reached the browser: it is told again to whoever comes back, until the call is connected.
 * V4  An ending that was decided meanwhile hangs up whatever came of an offer; nothing is asked of the browser any more.
 */
export interface Conversation {
  readonly calls: Calls;
  /** An offer came; what came of it goes to whoever is in the room, and what is wrong with it to whoever sent it. */
  offer(sdp: string, ordinal: number | undefined, connection: Connection): Promise<void>;
  /** The browser's side of this call is up. */
  connected(ordinal: number): void;
  /** The browser may not play this call's voice until the candidate clicks. */
  blocked(ordinal: number): void;
  /** What the candidate asks by a press, and answers that are typed. */
  readonly requests: Requests;
  /** V2, V3: right after `session_ready`. */
  resume(connection: Connection): void;
  /** Goes on with the call that was under way on another machine. */
  takeOver(open: NonNullable<ClaimResponse['open_call']>): void;
  /** Its timers end, and nobody speaks any more; the calls are hung up by the teardown. */
  stop(): void;
}

export interface ConversationDeps {
  clock: Clock;
  log: Logger;
  voice: Voice;
  claim: ClaimResponse;
  orchestrator: Orchestrator;
  record: Pick<SessionRecord, 'transcript' | 'media' | 'recap' | 'flags' | 'reports'>;
  timers: SessionDeadlines;
  /** To whoever is in the room. */
  send(message: ServerMessage): void;
  ending: Pick<Ending, 'isDecided' | 'conclude' | 'fenced'>;
}

type CallReason = Extract<ServerMessage, { type: 'call_required' }>['reason'];

export function createConversation(deps: ConversationDeps): Conversation {
  const { clock, log, voice, claim, orchestrator, timers, send, ending } = deps;
  const { transcript, media, recap, flags, reports } = deps.record;
  const { session, deadlines } = claim;

  /** The one that is spoken in. */
  let current: VoiceCall | undefined;
  let later: Timer | undefined;
  /** V2. */
  let required: { ordinal: number; reason: CallReason; deadline: number } | undefined;
  /** V3. */
  let unconfirmed: Extract<ServerMessage, { type: 'sdp_answer' }> | undefined;
  const onOpened = (ordinal: number, call: VoiceCall) => {
    transcript.open(ordinal, call.log);
    current?.silence();
    current = call;
  };
  const speak = async (ordinal: number) => {
    const call = current;
    call?.begin(ordinal > 1 || session.epoch > 1 ? await recap.text() : undefined);
  };
  const opening = createOpening({
    clock,
    callConnectMs: deadlines.callConnectMs,
    begin: (ordinal) => void speak(ordinal),
  });
  const calls = createCalls({
    ...{ clock, log, orchestrator, voice, onOpened },
    nextOrdinal: claim.next_ordinal,
    sidebandReadyMs: deadlines.sidebandReadyMs,
    lateTranscriptMs: deadlines.lateTranscriptMs,
    onEvent: (ordinal, event) => onVoice(ordinal, event),
    onClosed: transcript.settle,
  });
  const onVoice = (ordinal: number, event: VoiceEvent) => {
    if (event.type === 'candidate_heard') media.answered(ordinal);
    if (event.type === 'saying') transcript.show(event.entry);
    if (event.type === 'said') transcript.store(event.entries);
    if (event.type === 'gone') onGone();
    else if (ordinal === calls.ordinal) onCurrent(ordinal, event); // V1
  };
  const onCurrent = (ordinal: number, event: VoiceEvent) => {
    switch (event.type) {
      case 'attached':
        watch.attached();
        if (event.speakable) opening.speakable(ordinal);
        return;
      case 'missing':
        return watch.missing();
      case 'turn_over':
        return rollover.turnOver();
      case 'finished':
        return ending.conclude('interviewer_finished');
      case 'failed':
        return ending.conclude(event.reason);
      case 'foreign':
        return flags.add(event.kind);
      default:
        return;
    }
  };
  const onGone = () => {
    watch.stop();
    requireCall('call_lost');
  };
  const requests = createRequests({
    clock,
    tell: (note, answer) => current?.tell(note, answer) ?? false,
    type: (itemId, text) => {
      if (!current?.type(itemId, text)) return false;
      media.answered(calls.ordinal);
      return true;
    },
  });
  const requireCall = (reason: CallReason) => {
    if (ending.isDecided) return;
    const ordinal = calls.active ? calls.ordinal + 1 : calls.ordinal;
    required = { ordinal, reason, deadline: clock.now() + deadlines.offerMs };
    // While the old call goes on, nothing is lost by waiting.
    if (!calls.active) timers.awaitOffer();
    send({ type: 'call_required', ...required });
  };
  /** The browser may not offer just now: it is asked to when it may. */
  const requireCallLater = () => {
    later ??= clock.setTimer(() => {
      later = undefined;
      requireCall('call_lost');
    }, callEveryMs);
  };
  const watch = createSidebandWatch({
    clock,
    lostMs: deadlines.sidebandLostMs,
    onLost: () => requireCall('sideband_lost'),
    // Nobody can begin this interview any more; one that has begun goes on without us.
    onHopeless: () =>
      transcript.said().length === 0 && session.epoch === 1 ? ending.conclude('provider_unavailable') : undefined,
  });
  const rollover = createRollover({ clock, ageMs: deadlines.callRolloverMs, onDue: () => requireCall('rollover') });

  const onOffer = async (sdp: string, ordinal: number | undefined, connection: Connection) => {
    media.offered();
    const result = await calls.offer(sdp, ordinal);
    if (ending.isDecided) return; // V4
    if (result.kind === 'answered') return onAnswered(result);
    if (result.kind === 'fenced') return ending.fenced();
    // Offered under a number that was taken: nothing the candidate could do anything about.
    if (result.code === 'conflict') return requireCall('call_lost');
    connection.error(result.code, result.kind === 'refused' ? result.detail : undefined);
    if (result.code === 'rate_limited') return requireCallLater();
    if (result.kind === 'failed') ending.conclude(result.reason);
    // The old call was hung up and no new one came about, or we were the ones who could not: another offer is asked for.
    else if (!calls.active && (result.code === 'internal_error' || (timers.endsAt !== null && !required)))
      requireCall('call_lost');
  };
  const onAnswered = ({ sdp, ordinal }: Extract<OfferResult, { kind: 'answered' }>) => {
    required = undefined;
    unconfirmed = { type: 'sdp_answer', sdp, ordinal };
    // To whoever is there now: the socket may have dropped while the call was being made.
    send(unconfirmed);
    onCallUp();
  };
  const onCallUp = () => {
    timers.callUp();
    rollover.callUp();
    if (timers.endsAt !== null) return;
    timers.began(clock.now());
    reports.add({ status: 'in_progress' });
  };

  return {
    calls,
    offer: onOffer,
    connected: (ordinal) => {
      if (unconfirmed?.ordinal === ordinal) unconfirmed = undefined;
      media.connected(ordinal);
      opening.connected(ordinal);
    },
    blocked: (ordinal) => {
      media.blocked(ordinal);
      opening.blocked(ordinal);
    },
    requests,
    resume: (connection) => {
      if (calls.active && unconfirmed?.ordinal === calls.ordinal) connection.send(unconfirmed);
      // Without a call, `session_ready` has asked for the offer already.
      if (required && calls.active) connection.send({ type: 'call_required', ...required });
    },
    takeOver: (open) => {
      media.connected(open.ordinal);
      calls.takeOver(open);
      if (calls.active) onCallUp();
    },
    stop: () => {
      rollover.stop();
      later?.cancel();
      watch.stop();
      media.stop();
      current?.silence();
      opening.stop();
    },
  };
}
