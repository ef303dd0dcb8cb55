import { asArray, asObject } from './events.ts';

/**
 * The parts of a session's configuration that determine how the interview goes, as text for comparison. The
 * provider echoes a configuration differently from what was sent, so compare echoes with the first echo of
 * our own update.
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
