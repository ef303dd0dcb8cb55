import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { TranscriptLine } from './types.ts';

/**
 * The transcript in the conversation's order: an entry stands after the one it names as its predecessor, else at the end.
 * @returns a new list, or the same one when nothing changed
 */
export function withEntry(
  lines: readonly TranscriptLine[],
  entry: TranscriptEntry,
  final: boolean,
): readonly TranscriptLine[] {
  const isSame = (line: TranscriptLine) => line.item_id === entry.item_id && line.ordinal === entry.ordinal;
  const at = lines.findLastIndex(isSame);
  // A text that turned out to be none: what was shown of it while it was said goes.
  if (entry.text === '') return at < 0 ? lines : lines.toSpliced(at, 1);
  // A partial text that was overtaken by the final one.
  if (at >= 0 && !final && lines[at]?.final) return lines;
  const line: TranscriptLine = Object.freeze({ ...entry, final });
  if (at >= 0) return lines.with(at, line);
  const before = lines.findLastIndex(
    (other) => other.item_id === entry.previous_item_id && other.ordinal === entry.ordinal,
  );
  return before < 0 ? [...lines, line] : lines.toSpliced(before + 1, 0, line);
}
