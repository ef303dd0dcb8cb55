/**
 * What a realtime session may contain, by OpenAI's published types. Anything else is refused, as by the real
 * provider.
 */
import { realtimeModels, transcriptionModels } from './models.ts';
import {
  anyOf,
  anything,
  fields,
  flag,
  listOf,
  matching,
  number,
  oneOf,
  orNull,
  type Problem,
  type Rule,
  text,
} from './rules.ts';

const voices = ['alloy', 'ash', 'ballad', 'coral', 'echo', 'sage', 'shimmer', 'verse', 'marin', 'cedar'];

/** `["audio"]` or `["text"]`, never both. */
const modalities: Rule = (value, at) => {
  const wrong = listOf(oneOf('audio', 'text'))(value, at);
  if (wrong || (value as unknown[]).length === 1) return wrong;
  return { message: `Invalid '${at}': expected exactly one of 'audio', 'text'.`, code: 'invalid_value', param: at };
};

const turnDetection = fields({
  type: oneOf('server_vad', 'semantic_vad'),
  threshold: number(0, 1),
  prefix_padding_ms: number(0, 60_000),
  silence_duration_ms: number(0, 60_000),
  idle_timeout_ms: orNull(number(5_000, 30_000)),
  eagerness: oneOf('low', 'medium', 'high', 'auto'),
  create_response: flag,
  interrupt_response: flag,
});

const session = fields({
  type: oneOf('realtime'),
  model: oneOf(...realtimeModels),
  output_modalities: modalities,
  instructions: text,
  audio: fields({
    input: fields({
      format: anything,
      noise_reduction: orNull(fields({ type: oneOf('near_field', 'far_field') })),
      transcription: orNull(
        fields({
          model: oneOf(...transcriptionModels),
          language: matching(/^[a-z]{2}$/, 'a language of two letters (ISO 639-1)'),
          languages: listOf(matching(/^[a-z]{2}$/, 'a language of two letters (ISO 639-1)')),
          keywords: listOf(text),
          prompt: text,
          delay: text,
        }),
      ),
      turn_detection: orNull(turnDetection),
    }),
    output: fields({ format: anything, voice: oneOf(...voices), speed: number(0.25, 1.5) }),
  }),
  include: orNull(listOf(oneOf('item.input_audio_transcription.logprobs'))),
  tools: listOf(anything),
  tool_choice: anything,
  parallel_tool_calls: flag,
  max_output_tokens: anyOf(oneOf('inf'), number(1, 4_096)),
  truncation: anything,
  tracing: anything,
  prompt: anything,
  reasoning: fields({ effort: oneOf('minimal', 'low', 'medium', 'high', 'xhigh') }),
  // Set by the provider, and ignored in a request.
  id: anything,
  object: anything,
  expires_at: anything,
});

/** What is wrong with a session, or undefined. An absent session is valid: the provider uses its defaults. */
export const sessionProblem = (value: unknown): Problem | undefined =>
  value === undefined ? undefined : session(value, 'session');
