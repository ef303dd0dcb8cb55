import { createHash } from 'node:crypto';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import type OpenAI from 'openai';
import { z } from 'zod';

/**
 * The one door to the model that evaluates: the Responses API, by the official package.
 *
 * M1  It never retries: the work is durable and has its own schedule (retry.ts).
 * M2  An answer is classified once, here, from its status, body and shape; text of a request or an answer is never logged.
 *     What the provider cannot have sent (a proxy's page, JSON of another shape) is no answer: it is asked again.
 * M3  The package is loaded with the first question, not with the process: it is large, and most starts need it later.
 * M4  Nothing is kept at the provider (`store: false`), and the session is named to it by a hash alone.
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
  /** A tenant's own key. Default: the deployment's. */
  apiKey?: string | undefined;
}

export type Answer<T> =
  | { kind: 'answered'; value: T }
  /** The model declined; `text` is what it said. */
  | { kind: 'refused'; text: string }
  /** `output`: it ran out of tokens. `input`: the question is too long for it. */
  | { kind: 'incomplete'; why: 'output' | 'input' }
  /** Complete, and not of the schema. */
  | { kind: 'invalid' }
  | { kind: 'authFailed' }
  | { kind: 'rateLimited'; retryAfterMs: number | undefined }
  | { kind: 'unavailable' }
  /** The provider does not accept the request: another try would be the same. */
  | { kind: 'rejected'; detail: string };

export type Ask = <T>(question: Question<T>, options?: AskOptions) => Promise<Answer<T>>;

export interface ModelOptions {
  apiKey: string;
  /** `https://api.openai.com/v1` */
  baseUrl: string;
  model: string;
  /** Limit of one request, ms. */
  requestMs: number;
}

interface Library {
  client: OpenAI;
  APIError: typeof OpenAI.APIError;
  APIUserAbortError: typeof OpenAI.APIUserAbortError;
  zodTextFormat: typeof import('openai/helpers/zod').zodTextFormat;
}

/** M3. */
async function load({ apiKey, baseUrl, requestMs }: ModelOptions): Promise<Library> {
  const [{ default: Client }, { zodTextFormat }] = await Promise.all([import('openai'), import('openai/helpers/zod')]);
  const client = new Client({
    apiKey,
    baseURL: baseUrl,
    timeout: requestMs,
    maxRetries: 0, // M1
    organization: null,
    project: null,
    logLevel: 'off', // M2
  });
  return { client, zodTextFormat, APIError: Client.APIError, APIUserAbortError: Client.APIUserAbortError };
}

/** A quota that is used up is answered 429, too, and does not come back within seconds. */
const usedUpMs = 300_000;

export interface ProviderError {
  status: number | undefined;
  code?: string | null | undefined;
  /** `invalid_request_error`, …: the provider's own errors name it. */
  type?: string | undefined;
  headers?: Headers | undefined;
}

/** What a refusal of the provider means (M2). Without a status there was no answer. */
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
  if (!code && !type) return { kind: 'unavailable' }; // A proxy's error page: the provider has not judged anything.
  return { kind: 'rejected', detail: `HTTP ${status}${code ? `, ${code}` : ''}` };
}

const part = z.union([
  z.object({ type: z.literal('output_text'), text: z.string() }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  z.looseObject({ type: z.string() }).transform(() => undefined),
]);
/** As much of a response as is used here. */
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

/** What a failed response says of itself: its request was accepted, so there is no HTTP status. */
function classifyFailure(code: string | undefined): Answer<never> {
  if (code === 'rate_limit_exceeded') return { kind: 'rateLimited', retryAfterMs: undefined };
  return code === 'invalid_prompt' ? { kind: 'rejected', detail: code } : { kind: 'unavailable' };
}

/** Only `completed` is an answer: the request is synchronous, so a response that is still under way is none. */
export function classifyAnswer<T>(body: unknown, schema: z.ZodType<T>): Answer<T> {
  const response = modelResponse.safeParse(body).data;
  if (response === undefined) return { kind: 'unavailable' };
  const [refusal] = partsOf(response).flatMap((one) => (one && 'refusal' in one ? [one.refusal] : []));
  if (refusal !== undefined) return { kind: 'refused', text: refusal };
  if (response.incomplete_details?.reason === 'content_filter')
    return { kind: 'refused', text: 'The content filter stopped it.' };
  if (response.status === 'incomplete') return { kind: 'incomplete', why: 'output' };
  return response.status === 'completed' ? valueIn(response, schema) : classifyFailure(response.error?.code);
}

/** @returns a function that asks one question. Throws only when its signal aborts. */
export function createModel(options: ModelOptions): Ask {
  let library: Promise<Library> | undefined;
  return async (question, { signal, apiKey = options.apiKey } = {}) => {
    library ??= load(options);
    const { client, zodTextFormat, APIError, APIUserAbortError } = await library;
    const { name, schema, instructions, input, maxOutputTokens, sessionId } = question;
    try {
      const response = await client.withOptions({ apiKey }).responses.create(
        {
          model: options.model,
          instructions,
          input: [{ role: 'user', content: input }],
          text: { format: zodTextFormat(schema, name) },
          max_output_tokens: maxOutputTokens,
          store: false, // M4
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
