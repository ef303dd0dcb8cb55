import { createHash } from 'node:crypto';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import type OpenAI from 'openai';
import { z } from 'zod';
import type { ProviderAccess } from '../voice/provider-access.ts';

/**
 * Client of the model that evaluates interviews. It uses the provider's Responses API through the official
 * package.
 *
 * - It never retries: evaluations are stored as work to do and have their own retry schedule (retry.ts).
 * - A response is classified here and nowhere else, from its status, body and shape. The text of a request or a
 *   response is never logged. A response that the provider cannot have sent (a proxy's error page, JSON of
 *   another shape) counts as `unavailable` and is retried.
 * - The package is loaded with the first question, because it is large and start-up does not need it.
 * - The provider stores nothing (`store: false`) and receives only a hash of the session id.
 */
export interface Question<T> {
  /** Name of the answer's schema: `^[a-z_]+$`. */
  name: string;
  schema: z.ZodType<T>;
  instructions: string;
  input: string;
  sessionId: string;
  maxOutputTokens: number;
}

export interface AskOptions {
  signal?: AbortSignal;
  access: ProviderAccess;
}

export type Answer<T> =
  | { kind: 'answered'; value: T }
  /** The model declined; `text` is what it said. */
  | { kind: 'refused'; text: string }
  /** `output`: the answer reached the output limit. `input`: the question is too long for the model. */
  | { kind: 'incomplete'; why: 'output' | 'input' }
  /** The answer is complete but does not match the schema. */
  | { kind: 'invalid' }
  | { kind: 'authFailed' }
  | { kind: 'rateLimited'; retryAfterMs: number | undefined }
  | { kind: 'unavailable' }
  /** The provider does not accept the request. A retry would be refused again. */
  | { kind: 'rejected'; detail: string };

export type Ask = <T>(question: Question<T>) => Promise<Answer<T>>;
export type AskModel = <T>(question: Question<T>, options: AskOptions) => Promise<Answer<T>>;

export interface ModelOptions {
  model: string;
  /** Limit of one request, ms. */
  requestMs: number;
}

interface Library {
  clientOf: (access: ProviderAccess) => OpenAI;
  APIError: typeof OpenAI.APIError;
  APIUserAbortError: typeof OpenAI.APIUserAbortError;
  zodTextFormat: typeof import('openai/helpers/zod').zodTextFormat;
}

async function load({ requestMs }: ModelOptions): Promise<Library> {
  const [{ default: Client }, { zodTextFormat }] = await Promise.all([import('openai'), import('openai/helpers/zod')]);
  const clientOf = ({ apiKey, baseUrl }: ProviderAccess) =>
    new Client({
      apiKey,
      baseURL: baseUrl,
      timeout: requestMs,
      maxRetries: 0,
      organization: null,
      project: null,
      logLevel: 'off', // The package would log request and response bodies.
    });
  return { clientOf, zodTextFormat, APIError: Client.APIError, APIUserAbortError: Client.APIUserAbortError };
}

/** An exhausted quota is answered with 429 too, but retrying within seconds is pointless. */
const usedUpMs = 300_000;

export interface ProviderError {
  status: number | undefined;
  code?: string | null | undefined;
  /** `invalid_request_error`, …: present in the provider's own errors. */
  type?: string | undefined;
  headers?: Headers | undefined;
}

/** Classifies an error response. An undefined status means that no response came. */
export function classifyError({
  status,
  code,
  type,
  headers,
}: ProviderError): Exclude<Answer<never>, { kind: 'answered' }> {
  if (code === 'context_length_exceeded') return { kind: 'incomplete', why: 'input' };
  if (status === 401 || status === 403) return { kind: 'authFailed' };
  if (code === 'insufficient_quota') return { kind: 'rateLimited', retryAfterMs: usedUpMs };
  if (status === 429) return { kind: 'rateLimited', retryAfterMs: readRetryAfter(headers?.get('retry-after')) };
  if (status === undefined || status >= 500 || status === 408 || status === 409) return { kind: 'unavailable' };
  if (!code && !type) return { kind: 'unavailable' }; // Written by a proxy, not by the provider.
  return { kind: 'rejected', detail: `HTTP ${status}${code ? `, ${code}` : ''}` };
}

const part = z.union([
  z.object({ type: z.literal('output_text'), text: z.string() }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  z.looseObject({ type: z.string() }).transform(() => undefined),
]);
/** The fields of a response that are used here. */
const modelResponse = z.object({
  object: z.literal('response'),
  status: z.enum(['completed', 'failed', 'in_progress', 'cancelled', 'queued', 'incomplete']),
  error: z.object({ code: z.string() }).nullish(),
  incomplete_details: z.object({ reason: z.string().optional() }).nullish(),
  output: z.array(z.looseObject({ type: z.string(), content: z.array(part).optional() })),
});
type ModelResponse = z.output<typeof modelResponse>;

const partsOf = ({ output }: ModelResponse) =>
  output.flatMap(({ type, content = [] }) => (type === 'message' ? content : []));

function valueIn<T>(response: ModelResponse, schema: z.ZodType<T>): Answer<T> {
  const text = partsOf(response).flatMap((one) => (one && 'text' in one ? [one.text] : []));
  try {
    const parsed = schema.safeParse(JSON.parse(text.join('')));
    return parsed.success ? { kind: 'answered', value: parsed.data } : { kind: 'invalid' };
  } catch {
    return { kind: 'invalid' };
  }
}

/** Classifies a response with status `failed`. Its HTTP status was 200, so only its error code tells the cause. */
function classifyFailure(code: string | undefined): Answer<never> {
  if (code === 'rate_limit_exceeded') return { kind: 'rateLimited', retryAfterMs: undefined };
  return code === 'invalid_prompt' ? { kind: 'rejected', detail: code } : { kind: 'unavailable' };
}

/** Classifies a response body. Only `completed` counts: the request is synchronous, so `in_progress` is unexpected. */
export function classifyAnswer<T>(body: unknown, schema: z.ZodType<T>): Answer<T> {
  const response = modelResponse.safeParse(body).data;
  if (response === undefined) return { kind: 'unavailable' };
  const [refusal] = partsOf(response).flatMap((one) => (one && 'refusal' in one ? [one.refusal] : []));
  if (refusal !== undefined) return { kind: 'refused', text: refusal };
  if (response.incomplete_details?.reason === 'content_filter')
    return { kind: 'refused', text: "The provider's content filter stopped the answer." };
  if (response.status === 'incomplete') return { kind: 'incomplete', why: 'output' };
  return response.status === 'completed' ? valueIn(response, schema) : classifyFailure(response.error?.code);
}

/** @returns a function that asks one question. It throws only when its signal aborts. */
export function createModel(options: ModelOptions): AskModel {
  let library: Promise<Library> | undefined;
  return async (question, { signal, access }) => {
    library ??= load(options);
    const { clientOf, zodTextFormat, APIError, APIUserAbortError } = await library;
    const { name, schema, instructions, input, maxOutputTokens, sessionId } = question;
    try {
      const response = await clientOf(access).responses.create(
        {
          model: options.model,
          instructions,
          input: [{ role: 'user', content: input }],
          text: { format: zodTextFormat(schema, name) },
          max_output_tokens: maxOutputTokens,
          store: false,
          safety_identifier: createHash('sha256').update(sessionId).digest('hex'),
        },
        signal ? { signal } : {},
      );
      return classifyAnswer(response, schema);
    } catch (error) {
      if (error instanceof APIUserAbortError) throw error;
      if (error instanceof APIError) return classifyError(error as ProviderError);
      return { kind: 'unavailable' };
    }
  };
}
