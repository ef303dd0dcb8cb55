/**
 * Ground truth: what each side of a call said, in conversation order. Tests compare stored transcripts with
 * it.
 */
export interface SaidLine {
  item_id: string;
  speaker: 'interviewer' | 'candidate';
  /** The text as sent; of a reply that was cancelled while being generated, the generated part. */
  text: string;
  /** The candidate interrupted it. */
  interrupted: boolean;
  /** Whether the whole text was sent: false for a candidate's turn without a successful transcription. */
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
