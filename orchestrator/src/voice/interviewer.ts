import type { SessionRow } from '../database/rows.ts';
import { instructionsOf, languageOf } from './instructions.ts';

/** The realtime session an interviewer runs in. */
export interface InterviewerOptions {
  model: string;
  transcriptionModel: string;
  voice: string;
}

const endSessionTool = {
  type: 'function',
  name: 'end_session',
  description: 'Ends the interview. Call it once, after you have said goodbye.',
  parameters: { type: 'object', properties: {}, additionalProperties: false },
};

/** The provider takes languages of two letters (ISO 639-1); it recognises any other by itself. */
const spokenIn = (tag: string): { language?: string } => {
  const [language = ''] = tag.split('-');
  return language.length === 2 ? { language } : {};
};

/** Patient by default: an interviewer that cuts candidates off in mid-thought is worse than one that waits. */
const patient = { type: 'semantic_vad', eagerness: 'low' };

/** Every turn of the candidate is answered, and may interrupt: whatever else the session says of turns. */
const turnDetectionOf = ({ settings }: SessionRow): object => ({
  ...(typeof settings.turn_detection === 'object' && settings.turn_detection !== null
    ? settings.turn_detection
    : patient),
  create_response: true,
  interrupt_response: true,
});

/**
 * The provider's session configuration (`RealtimeSessionCreateRequest`).
 * @param template the tenant's own template. Default: ours.
 */
export function realtimeSession(
  session: SessionRow,
  options: InterviewerOptions,
  template?: string,
): Record<string, unknown> {
  const { voice } = session.settings;
  return {
    type: 'realtime',
    model: options.model,
    output_modalities: ['audio'],
    instructions: instructionsOf(session, template),
    audio: {
      input: {
        noise_reduction: { type: 'near_field' },
        // Off by default: without it there is no transcript of the candidate.
        transcription: { model: options.transcriptionModel, ...spokenIn(languageOf(session)) },
        turn_detection: turnDetectionOf(session),
      },
      output: { voice: typeof voice === 'string' && voice !== '' ? voice : options.voice },
    },
    include: ['item.input_audio_transcription.logprobs'],
    tools: [endSessionTool],
    tool_choice: 'auto',
    truncation: 'auto',
  };
}
