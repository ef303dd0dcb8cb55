import { createHash } from 'node:crypto';
import type { CallCredential, CallForm } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { z } from 'zod';
import { createJsonClient, type JsonAnswer } from '../net/json-client.ts';
import type { ProviderAccess } from './provider-access.ts';

/**
 * The orchestrator's client of the voice provider. It mints ephemeral credentials and hangs up calls of workers that are gone.
 *
 * - It retries nothing: the worker decides about minting, and `hang-up.ts` has its own schedule.
 * - Each request goes to the base URL of the credential that it carries, and a credential is never sent to another.
 * - Azure expects the resource's key in a separate header, and only for minting.
 * - If the operator accepted it, nothing is minted: the credential is the standing key, and the worker sends the session
 *   configuration with its offer.
 * - Errors are classified once, by status and body. A body is never logged.
 */
export interface VoiceProviderOptions {
  provider: 'openai' | 'azure';
  calls: 'two_step' | 'unified';
  clock: Clock;
  requestMs: number;
  logger: Logger;
}

/** `transcriptionRefused`: the provider does not take the session's transcription model. */
export type ProviderFailure =
  | { kind: 'authFailed' }
  | { kind: 'rateLimited' }
  | { kind: 'unavailable' }
  | { kind: 'transcriptionRefused' };
export type MintOutcome = { kind: 'minted'; value: string; expiresAtMs: number; form: CallForm } | ProviderFailure;
/** `missing`: the provider answered that it has no such call. It has given this answer for running calls too. */
export type HangUpOutcome = { kind: 'over' } | { kind: 'missing' } | { kind: 'unclear' };

export interface VoiceProvider {
  /** @param lifeS 10–7,200 s: how long the credential can start calls. */
  mint(session: object, lifeS: number, sessionId: string, access: ProviderAccess): Promise<MintOutcome>;
  /**
   * Tries the credential that created the call, and if the provider refuses that, the standing key once.
   * @param standing the standing key. One that belongs to another base URL is not tried.
   */
  hangUp(callId: string, credential: CallCredential, standing?: ProviderAccess): Promise<HangUpOutcome>;
  close(): Promise<void>;
}

const minted = z.object({ value: z.string().min(1), expires_at: z.number() });
const errorBody = z.object({
  error: z.object({ code: z.string().nullish(), param: z.string().nullish(), message: z.string().nullish() }),
});

type Answer = Pick<JsonAnswer, 'status' | 'body'>;

const codeOf = ({ body }: Answer) => errorBody.safeParse(body).data?.error.code ?? undefined;
/** The key's project is bound to a region with another base URL. */
const isElsewhere = (answer: Answer): boolean => codeOf(answer) === 'incorrect_hostname';

const isDone = ({ status }: Answer): boolean => status >= 200 && status < 300;

/** Whether an answer refuses a session because of its transcription model. */
export function refusesTranscription({ status, body }: Answer): boolean {
  const { param, message } = errorBody.safeParse(body).data?.error ?? {};
  return status === 400 && /transcription/.test(`${param} ${message}`);
}

/** Classifies an error by status and body. */
function classify(answer: Answer): ProviderFailure {
  const { status } = answer;
  if (status === 401 || status === 403) return { kind: 'authFailed' };
  if (refusesTranscription(answer)) return { kind: 'transcriptionRefused' };
  return status === 429 ? { kind: 'rateLimited' } : { kind: 'unavailable' };
}

/** The provider's identifier for abuse reports. It does not reveal whose session it is. */
const safetyIdentifier = (sessionId: string): string => createHash('sha256').update(sessionId).digest('hex');

export function createVoiceProvider(options: VoiceProviderOptions): VoiceProvider {
  const { requestMs, logger, clock } = options;
  const client = createJsonClient({ connections: 32, requestMs });

  const post = async (
    url: string,
    authorization: Record<string, string>,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    try {
      return await client.ask({ method: 'POST', url, headers: { ...authorization, ...headers }, body });
    } catch (error) {
      logger.warn({ error }, 'the voice provider did not answer');
      return { status: 0, body: undefined };
    }
  };

  const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });
  /** The header that carries the key. */
  const standing = (key: string): Record<string, string> =>
    options.provider === 'azure' ? { 'api-key': key } : bearer(key);

  return {
    mint: async (session, lifeS, sessionId, { apiKey, baseUrl }) => {
      if (options.calls === 'unified')
        return { kind: 'minted', value: apiKey, expiresAtMs: clock.now() + lifeS * 1_000, form: 'multipart' };
      const body = { expires_after: { anchor: 'created_at', seconds: lifeS }, session };
      const headers = { 'openai-safety-identifier': safetyIdentifier(sessionId) };
      const answer = await post(`${baseUrl}/realtime/client_secrets`, standing(apiKey), body, headers);
      const secret = answer.status === 200 ? minted.safeParse(answer.body) : undefined;
      if (secret?.success)
        return { kind: 'minted', value: secret.data.value, expiresAtMs: secret.data.expires_at * 1_000, form: 'raw' };
      const failure = classify(answer);
      logger.warn(
        { session_id: sessionId, status_code: answer.status, kind: failure.kind, code: codeOf(answer) },
        isElsewhere(answer)
          ? "no credential was minted: the key's project is in another region, so the key needs that region's base URL"
          : 'no credential was minted',
      );
      return failure;
    },
    hangUp: async (callId, { value, base_url }, own) => {
      const url = `${base_url}/realtime/calls/${encodeURIComponent(callId)}/hangup`;
      const answer = await post(url, bearer(value));
      if (isDone(answer)) return { kind: 'over' };
      // The creating credential's "no such call" decides: the standing key may get it about a running call.
      const refused = answer.status === 401 || answer.status === 403 || answer.status === 404;
      const other = own?.baseUrl === base_url && own.apiKey !== value ? own.apiKey : undefined;
      if (refused && other !== undefined && isDone(await post(url, standing(other)))) return { kind: 'over' };
      return { kind: codeOf(answer) === 'call_id_not_found' ? 'missing' : 'unclear' };
    },
    close: client.close,
  };
}
