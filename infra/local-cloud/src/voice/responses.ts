/**
 * `POST /v1/responses`: a deterministic answer that satisfies the JSON schema in the request.
 *
 * Special faults at `responses`: `incomplete` (stopped at the token limit, half a JSON), `refusal`, `invalid_json` (complete
 * but not JSON), `schema_mismatch` (JSON of another shape). Plain statuses (429, 500, …) work as everywhere.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FaultAction } from '../faults.ts';
import type { WireReply, Work } from '../faulty-route.ts';
import { apiError, invalidKey } from './api-error.ts';
import type { Credentials } from './credentials.ts';
import { evaluate } from './evaluation.ts';
import { fillSchema } from './schema-filler.ts';
import { readTranscript } from './transcript-reading.ts';
import { newWireId } from './wire.ts';

interface ResponsesRequest {
  model?: string;
  input?: unknown;
  instructions?: unknown;
  text?: { format?: { type?: string; schema?: unknown } };
  metadata?: unknown;
}

export function createResponses(deps: { credentials: Credentials; clock: Clock }): Work {
  return (request, cue) => {
    if (deps.credentials.identify(request.headers.authorization)?.kind !== 'standing') return invalidKey;
    const body = (request.body ?? {}) as ResponsesRequest;
    if (!body.model) return missing('model');
    if (body.input === undefined) return missing('input');
    return { status: 200, body: answer(body, cue, Math.floor(deps.clock.now() / 1000)) };
  };
}

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
  const whole = write(body);
  const text = spoil(whole, name);
  const status = name === 'incomplete' ? 'incomplete' : 'completed';
  const part =
    name === 'refusal'
      ? { type: 'refusal', refusal: "I'm sorry, I can't help with that." }
      : { type: 'output_text', text, annotations: [], logprobs: [] };
  return {
    id: newWireId('resp'),
    object: 'response',
    created_at: createdAt,
    status,
    background: false,
    error: null,
    incomplete_details: name === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: null,
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
    usage: usageOf(textsIn(body.input).join('\n'), text),
  };
}

function spoil(text: string, cue: string | undefined): string {
  if (cue === 'incomplete') return text.slice(0, Math.floor(text.length / 2));
  if (cue === 'invalid_json') return `Here is the result: ${text}`;
  if (cue === 'schema_mismatch') return JSON.stringify({ unexpected: true });
  return text;
}

function usageOf(input: string, output: string) {
  const input_tokens = Math.ceil(input.length / 4);
  const output_tokens = Math.ceil(output.length / 4);
  return {
    input_tokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input_tokens + output_tokens,
  };
}
