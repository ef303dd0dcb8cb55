import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { type ClaimResponse, callFailureCodes, type WorkerCounts } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Ending } from './ending.ts';
import type { SessionDeadlines } from './lifecycle/deadlines.ts';
import type { Phases } from './lifecycle/phases.ts';
import type { Orchestrator } from './outside/orchestrator.ts';
import type { Tracing } from './outside/tracing.ts';
import { type Calls, callEveryMs, createCalls, type OfferResult } from './realtime/calls.ts';
import { createOpening } from './realtime/opening.ts';
import { createRequests, type Requests } from './realtime/requests.ts';
import { createRollover } from './realtime/rollover.ts';
import { createSidebandWatch } from './realtime/sideband-watch.ts';
import type { Voice, VoiceCall, VoiceEvent } from './realtime/voice.ts';
import type { SessionRecord } from './record.ts';
import type { Connection } from './room/connection.ts';

/**
 * The conversation of one session: its calls, one after the other, and what is said in the current one.
 *
 * - Transcripts of a call that is being replaced are still stored. Its other events (the interviewer
 *   finished, the sideband was lost) no longer affect the session.
 * - `call_required` stays open until the browser has sent its offer, and is repeated to a browser that
 *   reconnects.
 * - An `sdp_answer` may not have reached the browser, so it is repeated on reconnection until the call is
 *   connected.
 * - While the candidate's socket is away, the candidate may still be in the call, because audio does not pass
 *   through us. Only speech shows that.
 * - Once the session is ending, the result of a pending offer is ignored (the teardown hangs the call up),
 *   and the browser is asked for no other call.
 */
export interface Conversation {
  readonly calls: Calls;
  /** Turns of the candidate that could not be transcribed, in all calls. */
  readonly transcriptionsFailed: number;
  /** A candidate's socket arrives: requests what the first offer needs. */
  expectOffer(): void;
  /**
   * Handles an offer. The answer goes to whichever connection is in the room by then; errors go to the
   * sender.
   */
  offer(sdp: string, ordinal: number | undefined, connection: Connection): Promise<void>;
  /** The browser's side of this call is up. */
  connected(ordinal: number): void;
  /** The browser may not play this call's voice until the candidate clicks. */
  blocked(ordinal: number): void;
  /** The candidate's button requests and typed answers. */
  readonly requests: Requests;
  /** Calls after the first one, and calls that could not be opened. */
  readonly counts: Pick<WorkerCounts, 'call_replacements' | 'call_failures'>;
  /** The candidate's socket is lost. */
  lost(): void;
  /** Whether the candidate has spoken since the socket was lost. */
  readonly wasHeardSinceLoss: boolean;
  /** Repeats an open `call_required` and an unconfirmed `sdp_answer`; called right after `session_ready`. */
  resume(connection: Connection): void;
  /** Continues the call that was under way on another machine. */
  takeOver(open: NonNullable<ClaimResponse['open_call']>): void;
  /** Stops all timers and silences the interviewer; the teardown hangs the calls up. */
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
  /** Sends to the browser that is in the room. */
  send(message: ServerMessage): void;
  ending: Pick<Ending, 'isDecided' | 'conclude' | 'fenced'>;
  /** Called when a step of the call took place. */
  note: Phases['note'];
  tracing: Pick<Tracing, 'measure'>;
}

type CallReason = Extract<ServerMessage, { type: 'call_required' }>['reason'];

export function createConversation(deps: ConversationDeps): Conversation {
  const { clock, log, voice, claim, orchestrator, timers, send, ending, note, tracing } = deps;
  const { transcript, media, recap, flags, reports } = deps.record;
  const { session, deadlines } = claim;

  /** The call in which the interviewer speaks. */
  let current: VoiceCall | undefined;
  let later: Timer | undefined;
  let transcriptionsFailed = 0;
  let wasHeardSinceLoss = false;
  /** The `call_required` that the browser has not answered yet. */
  let required: { ordinal: number; reason: CallReason; deadline: number } | undefined;
  /** The `sdp_answer` whose call the browser has not reported as connected. */
  let unconfirmed: Extract<ServerMessage, { type: 'sdp_answer' }> | undefined;
  const onOpened = (ordinal: number, call: VoiceCall) => {
    transcript.open(ordinal, call.log);
    current?.silence();
    current = call;
    // Time without a sideband is counted for each call separately.
    watch.stop();
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
    onCredential: (maxDurationMs) => {
      note('credential');
      if (maxDurationMs !== undefined) timers.mayLast(maxDurationMs);
    },
    onEvent: (ordinal, event) => onVoice(ordinal, event),
    onClosed: transcript.settle,
  });
  const onVoice = (ordinal: number, event: VoiceEvent) => {
    if (event.type === 'candidate_heard') {
      wasHeardSinceLoss = true;
      media.answered(ordinal);
    }
    if (event.type === 'untranscribed') transcriptionsFailed += 1;
    if (event.type === 'saying') {
      if (event.entry.speaker === 'ai') note('spoke');
      transcript.show(event.entry);
    }
    if (event.type === 'said') {
      if (event.entries.some(({ speaker }) => speaker === 'ai')) note('spoke');
      transcript.store(event.entries);
    }
    if (event.type === 'gone') onGone();
    else if (ordinal === calls.ordinal) onCurrent(ordinal, event);
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
  const replacements: NonNullable<WorkerCounts['call_replacements']> = {};
  const failures: NonNullable<WorkerCounts['call_failures']> = {};
  const countFailure = (code: ErrorCode) => {
    const counted = callFailureCodes.find((one) => one === code) ?? 'other';
    failures[counted] = (failures[counted] ?? 0) + 1;
  };
  const requireCall = (reason: CallReason) => {
    if (ending.isDecided) return;
    replacements[reason] = (replacements[reason] ?? 0) + 1;
    const ordinal = calls.active ? calls.ordinal + 1 : calls.ordinal;
    required = { ordinal, reason, deadline: clock.now() + deadlines.offerMs };
    // The wait for an offer is limited only without a call: while the old call goes on, waiting loses
    // nothing.
    if (!calls.active) timers.awaitOffer();
    send({ type: 'call_required', ...required });
  };
  /** Asks for an offer later: the rate limit refuses one now. */
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
    // Without a sideband no interviewer can begin. An interview that has already begun continues with the
    // browser's copies.
    onHopeless: () =>
      transcript.said().length === 0 && session.epoch === 1 ? ending.conclude('provider_unavailable') : undefined,
  });
  const rollover = createRollover({ clock, ageMs: deadlines.callRolloverMs, onDue: () => requireCall('rollover') });

  const onOffer = async (sdp: string, ordinal: number | undefined, connection: Connection) => {
    note('offered');
    media.offered();
    const result = await tracing.measure(
      'offer and answer',
      () => calls.offer(sdp, ordinal),
      (answer) => ({
        fields: { kind: answer.kind },
        failure: 'code' in answer ? answer.code : undefined,
      }),
    );
    if (ending.isDecided) return;
    if (result.kind === 'answered') return onAnswered(result);
    if (result.kind === 'fenced') return ending.fenced();
    // The offer's ordinal was already used. The candidate cannot fix that, so the browser is asked for a new
    // offer.
    if (result.code === 'conflict') return requireCall('call_lost');
    countFailure(result.code);
    connection.error(result.code, result.kind === 'refused' ? result.detail : undefined);
    if (result.code === 'rate_limited') return requireCallLater();
    if (result.kind === 'failed') ending.conclude(result.reason);
    // The old call was hung up and no new one was made, or the failure was on our side: ask for another
    // offer.
    else if (!calls.active && (result.code === 'internal_error' || (timers.endsAt !== null && !required)))
      requireCall('call_lost');
  };
  const onAnswered = ({ sdp, ordinal }: Extract<OfferResult, { kind: 'answered' }>) => {
    note('answered');
    required = undefined;
    onCallUp();
    unconfirmed = { type: 'sdp_answer', sdp, ordinal, ends_at: timers.endsAt };
    // To the current connection: the socket may have dropped while the call was being made.
    send(unconfirmed);
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
    get transcriptionsFailed() {
      return transcriptionsFailed;
    },
    expectOffer: calls.prepare,
    offer: onOffer,
    connected: (ordinal) => {
      if (unconfirmed?.ordinal === ordinal) unconfirmed = undefined;
      note('connected');
      media.connected(ordinal);
      opening.connected(ordinal);
    },
    blocked: (ordinal) => {
      media.blocked(ordinal);
      opening.blocked(ordinal);
    },
    requests,
    counts: { call_replacements: replacements, call_failures: failures },
    lost: () => {
      wasHeardSinceLoss = false;
    },
    get wasHeardSinceLoss() {
      return wasHeardSinceLoss;
    },
    resume: (connection) => {
      current?.returned();
      if (calls.active && unconfirmed?.ordinal === calls.ordinal) connection.send(unconfirmed);
      // Without a call, `session_ready` has already asked for an offer.
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
