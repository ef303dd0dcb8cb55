import { createHash } from 'node:crypto';
import type { CallForm } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { z } from 'zod';
import { createJsonClient, type JsonAnswer } from '../net/json-client.ts';

/**
 * The one door of the orchestrator to the voice provider: it mints ephemeral credentials and hangs up what is left over.
 *
 * V1  It never retries: the worker that asked decides, and the hang-up has its own schedule.
 * V2  Azure takes the resource's key in a header of its own, and only for minting.
 * V3  Where the operator accepted it, nothing is minted: the standing key is the credential, and the worker sends the
 *     session with its offer.
 * V4  An error is classified once, from status and body; a body is never logged.
 */
export interface VoiceProviderOptions {
  provider: 'openai' | 'azure';
  calls: 'two_step' | 'unified';
  baseUrl: string;
  apiKey: string;
  clock: Clock;
  requestMs: number;
  logger: Logger;
}

export type ProviderFailure = { kind: 'authFailed' } | { kind: 'rateLimited' } | { kind: 'unavailable' };
export type MintOutcome = { kind: 'minted'; value: string; expiresAtMs: number; form: CallForm } | ProviderFailure;
/** `missing`: the provider itself says that it has no such call, as it has said of calls that ran. */
export type HangUpOutcome = { kind: 'over' } | { kind: 'missing' } | { kind: 'unclear' };

export interface MintOptions {
  /** A tenant's own standing key. Default: the deployment's. */
  apiKey?: string | undefined;
}

export interface VoiceProvider {
  /** @param lifeS 10–7,200 s: how long the credential can start calls. */
  mint(session: object, lifeS: number, sessionId: string, options?: MintOptions): Promise<MintOutcome>;
  /** @param credential the one that created the call: no other may end it. */
  hangUp(callId: string, credential: string): Promise<HangUpOutcome>;
  close(): Promise<void>;
}

const minted = z.object({ value: z.string().min(1), expires_at: z.number() });
const errorBody = z.object({ error: z.object({ code: z.string().nullish() }) });

type Answer = Pick<JsonAnswer, 'status' | 'body'>;

/** V4. */
function classify({ status }: Answer): ProviderFailure {
  if (status === 401 || status === 403) return { kind: 'authFailed' };
  return status === 429 ? { kind: 'rateLimited' } : { kind: 'unavailable' };
}

/** The provider's handle for abuse reports: says nothing about whose session it is. */
const safetyIdentifier = (sessionId: string): string => createHash('sha256').update(sessionId).digest('hex');

export function createVoiceProvider(options: VoiceProviderOptions): VoiceProvider {
  const { baseUrl, apiKey, requestMs, logger, clock } = options;
  const client = createJsonClient({ baseUrl, connections: 32, requestMs });

  const post = async (
    path: string,
    authorization: Record<string, string>,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    try {
      return await client.ask({ method: 'POST', path, headers: { ...authorization, ...headers }, body });
    } catch (error) {
      logger.warn({ error }, 'the voice provider did not answer');
      return { status: 0, body: undefined };
    }
  };

  const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });
  /** V2. */
  const standing = (key: string): Record<string, string> =>
    options.provider === 'azure' ? { 'api-key': key } : bearer(key);

  return {
    mint: async (session, lifeS, sessionId, { apiKey: ownKey = apiKey } = {}) => {
      if (options.calls === 'unified')
        return { kind: 'minted', value: ownKey, expiresAtMs: clock.now() + lifeS * 1_000, form: 'multipart' }; // V3
      const body = { expires_after: { anchor: 'created_at', seconds: lifeS }, session };
      const headers = { 'openai-safety-identifier': safetyIdentifier(sessionId) };
      const answer = await post('/realtime/client_secrets', standing(ownKey), body, headers);
      const secret = answer.status === 200 ? minted.safeParse(answer.body) : undefined;
      if (secret?.success)
        return { kind: 'minted', value: secret.data.value, expiresAtMs: secret.data.expires_at * 1_000, form: 'raw' };
      const failure = classify(answer);
      logger.warn(
        { session_id: sessionId, status_code: answer.status, kind: failure.kind },
        'no credential was minted',
      );
      return failure;
    },
    hangUp: async (callId, credential) => {
      const answer = await post(`/realtime/calls/${encodeURIComponent(callId)}/hangup`, bearer(credential));
      const code = errorBody.safeParse(answer.body).data?.error.code;
      if (answer.status >= 200 && answer.status < 300) return { kind: 'over' };
      return { kind: code === 'call_id_not_found' ? 'missing' : 'unclear' };
    },
    close: client.close,
  };
}
