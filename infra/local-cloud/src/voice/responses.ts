/**
 * `POST /v1/responses`: a deterministic answer that satisfies the JSON schema of the request.
 *
 * - An unknown model or parameter, and a schema outside the strict subset, are refused.
 * - An answer longer than `max_output_tokens` is cut and `incomplete`, as the real one is.
 * - With `stream` the answer is sent as server-sent events.
 *
 * Special faults at `responses`: `incomplete` (stopped at the token limit with half of the JSON), `refusal`,
 * `invalid_json` (complete but not JSON), `schema_mismatch` (JSON of another shape). Plain statuses (429,
 * 500, …) work as everywhere.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FaultAction } from '../faults.ts';
import type { WireReply, Work } from '../faulty-route.ts';
import { apiError } from './api-error.ts';
import type { Credentials } from './credentials.ts';
import { evaluate } from './evaluation.ts';
import { textModels } from './models.ts';
import { streamed } from './response-stream.ts';
import { anything, fields, flag, matching, number, oneOf, orNull, text } from './rules.ts';
import { fillSchema } from './schema-filler.ts';
import { strictSchemaProblem } from './schema-rules.ts';
import { readTranscript } from './transcript-reading.ts';
import { newWireId } from './wire.ts';

interface ResponsesRequest {
  model?: string;
  input?: unknown;
  instructions?: unknown;
  text?: { format?: { type?: string; schema?: unknown; strict?: boolean } };
  metadata?: unknown;
  max_output_tokens?: number | null;
  stream?: boolean | null;
}

const request = fields({
  model: text,
  input: anything,
  instructions: orNull(text),
  text: fields({
    format: fields({
      type: oneOf('text', 'json_schema', 'json_object'),
      name: matching(/^[\w-]{1,64}$/, "a string of at most 64 letters, digits, '_' and '-'"),
      description: text,
      schema: anything,
      strict: orNull(flag),
    }),
    verbosity: orNull(oneOf('low', 'medium', 'high')),
  }),
  max_output_tokens: orNull(number(16, 1_000_000)),
  metadata: orNull(anything),
  reasoning: orNull(anything),
  safety_identifier: orNull(text),
  prompt_cache_key: orNull(text),
  service_tier: orNull(oneOf('auto', 'default', 'flex', 'priority')),
  store: orNull(flag),
  stream: orNull(flag),
  temperature: orNull(number(0, 2)),
  top_p: orNull(number(0, 1)),
  tools: anything,
  tool_choice: anything,
  parallel_tool_calls: orNull(flag),
  truncation: orNull(oneOf('auto', 'disabled')),
  user: orNull(text),
});

export function createResponses(deps: { credentials: Credentials; clock: Clock }): Work {
  return ({ headers, body: given }, cue) => {
    if (deps.credentials.identify(headers.authorization)?.kind !== 'standing')
      return deps.credentials.refusal(headers.authorization);
    const body = (given ?? {}) as ResponsesRequest;
    const refused = refusal(body);
    if (refused) return refused;
    const response = answer(body, cue, Math.floor(deps.clock.now() / 1000));
    return body.stream ? streamed(response) : { status: 200, body: response };
  };
}

function refusal(body: ResponsesRequest): WireReply | undefined {
  if (!body.model) return missing('model');
  if (body.input === undefined) return missing('input');
  const problem = request(body, '');
  if (problem) return apiError(400, problem);
  if (!textModels.includes(body.model)) {
    const message = `The requested model '${body.model}' does not exist.`;
    return apiError(400, { message, code: 'model_not_found', param: 'model' });
  }
  const { type, schema, strict } = body.text?.format ?? {};
  const wrong = type === 'json_schema' && strict ? strictSchemaProblem(schema) : undefined;
  if (!wrong) return undefined;
  const message = `Invalid schema for response_format: ${wrong}`;
  return apiError(400, { message, code: 'invalid_json_schema', param: 'text.format.schema' });
}

/** About as many as for the real model, in English. */
const charactersPerToken = 4;

const missing = (param: string): WireReply =>
  apiError(400, { message: `Missing required parameter: '${param}'.`, code: 'missing_required_parameter', param });

/** Every text in the input, whatever its form: a string, messages, or parts of messages. */
function textsIn(input: unknown): string[] {
  if (typeof input === 'string') return [input];
  if (Array.isArray(input)) return input.flatMap(textsIn);
  if (typeof input !== 'object' || input === null) return [];
  return Object.entries(input).flatMap(([name, value]) =>
    name === 'content' || name === 'text' ? textsIn(value) : [],
  );
}

function write(body: ResponsesRequest): string {
  const lines = readTranscript(textsIn(body.input));
  const say = evaluate(lines);
  const format = body.text?.format;
  if (format?.type === 'json_schema') return JSON.stringify(fillSchema(format.schema, say));
  return String(say({ path: ['summary'], index: 0 }, {}) ?? '');
}

function answer(body: ResponsesRequest, cue: FaultAction | undefined, createdAt: number) {
  const name = cue?.kind === 'special' ? cue.name : undefined;
  const room = (body.max_output_tokens ?? Number.POSITIVE_INFINITY) * charactersPerToken;
  const whole = write(body);
  const spoilt = spoil(whole, name);
  const said = spoilt.length > room ? spoilt.slice(0, room).toWellFormed() : spoilt;
  const isCut = name === 'incomplete' || said !== spoilt;
  const status = isCut ? 'incomplete' : 'completed';
  const part =
    name === 'refusal'
      ? { type: 'refusal', refusal: "I'm sorry, I can't help with that." }
      : { type: 'output_text', text: said, annotations: [], logprobs: [] };
  return {
    id: newWireId('resp'),
    object: 'response',
    created_at: createdAt,
    status,
    background: false,
    error: null,
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    model: body.model,
    output: [{ id: newWireId('msg'), type: 'message', status, role: 'assistant', content: [part] }],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: 1,
    text: body.text ?? { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: usageOf(textsIn(body.input).join('\n'), said),
  };
}

function spoil(whole: string, cue: string | undefined): string {
  if (cue === 'incomplete') return whole.slice(0, Math.floor(whole.length / 2));
  if (cue === 'invalid_json') return `Here is the result: ${whole}`;
  if (cue === 'schema_mismatch') return JSON.stringify({ unexpected: true });
  return whole;
}

function usageOf(input: string, output: string) {
  const input_tokens = Math.ceil(input.length / charactersPerToken);
  const output_tokens = Math.ceil(output.length / charactersPerToken);
  return {
    input_tokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input_tokens + output_tokens,
  };
}
