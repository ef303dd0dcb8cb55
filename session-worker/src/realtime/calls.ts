import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import {
  type CallCredential,
  type ClaimResponse,
  type OpenCallResponse,
  wrongOrdinal,
} from '@greenroom/shared/protocol/worker-api.ts';
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
 * - The orchestrator stores the call's id before the browser gets its answer: otherwise nothing but this
 *   worker could hang the call up.
 * - The sideband is attached while the id is stored and while the answer travels to the browser: the interviewer
 *   says nothing before it is attached.
 * - A credential may be requested ahead, when a candidate's socket arrives. An offer within `aheadMs` uses it.
 * - A new offer first hangs up the old call, so that two calls of one session never speak at once.
 * - If a call was created but its answer was not sent, it is hung up here.
 * - A call whose hang-up failed, or whose sideband reports it gone, stays in `unended`: its hang-up is
 *   retried periodically and once more at the end. Only a confirmed hang-up removes it.
 * - The database counts the calls. The claim's answer names the next ordinal, and so does the answer to a
 *   wrong ordinal; the browser is then asked for an offer with the right one.
 * - A refusal by the provider is retried up to three tries. An unreachable control plane is retried for up to
 *   `openMs`: the offer stays valid.
 * - A session may open `callBurst` calls at once and one more every `callEveryMs`: each needs a credential
 *   and a call at the provider, whose limits all interviews share.
 * - An offer for the call after the one being opened, or without an ordinal, waits for that one: the page was
 *   reloaded in the meantime.
 */
export type OfferResult =
  | { kind: 'answered'; sdp: string; ordinal: number }
  /** Nothing was changed; the session continues. */
  | { kind: 'refused'; code: ErrorCode; detail?: string }
  /** No call is possible: the session ends with this reason. */
  | { kind: 'failed'; code: ErrorCode; reason: SessionReason }
  | { kind: 'fenced' };

export interface Calls {
  /** Requests the next call's credential ahead, unless a call is up or one was requested less than `aheadMs` ago. */
  prepare(): void;
  /** @param ordinal the one the browser was asked for. Default: the next one. */
  offer(sdp: string, ordinal?: number): Promise<OfferResult>;
  /** Takes over the call that was under way on another machine. */
  takeOver(open: NonNullable<ClaimResponse['open_call']>): void;
  /** Ordinal of the active call, or else of the next one. */
  readonly ordinal: number;
  readonly active: boolean;
  /** True while an offer is being handled. */
  readonly opening: boolean;
  /** Whether events of the active call are being received. */
  readonly attached: boolean;
  /** Refuses further offers. The active call is still listened to until `close`. */
  stop(): void;
  /** Hangs up every call that is still up. True when all are confirmed. */
  hangUp(signal: AbortSignal): Promise<boolean>;
  close(): void;
}

export interface CallsDeps {
  clock: Clock;
  log: Logger;
  orchestrator: Pick<Orchestrator, 'openCall' | 'updateCall'>;
  voice: Voice;
  /** Ordinal of the first call, unless one is taken over. */
  nextOrdinal: number;
  /** A call whose sideband is not attached by then is reported as `missing`, ms. */
  sidebandReadyMs: number;
  /** How long a hung-up call's sideband is still listened to, ms. */
  lateTranscriptMs: number;
  /** The orchestrator has answered with a credential for a call, and says how long the session may last now. */
  onCredential(maxDurationMs: number | undefined): void;
  /** Called before the first event of the call. */
  onOpened(ordinal: number, call: VoiceCall): void;
  onEvent(ordinal: number, event: VoiceEvent): void;
  /** No more events of this call will come. */
  onClosed(ordinal: number): void;
  random?: () => number;
}

interface Active {
  ordinal: number;
  callId: string;
  credential: CallCredential;
  voice: VoiceCall;
}

/** What is needed to hang a call up. */
type CallToHangUp = Omit<Active, 'voice'>;
type Opened = { kind: 'opened'; value: OpenCallResponse };
const hangUpMs = 10_000;
/**
 * A new offer waits at most this long for the hang-up of the old call. After the old page was closed, the
 * provider may answer "no such call" for seconds, and the candidate must not wait for that. The hang-up
 * continues in parallel.
 */
const retireWaitMs = 1_000;
/** How often a failed hang-up is retried, ms. */
const hangUpRetryMs = 15_000;
const callBurst = 8;
export const callEveryMs = 15_000;
/** A credential that was requested ahead is used for this long, ms. */
const aheadMs = 45_000;
const openTries = 3;
const openMs = 60_000;
const storeTries = 5;

export function createCalls(deps: CallsDeps): Calls {
  const { clock, log, orchestrator, voice, random = Math.random } = deps;
  const stopping = new AbortController();
  let active: Active | undefined;
  let next = deps.nextOrdinal;
  let opening: Promise<OfferResult> | undefined;
  /** A credential that was requested ahead. */
  let ahead: { ordinal: number; askedMs: number; answer: Promise<Answer<OpenCallResponse>> } | undefined;
  /** Calls that may still be up at the provider, by ordinal. */
  const unended = new Map<number, CallToHangUp>();
  let retryTimer: Timer | undefined;

  const rate = createRateLimit({
    perSecond: 1_000 / callEveryMs,
    burst: callBurst,
    nowMs: () => clock.monotonicMs(),
  });
  const pause = (attempt: number) =>
    clock.sleep(50 + backoffMs(attempt, { baseMs: 200, maxMs: 2_000, random }), stopping.signal).catch(() => undefined);

  const listen = (call: CallToHangUp, session: Record<string, unknown>, isNew: boolean): Active => {
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

  /** Schedules another hang-up of this call. */
  const retryLater = (call: CallToHangUp): void => {
    unended.set(call.ordinal, call);
    retryTimer ??= clock.setTimer(() => {
      retryTimer = undefined;
      if (!stopping.signal.aborted) void within(hangUpMs, hangUpAll);
    }, hangUpRetryMs);
  };
  const hangUpAll = async (signal: AbortSignal): Promise<boolean> => {
    const ended = await Promise.all([...unended.values()].map((call) => end(call, signal)));
    return ended.every(Boolean);
  };

  /** Hangs the call up at the provider, then records that. */
  const end = async ({ ordinal, callId, credential }: CallToHangUp, signal: AbortSignal): Promise<boolean> => {
    const over = await voice.hangUp(callId, credential, signal);
    if (!over) {
      log.error({ ordinal, call_id: callId }, 'the call could not be hung up; will retry');
      retryLater({ ordinal, callId, credential });
      return false;
    }
    unended.delete(ordinal);
    for (let attempt = 0; attempt === 0 || !signal.aborted; attempt += 1) {
      const answer = await orchestrator.updateCall(ordinal, { hung_up: true }, signal);
      if (answer.kind === 'ok' || !mayWorkLater(answer)) break;
      await clock.sleep(200 + backoffMs(attempt, { baseMs: 200, maxMs: 2_000, random }), signal).catch(() => undefined);
    }
    log.info({ ordinal, call_id: callId }, 'the call was hung up');
    return true;
  };

  /** Ends the old call before a new one. Its late transcripts are still received for `lateTranscriptMs`. */
  const retire = async (call: Active) => {
    active = undefined;
    next = call.ordinal + 1;
    call.voice.expectEnd();
    unended.set(call.ordinal, call);
    const ended = within(hangUpMs, (signal) => end(call, signal));
    await Promise.race([ended, clock.sleep(retireWaitMs, stopping.signal).catch(() => undefined)]);
    clock.setTimer(() => {
      call.voice.close();
      deps.onClosed(call.ordinal);
    }, deps.lateTranscriptMs);
  };

  const isFresh = (asked: typeof ahead): asked is NonNullable<typeof ahead> =>
    asked !== undefined && asked.ordinal === next && clock.monotonicMs() - asked.askedMs < aheadMs;
  const prepare = (): void => {
    if (active || opening || stopping.signal.aborted || isFresh(ahead)) return;
    const asked = { ordinal: next, askedMs: clock.monotonicMs(), answer: orchestrator.openCall(next, stopping.signal) };
    ahead = asked;
    // A refusal is left to the offer, which asks again and reports it.
    void asked.answer.then(({ kind }) => {
      if (kind !== 'ok' && ahead === asked) ahead = undefined;
    });
  };
  /** The answer to what was requested ahead, if it may still be used. */
  const takeAhead = async (): Promise<Opened | undefined> => {
    const asked = ahead;
    ahead = undefined;
    const answer = isFresh(asked) ? await asked.answer : undefined;
    return answer?.kind === 'ok' ? { kind: 'opened', value: answer.value } : undefined;
  };

  const askForCall = async (): Promise<Opened | Exclude<OfferResult, { kind: 'answered' }>> => {
    const taken = await takeAhead();
    if (taken) return taken;
    const beganMs = clock.monotonicMs();
    for (let attempt = 0; ; attempt += 1) {
      const answer = await orchestrator.openCall(next, stopping.signal);
      if (answer.kind === 'ok') return { kind: 'opened', value: answer.value };
      const wrong = answer.code === 'conflict' ? wrongOrdinal.safeParse(answer.problem).data : undefined;
      if (wrong) {
        next = wrong.next_ordinal;
        return { kind: 'refused', code: 'conflict' };
      }
      const hopeless = !mayWorkLater(answer) || answer.code === 'provider_auth_failed';
      // Errors of the provider are limited by `openTries`, errors of the control plane by `openMs`.
      const patient = !answer.code?.startsWith('provider_') && clock.monotonicMs() - beganMs < openMs;
      if (hopeless || (!patient && attempt + 1 >= openTries) || stopping.signal.aborted) return refusal(answer);
      await pause(attempt);
    }
  };

  /** Stores the call's id at the orchestrator. False when that failed; the call is then hung up. */
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
    const { ordinal, credential, session, form, max_duration_ms } = opened.value;
    deps.onCredential(max_duration_ms);
    const created = await voice.createCall({ offer: sdp, form, session, credential }, stopping.signal);
    if (created.kind === 'failed') {
      log.warn({ ordinal, code: created.code, status_code: created.status }, 'the provider did not create the call');
      return { kind: 'failed', code: created.code, reason: created.reason };
    }
    const call = { ordinal, callId: created.callId, credential };
    log.info({ ordinal, call_id: call.callId }, 'realtime call created');
    const listening = listen(call, session, true);
    active = listening;
    const isStored = await storeCallId(ordinal, call.callId);
    if (!isStored || stopping.signal.aborted || active !== listening) return abandon(listening);
    void reportMissing(listening);
    return { kind: 'answered', sdp: created.answer, ordinal };
  };
  const reportMissing = async (call: Active): Promise<void> => {
    if ((await call.voice.ready(deps.sidebandReadyMs)) === 'ready' || active !== call) return;
    log.warn({ ordinal: call.ordinal }, 'no sideband: only the browser’s copies of the transcript are available');
    deps.onEvent(call.ordinal, { type: 'missing' });
  };
  /** Hangs up a call whose id could not be stored, or that is already gone. */
  const abandon = async (call: Active): Promise<OfferResult> => {
    if (active === call) {
      active = undefined;
      call.voice.expectEnd();
      await within(hangUpMs, (signal) => end(call, signal));
      call.voice.close();
      deps.onClosed(call.ordinal);
    }
    next = call.ordinal + 1;
    return { kind: 'refused', code: 'internal_error', detail: 'The call could not be recorded. Send a new offer.' };
  };

  const calls: Calls = {
    prepare,
    offer: async (sdp, ordinal) => {
      const problem = voice.offerProblem(sdp);
      if (problem) return { kind: 'refused', code: 'invalid_sdp', detail: `The SDP offer is not valid: ${problem}.` };
      // The page was reloaded while its first offer was being handled: wait for that one.
      if (opening && (ordinal === undefined || ordinal === calls.ordinal + 1)) await opening.catch(() => undefined);
      if (opening || stopping.signal.aborted) return { kind: 'refused', code: 'call_not_allowed' };
      const expected = active ? active.ordinal + 1 : next;
      if (ordinal !== undefined && ordinal !== expected) {
        return { kind: 'refused', code: 'call_not_allowed', detail: `The next call is number ${expected}.` };
      }
      if (!rate.take())
        return { kind: 'refused', code: 'rate_limited', detail: 'Calls are opened too often. Wait for call_required.' };
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
      retryTimer?.cancel();
      active?.voice.expectEnd();
      if (active) unended.set(active.ordinal, active);
      return hangUpAll(signal);
    },
    close: () => {
      retryTimer?.cancel();
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
