import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { TranscriptLine } from './types.ts';

/**
 * Adds an entry to the transcript: after its predecessor, or at the end if the predecessor is unknown.
 * @returns a new list, or the same list if nothing changed
 */
export function withEntry(
  lines: readonly TranscriptLine[],
  entry: TranscriptEntry,
  final: boolean,
): readonly TranscriptLine[] {
  const isSame = (line: TranscriptLine) => line.item_id === entry.item_id && line.ordinal === entry.ordinal;
  const at = lines.findLastIndex(isSame);
  // The final text is empty: remove the partial text.
  if (entry.text === '') return at < 0 ? lines : lines.toSpliced(at, 1);
  // A partial text that arrives after the final one.
  if (at >= 0 && !final && lines[at]?.final) return lines;
  const line: TranscriptLine = Object.freeze({ ...entry, final });
  if (at >= 0) return lines.with(at, line);
  const before = lines.findLastIndex(
    (other) => other.item_id === entry.previous_item_id && other.ordinal === entry.ordinal,
  );
  return before < 0 ? [...lines, line] : lines.toSpliced(before + 1, 0, line);
}

/** The same lines, one of them with the candidate's correction. */
export const withCorrection = (
  lines: readonly TranscriptLine[],
  { ordinal, item_id }: Pick<TranscriptLine, 'ordinal' | 'item_id'>,
  correction: string | null,
): readonly TranscriptLine[] =>
  lines.map((line) =>
    line.ordinal === ordinal && line.item_id === item_id ? Object.freeze({ ...line, correction }) : line,
  );
