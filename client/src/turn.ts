import type { Turn } from './types.ts';

/** Whose turn it is after an event of the voice provider. Other events do not change it. */
export function turnAfter(turn: Turn, event: Record<string, unknown>): Turn {
  switch (event.type) {
    case 'input_audio_buffer.speech_started':
      return 'hearing';
    case 'input_audio_buffer.speech_stopped':
      return 'thinking';
    case 'response.created':
      return turn === 'listening' || turn === 'paused' ? 'thinking' : turn;
    case 'output_audio_buffer.started':
      return 'speaking';
    case 'output_audio_buffer.stopped':
    case 'output_audio_buffer.cleared':
      // The candidate interrupted the interviewer and is speaking.
      return turn === 'hearing' ? 'hearing' : 'listening';
    case 'response.done':
      // A response without a message has no audio.
      return turn === 'thinking' && !hasMessage(event.response) ? 'listening' : turn;
    default:
      return turn;
  }
}

function hasMessage(response: unknown): boolean {
  const output = (response as { output?: unknown } | undefined)?.output;
  return Array.isArray(output) && output.some((item) => (item as { type?: unknown } | null)?.type === 'message');
}
