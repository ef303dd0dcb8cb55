/** Ground truth: what each side of a call said, in the order of the conversation. Tests hold stored transcripts against it. */
export interface SaidLine {
  item_id: string;
  speaker: 'interviewer' | 'candidate';
  /** What the wire says of it: of a reply cut short while it was being made, the part that was made. */
  text: string;
  /** The candidate spoke into it. */
  interrupted: boolean;
  /** Whether the whole text has been on the wire: false for a candidate's turn without a (successful) transcription. */
  transcribed: boolean;
}

export interface SaidLog {
  begin(itemId: string, speaker: SaidLine['speaker']): SaidLine;
  lines(): SaidLine[];
}

export function createSaidLog(): SaidLog {
  const lines: SaidLine[] = [];
  return {
    begin: (itemId, speaker) => {
      const line = { item_id: itemId, speaker, text: '', interrupted: false, transcribed: false };
      lines.push(line);
      return line;
    },
    lines: () => lines.filter((line) => line.text !== '').map((line) => ({ ...line })),
  };
}
