/**
 * The session object of a realtime call: the defaults that the live service echoes, and what `session.update`
 * may change.
 *
 * - `transcription` is off by default: without it there is no transcript of the candidate.
 * - `model` never changes; `voice` not after the first audio.
 */
import { sessionProblem } from './session-rules.ts';
import { newWireId, type WireEvent } from './wire.ts';

export interface TurnDetection {
  type: 'server_vad' | 'semantic_vad';
  silence_duration_ms?: number;
  idle_timeout_ms?: number | null;
  create_response: boolean;
  interrupt_response: boolean;
  [field: string]: unknown;
}

export interface RealtimeSession {
  type: 'realtime';
  object: 'realtime.session';
  id: string;
  model: string;
  output_modalities: string[];
  instructions: string;
  tools: Array<{ type: string; name?: string; [field: string]: unknown }>;
  tool_choice: unknown;
  max_output_tokens: unknown;
  tracing: unknown;
  truncation: unknown;
  prompt: unknown;
  /** Unix seconds. */
  expires_at: number;
  audio: {
    input: {
      format: unknown;
      transcription: { model: string; [field: string]: unknown } | null;
      noise_reduction: unknown;
      turn_detection: TurnDetection | null;
    };
    output: { format: unknown; voice: string; speed: number };
  };
  include: string[] | null;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const serverVad: TurnDetection = {
  type: 'server_vad',
  threshold: 0.5,
  prefix_padding_ms: 300,
  silence_duration_ms: 200,
  idle_timeout_ms: null,
  create_response: true,
  interrupt_response: true,
};
const semanticVad: TurnDetection = {
  type: 'semantic_vad',
  eagerness: 'auto',
  create_response: true,
  interrupt_response: true,
};

const pcm = { type: 'audio/pcm', rate: 24_000 };

/** @param expiresAt Unix seconds. */
export function defaultSession(id: string, expiresAt: number): RealtimeSession {
  return {
    type: 'realtime',
    object: 'realtime.session',
    id,
    model: 'gpt-realtime-2.1',
    output_modalities: ['audio'],
    instructions: 'You are a helpful, witty, and friendly AI.',
    tools: [],
    tool_choice: 'auto',
    max_output_tokens: 'inf',
    tracing: null,
    truncation: 'auto',
    prompt: null,
    expires_at: expiresAt,
    audio: {
      input: { format: pcm, transcription: null, noise_reduction: null, turn_detection: { ...serverVad } },
      output: { format: pcm, voice: 'marin', speed: 1 },
    },
    include: null,
  };
}

/** The session with `patch` applied: objects are merged, everything else is replaced. */
export function applyPatch(session: RealtimeSession, patch: unknown): RealtimeSession {
  if (!isObject(patch)) return session;
  const { id: _id, object: _object, expires_at: _expiresAt, audio, ...rest } = patch;
  const input = isObject(audio) && isObject(audio.input) ? audio.input : {};
  const output = isObject(audio) && isObject(audio.output) ? audio.output : {};
  return {
    ...session,
    ...rest,
    audio: {
      input: { ...session.audio.input, ...input, ...turnDetection(session, input) },
      output: { ...session.audio.output, ...output },
    },
  } as RealtimeSession;
}

function turnDetection(session: RealtimeSession, input: Json): { turn_detection?: TurnDetection | null } {
  const wanted = input.turn_detection;
  if (wanted === null) return { turn_detection: null };
  if (!isObject(wanted)) return {};
  const before = session.audio.input.turn_detection;
  const type = wanted.type ?? before?.type ?? 'server_vad';
  const base = before?.type === type ? before : type === 'semantic_vad' ? semanticVad : serverVad;
  return { turn_detection: { ...base, ...wanted } as TurnDetection };
}

/** Why an update is refused, as the fields of an `error` event, or undefined when it is valid. */
export function refuseUpdate(
  session: RealtimeSession,
  patch: unknown,
  hasSpoken: boolean,
): { code: string; message: string; param: string } | undefined {
  if (!isObject(patch)) {
    return { code: 'missing_required_parameter', message: "Missing required parameter: 'session'.", param: 'session' };
  }
  if (patch.model !== undefined && patch.model !== session.model) {
    return { code: 'invalid_value', message: 'Cannot update the model of a session.', param: 'session.model' };
  }
  const wrong = sessionProblem(patch);
  if (wrong) return wrong;
  const voice = (patch.audio as { output?: { voice?: unknown } } | undefined)?.output?.voice;
  if (hasSpoken && voice !== undefined && voice !== session.audio.output.voice) {
    const message = 'Cannot update a conversation’s voice if assistant audio is present.';
    return { code: 'cannot_update_voice', message, param: 'session.audio.output.voice' };
  }
  return undefined;
}

/** An `error` event; the session stays open. */
export const errorEvent = (
  error: { code: string | null; message: string; param?: string | null },
  causedBy?: unknown,
): WireEvent => ({
  type: 'error',
  event_id: newWireId('event'),
  error: {
    type: 'invalid_request_error',
    code: error.code,
    message: error.message,
    param: error.param ?? null,
    event_id: typeof causedBy === 'string' ? causedBy : null,
  },
});
