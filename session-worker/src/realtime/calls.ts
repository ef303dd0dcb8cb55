import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import { type ClaimResponse, type OpenCallResponse, wrongOrdinal } from '@greenroom/shared/protocol/worker-api.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import { type Answer, mayWorkLater, type Orchestrator } from '../outside/orchestrator.ts';
import { createRateLimit } from '../room/rate-limit.ts';
import type { Voice, VoiceCall, VoiceEvent } from './voice.ts';

/**
 * The session's realtime calls, one after the other.
 *
 *   idle ──offer──▶ opening ──answered──▶ active ──offer──▶ opening (next ordinal) …
 *
 * R1  The call's id is stored by the orchestrator before the browser gets its answer: a call nobody knows of could not be
 *     hung up by anybody else.
 * R2  The sideband is attached, or known to be degraded, before the answer goes out: it replays nothing.
 * R3  A new offer hangs the old call up first. Two calls of one session never speak at once.
 * R4  A call that was created and whose answer did not go out is hung up here.
 * R8  A call whose hang-up did not succeed, or that its sideband does not find any more, stays a debt of this worker: it is
 *     asked for again every while, and once more at the end. Only the hang-up's own answer strikes it from the books.
 * R5  How many calls there were is in the books: the claim names the next one, and so does the answer to a wrong number,
 *     which changes nothing there. The browser is then asked for an offer under the right one.
 * R6  A provider that refuses is asked three times; a control plane or database that is away is waited for, up to `openMs`:
 *     the offer stays good, and nobody else can help.
 * R9  A session opens at most `callBurst` calls at once and one more every `callEveryMs`: each costs a credential and a call at
 *     the provider, whose limits all interviews share.
 * R7  An offer for the call after the one being opened waits for that: its page was reloaded in the meantime.
 */
export type OfferResult =
  | { kind: 'answered'; sdp: string; ordinal: number; sideband: 'ready' | 'degraded' }
  /** Nothing was changed; the session lives. */
  | { kind: 'refused'; code: ErrorCode; detail?: string }
  /** There is no way to a call: the session ends with this reason. */
  | { kind: 'failed'; code: ErrorCode; reason: SessionReason }
  | { kind: 'fenced' };

export interface Calls {
  /** @param ordinal what the browser was asked for; undefined: whatever is next. */
  offer(sdp: string, ordinal?: number): Promise<OfferResult>;
  /** Takes over the call that was under way on another machine. */
  takeOver(open: NonNullable<ClaimResponse['open_call']>): void;
  /** The call under way, or the one to be offered next. */
  readonly ordinal: number;
  readonly active: boolean;
  /** An offer is being worked on. */
  readonly opening: boolean;
  /** Whether anything more can be heard of the call under way, just now. */
  readonly attached: boolean;
  /** No more offers; the call is listened to until `close`. */
  stop(): void;
  /** Hangs up what is under way. True when nothing is (any more). */
  hangUp(signal: AbortSignal): Promise<boolean>;
  close(): void;
}

export interface CallsDeps {
  clock: Clock;
  log: Logger;
  orchestrator: Pick<Orchestrator, 'openCall' | 'updateCall'>;
  voice: Voice;
  /** R5: the call to be offered next, unless one is taken over. */
  nextOrdinal: number;
  /** How long an answer waits for the sideband, ms. */
  sidebandReadyMs: number;
  /** How long a hung-up call's sideband is still listened to, ms. */
  lateTranscriptMs: number;
  /** Before anything is heard of the call. */
  onOpened(ordinal: number, call: VoiceCall): void;
  onEvent(ordinal: number, event: VoiceEvent): void;
  /** No more is to be heard of this call. */
  onClosed(ordinal: number): void;
  random?: () => number;
}

interface Active {
  ordinal: number;
  callId: string;
  credential: string;
  voice: VoiceCall;
}

/** What is needed to hang a call up. */
type Owed = Omit<Active, 'voice'>;
type Opened = { kind: 'opened'; value: OpenCallResponse };
const hangUpMs = 10_000;
/**
 * A new offer waits at most this long for the hang-up of the old call. The provider answers "no such call" for seconds when the
 * old page was closed, and the candidate on the new page must not wait for that. The hang-up goes on beside the new call.
 */
const retireWaitMs = 1_000;
/** R8. */
const owedRetryMs = 15_000;
/** R9. */
const callBurst = 8;
export const callEveryMs = 15_000;
const openTries = 3;
const openMs = 60_000;
const storeTries = 5;

export function createCalls(deps: CallsDeps): Calls {
  const { clock, log, orchestrator, voice, random = Math.random } = deps;
  const stopping = new AbortController();
  let active: Active | undefined;
  let next = deps.nextOrdinal;
  let opening: Promise<OfferResult> | undefined;
  /** R8. */
  const owed = new Map<number, Owed>();
  let paying: Timer | undefined;

  const rate = createRateLimit({
    perSecond: 1_000 / callEveryMs,
    burst: callBurst,
    nowMs: () => clock.monotonicMs(),
  });
  const pause = (attempt: number) =>
    clock.sleep(50 + backoffMs(attempt, { baseMs: 200, maxMs: 2_000, random }), stopping.signal).catch(() => undefined);

  const listen = (call: Owed, session: Record<string, unknown>, isNew: boolean): Active => {
    const attended = voice.attend({ ...call, session, isNew }, (event) => {
      if (event.type === 'gone') gone(listening);
      else deps.onEvent(call.ordinal, event);
    });
    const listening: Active = { ...call, voice: attended };
    deps.onOpened(call.ordinal, attended);
    return listening;
  };
  const gone = (call: Active) => {
    if (active !== call) return;
    active = undefined;
    next = call.ordinal + 1;
    log.warn({ ordinal: call.ordinal }, 'the realtime call is gone');
    void within(hangUpMs, (signal) => end(call, signal));
    deps.onClosed(call.ordinal);
    deps.onEvent(call.ordinal, { type: 'gone' });
  };

  const within = async <T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const limit = new AbortController();
    const timer = clock.setTimer(() => limit.abort(new Error('hang-up took too long')), limitMs);
    try {
      return await work(limit.signal);
    } finally {
      timer.cancel();
    }
  };

  /** R8. */
  const owe = (call: Owed): void => {
    owed.set(call.ordinal, call);
    paying ??= clock.setTimer(() => {
      paying = undefined;
      if (!stopping.signal.aborted) void within(hangUpMs, payOwed);
    }, owedRetryMs);
  };
  const payOwed = async (signal: AbortSignal): Promise<boolean> => {
    const paid = await Promise.all([...owed.values()].map((call) => end(call, signal)));
    return paid.every(Boolean);
  };

  /** Pays the debt of a call at the provider, then in the books. */
  const end = async ({ ordinal, callId, credential }: Owed, signal: AbortSignal): Promise<boolean> => {
    const over = await voice.hangUp(callId, credential, signal);
    if (!over) {
      log.error({ ordinal, call_id: callId }, 'the call could not be hung up');
      owe({ ordinal, callId, credential });
      return false;
    }
    owed.delete(ordinal);
    for (let attempt = 0; attempt === 0 || !signal.aborted; attempt += 1) {
      const answer = await orchestrator.updateCall(ordinal, { hung_up: true }, signal);
      if (answer.kind === 'ok' || !mayWorkLater(answer)) break;
      await clock.sleep(200 + backoffMs(attempt, { baseMs: 200, maxMs: 2_000, random }), signal).catch(() => undefined);
    }
    log.info({ ordinal, call_id: callId }, 'the call is hung up');
    return true;
  };

  /** R3. Late transcripts of the old call are still listened to for a while. */
  const retire = async (call: Active) => {
    active = undefined;
    next = call.ordinal + 1;
    call.voice.expectEnd();
    owed.set(call.ordinal, call);
    const ended = within(hangUpMs, (signal) => end(call, signal));
    await Promise.race([ended, clock.sleep(retireWaitMs, stopping.signal).catch(() => undefined)]);
    clock.setTimer(() => {
      call.voice.close();
      deps.onClosed(call.ordinal);
    }, deps.lateTranscriptMs);
  };

  const askForCall = async (): Promise<Opened | Exclude<OfferResult, { kind: 'answered' }>> => {
    const beganMs = clock.monotonicMs();
    for (let attempt = 0; ; attempt += 1) {
      const answer = await orchestrator.openCall(next, stopping.signal);
      if (answer.kind === 'ok') return { kind: 'opened', value: answer.value };
      // R5.
      const wrong = answer.code === 'conflict' ? wrongOrdinal.safeParse(answer.problem).data : undefined;
      if (wrong) {
        next = wrong.next_ordinal;
        return { kind: 'refused', code: 'conflict' };
      }
      const hopeless = !mayWorkLater(answer) || answer.code === 'provider_auth_failed';
      // R6.
      const patient = !answer.code?.startsWith('provider_') && clock.monotonicMs() - beganMs < openMs;
      if (hopeless || (!patient && attempt + 1 >= openTries) || stopping.signal.aborted) return refusal(answer);
      await pause(attempt);
    }
  };

  /** R1. */
  const storeCallId = async (ordinal: number, callId: string): Promise<boolean> => {
    for (let attempt = 0; attempt < storeTries && !stopping.signal.aborted; attempt += 1) {
      const answer = await orchestrator.updateCall(ordinal, { call_id: callId }, stopping.signal);
      if (answer.kind === 'ok') return true;
      if (!mayWorkLater(answer)) return false;
      await pause(attempt);
    }
    return false;
  };

  const open = async (sdp: string): Promise<OfferResult> => {
    if (active) await retire(active);
    const opened = await askForCall();
    if (opened.kind !== 'opened') return opened;
    const { ordinal, credential, session, form } = opened.value;
    const created = await voice.createCall(
      { offer: sdp, form, session, credential: credential.value },
      stopping.signal,
    );
    if (created.kind === 'failed') {
      log.warn({ ordinal, code: created.code, status_code: created.status }, 'the provider made no call');
      return { kind: 'failed', code: created.code, reason: created.reason };
    }
    const call = { ordinal, callId: created.callId, credential: credential.value };
    log.info({ ordinal, call_id: call.callId }, 'realtime call created');
    if (!(await storeCallId(ordinal, call.callId)) || stopping.signal.aborted) return abandon(call);
    active = listen(call, session, true);
    const sideband = await active.voice.ready(deps.sidebandReadyMs);
    if (sideband === 'degraded') {
      log.warn({ ordinal }, 'no sideband: the transcript is the candidate’s copies only');
      deps.onEvent(ordinal, { type: 'missing' });
    }
    return { kind: 'answered', sdp: created.answer, ordinal, sideband };
  };
  /** R4. */
  const abandon = async (call: Owed): Promise<OfferResult> => {
    await within(hangUpMs, (signal) => end(call, signal));
    next = call.ordinal + 1;
    return { kind: 'refused', code: 'internal_error', detail: 'The call could not be recorded. Try again.' };
  };

  const calls: Calls = {
    offer: async (sdp, ordinal) => {
      const problem = voice.offerProblem(sdp);
      if (problem) return { kind: 'refused', code: 'invalid_sdp', detail: `The SDP offer is not valid: ${problem}.` };
      // R7.
      if (opening && ordinal === calls.ordinal + 1) await opening.catch(() => undefined);
      if (opening || stopping.signal.aborted) return { kind: 'refused', code: 'call_not_allowed' };
      const expected = active ? active.ordinal + 1 : next;
      if (ordinal !== undefined && ordinal !== expected) {
        return { kind: 'refused', code: 'call_not_allowed', detail: `The next call is number ${expected}.` };
      }
      if (!rate.take()) return { kind: 'refused', code: 'rate_limited', detail: 'Calls are opened too often.' }; // R9
      opening = open(sdp);
      try {
        return await opening;
      } finally {
        opening = undefined;
      }
    },
    takeOver: ({ ordinal, call_id, credential, session = {} }) => {
      next = ordinal;
      if (call_id !== null) active = listen({ ordinal, callId: call_id, credential }, session, false);
    },
    get ordinal() {
      return active?.ordinal ?? next;
    },
    get active() {
      return active !== undefined;
    },
    get opening() {
      return opening !== undefined;
    },
    get attached() {
      return active?.voice.attached ?? false;
    },
    stop: () => stopping.abort(new Error('the session is ending')),
    hangUp: async (signal) => {
      await opening?.catch(() => undefined);
      paying?.cancel();
      active?.voice.expectEnd();
      if (active) owed.set(active.ordinal, active);
      return payOwed(signal);
    },
    close: () => {
      paying?.cancel();
      active?.voice.close();
    },
  };
  return calls;
}

function refusal(answer: Extract<Answer<unknown>, { kind: 'failed' }>): Exclude<OfferResult, { kind: 'answered' }> {
  switch (answer.code) {
    case 'provider_auth_failed':
    case 'provider_rate_limited':
    case 'provider_unavailable':
      return { kind: 'failed', code: answer.code, reason: answer.code };
    case 'fenced':
      return { kind: 'fenced' };
    case undefined:
      return { kind: 'refused', code: 'internal_error' };
    case 'consent_required':
      return { kind: 'refused', code: 'consent_required' };
    default:
      return { kind: 'refused', code: mayWorkLater(answer) ? 'internal_error' : 'call_not_allowed' };
  }
}
