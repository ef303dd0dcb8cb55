import type { CallCredential } from '@greenroom/shared/protocol/worker-api.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { Http, HttpAnswer } from '../../outside/http.ts';
import type { CreatedCall, VoiceFailure } from '../voice.ts';
import { asObject, type Json } from './events.ts';
import { looksLikeAnswer } from './sdp.ts';

/**
 * Client of the voice provider's HTTP API, and the only place that retries its requests.
 *
 * - There are two forms of an offer: the raw offer with an ephemeral credential that already belongs to a
 *   session; or offer and session in one multipart body with a standing key, where the operator allows that.
 * - A call is created, observed and hung up with the credential minted for it: the live service answers 404
 *   to any other.
 * - 429, 5xx and no answer are retried, three tries in all; 401 and 403 never. A lost answer can leave a call
 *   without media, which the provider ends by itself.
 * - A hang-up is confirmed by a 2xx answer. "No such call" (the provider's own error, with the call's own
 *   credential) counts only after several in a row, and never for a call made less than `youngMs` ago: the
 *   provider has answered so about running calls. Any other 404 does not come from the provider.
 */

/** The two forms in which a call is requested. */
export type Offer = { form: 'raw'; sdp: string } | { form: 'multipart'; sdp: string; session: Json };

export interface Provider {
  createCall(offer: Offer, credential: CallCredential, signal?: AbortSignal): Promise<CreatedCall>;
  /** True when the call is over. Tries until the signal aborts. */
  hangUp(callId: string, credential: CallCredential, signal?: AbortSignal): Promise<boolean>;
  /** The URL of a call's sideband. */
  sidebandUrl(callId: string, credential: CallCredential): string;
}

export interface ProviderDeps {
  http: Http;
  clock: Clock;
  /** Whether to use Azure's filter for what the browser may send over its data channel. */
  webrtcFilter: boolean;
  /** Limit of one request, ms. */
  requestMs: number;
  random?: () => number;
}

const maxTries = 3;
/** Pauses between the "no such call" answers that must come in a row. */
const missingPausesMs = [500, 1_000];
/** Pause between further tries for a young call. */
const missingPauseMs = 2_000;
/** For a call younger than this, "no such call" may mean "not there yet". */
const youngMs = 30_000;

export function createProvider(deps: ProviderDeps): Provider {
  const { http, clock, requestMs, random = Math.random } = deps;
  /** When this worker made each call, on its monotonic clock. A call that was taken over is not young. */
  const madeMs = new Map<string, number>();
  const isYoung = (callId: string): boolean =>
    clock.monotonicMs() - (madeMs.get(callId) ?? Number.NEGATIVE_INFINITY) < youngMs;
  const pause = (attempt: number, signal?: AbortSignal) =>
    clock.sleep(100 + backoffMs(attempt, { baseMs: 250, maxMs: 3_000, random }), signal).catch(() => undefined);
  const post = async (
    path: string,
    credential: CallCredential,
    more: { body?: string; contentType?: string; signal?: AbortSignal | undefined },
  ) => {
    const headers = {
      authorization: `Bearer ${credential.value}`,
      ...(more.contentType ? { 'content-type': more.contentType } : {}),
    };
    const request = { method: 'POST' as const, url: credential.base_url + path, headers, timeoutMs: requestMs };
    return http({
      ...request,
      ...(more.body === undefined ? {} : { body: more.body }),
      ...(more.signal ? { signal: more.signal } : {}),
    }).catch(() => undefined);
  };

  return {
    createCall: async (offer, credential, signal) => {
      const body = bodyOf(offer);
      const path = `/realtime/calls${deps.webrtcFilter ? '?webrtcfilter=on' : ''}`;
      for (let attempt = 0; ; attempt += 1) {
        const answer = await post(path, credential, { ...body, signal });
        const call = readCall(answer);
        if (call.kind === 'created') madeMs.set(call.callId, clock.monotonicMs());
        if (call.kind === 'created' || !mayRetry(answer) || attempt + 1 >= maxTries || signal?.aborted) return call;
        await pause(attempt, signal);
      }
    },
    hangUp: async (callId, credential, signal) => {
      let missed = 0;
      for (let attempt = 0; attempt === 0 || !signal?.aborted; attempt += 1) {
        const answer = await post(`/realtime/calls/${encodeURIComponent(callId)}/hangup`, credential, { signal });
        if (answer && answer.status >= 200 && answer.status < 300) return true;
        missed = answer && isMissing(answer) ? missed + 1 : 0;
        if (missed > missingPausesMs.length && !isYoung(callId)) return true;
        if (answer && missed === 0 && answer.status !== 404 && !mayRetry(answer)) return false;
        if (missed === 0) await pause(attempt, signal);
        else await clock.sleep(missingPausesMs[missed - 1] ?? missingPauseMs, signal).catch(() => undefined);
      }
      return false;
    },
    sidebandUrl: (callId, credential) =>
      `${credential.base_url.replace(/^http/, 'ws')}/realtime?call_id=${encodeURIComponent(callId)}`,
  };
}

/** The boundary is random, so that no offer can contain it. */
function bodyOf(offer: Offer): { body: string; contentType: string } {
  if (offer.form === 'raw') return { body: offer.sdp, contentType: 'application/sdp' };
  const boundary = `greenroom-${newSecret(18)}`;
  const part = (name: string, type: string, text: string) =>
    `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\ncontent-type: ${type}\r\n\r\n${text}\r\n`;
  const parts = [
    part('sdp', 'application/sdp', offer.sdp),
    part('session', 'application/json', JSON.stringify(offer.session)),
  ];
  return { body: `${parts.join('')}--${boundary}--\r\n`, contentType: `multipart/form-data; boundary=${boundary}` };
}

const mayRetry = (answer: HttpAnswer | undefined): boolean => {
  if (!answer) return true;
  if (answer.status === 429) return errorCode(answer) !== 'insufficient_quota';
  return answer.status >= 500;
};

function readCall(answer: HttpAnswer | undefined): CreatedCall {
  if (!answer || answer.status < 200 || answer.status >= 300) return failureOf(answer);
  const callId = answer.headers.location?.split(/[?#]/)[0]?.split('/').filter(Boolean).at(-1);
  if (!callId || !/^[\w-]{1,128}$/.test(callId) || !looksLikeAnswer(answer.body)) return failureOf(answer);
  return { kind: 'created', callId, answer: answer.body };
}

/** Classifies a failed try, from its raw status. */
function failureOf(answer: HttpAnswer | undefined): VoiceFailure {
  const status = answer?.status ?? 0;
  if (status === 401 || status === 403)
    return { kind: 'failed', code: 'provider_auth_failed', reason: 'provider_auth_failed', status };
  if (status !== 429) return { kind: 'failed', code: 'provider_unavailable', reason: 'provider_unavailable', status };
  const reason = answer && errorCode(answer) === 'insufficient_quota' ? 'quota_exceeded' : 'provider_rate_limited';
  return { kind: 'failed', code: 'provider_rate_limited', reason, status };
}

/** The provider itself says that it has no such call. */
const isMissing = (answer: HttpAnswer): boolean =>
  (answer.status === 404 || answer.status === 400) && errorCode(answer) === 'call_id_not_found';

function errorCode({ body }: HttpAnswer): unknown {
  try {
    return asObject(asObject(JSON.parse(body)).error).code;
  } catch {
    return undefined;
  }
}
