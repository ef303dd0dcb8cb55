import { asArray, asObject } from './events.ts';

/**
 * What of a session's configuration decides how the interview goes, as text to compare. As the provider echoes it: so the
 * first echo of our own update is the measure, not what we sent.
 */
export function sessionFacts(session: unknown): string {
  const { instructions, tools, tool_choice, output_modalities, audio } = asObject(session);
  const { input, output } = asObject(audio);
  const { transcription, turn_detection } = asObject(input);
  return JSON.stringify({
    instructions,
    tools: asArray(tools).map((tool) => asObject(tool).name),
    tool_choice,
    output_modalities,
    voice: asObject(output).voice,
    transcription: asObject(transcription).model,
    turn_detection,
  });
}
