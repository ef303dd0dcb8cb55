import { adjustmentsIn } from '@greenroom/shared/session/adjustments.ts';
import type { SessionRow } from '../database/rows.ts';
import { instructionsOf, languageOf } from './instructions.ts';

/** The provider's realtime session of an interviewer. */
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

/** The provider accepts two-letter languages (ISO 639-1). It detects any other language by itself. */
const spokenIn = (tag: string): { language?: string } => {
  const [language = ''] = tag.split('-');
  return language.length === 2 ? { language } : {};
};

/** Of the provider's usual speed. */
const slowSpeed = 0.85;

/** Low eagerness by default: interrupting a candidate in mid-thought is worse than waiting. */
const patient = { type: 'semantic_vad', eagerness: 'low' };

/** Whatever the session's turn settings are: every turn of the candidate is answered and may interrupt. */
const turnDetectionOf = ({ settings }: Pick<SessionRow, 'settings'>): object => ({
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
  session: Pick<SessionRow, 'settings' | 'interview_context'>,
  options: InterviewerOptions,
  template: string | null = null,
): Record<string, unknown> {
  const { voice } = session.settings;
  const { slower } = adjustmentsIn(session.settings);
  return {
    type: 'realtime',
    model: options.model,
    output_modalities: ['audio'],
    instructions: instructionsOf(session, template ?? undefined),
    audio: {
      input: {
        noise_reduction: { type: 'near_field' },
        // The provider's default is off, and then there is no transcript of the candidate.
        transcription: { model: options.transcriptionModel, ...spokenIn(languageOf(session)) },
        turn_detection: turnDetectionOf(session),
      },
      output: {
        voice: typeof voice === 'string' && voice !== '' ? voice : options.voice,
        ...(slower ? { speed: slowSpeed } : {}),
      },
    },
    include: ['item.input_audio_transcription.logprobs'],
    tools: [endSessionTool],
    tool_choice: 'auto',
    truncation: 'auto',
  };
}
