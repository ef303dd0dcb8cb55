/**
 * Cutting a long transcript into parts that the model can take.
 *
 * P1  A part begins with the interviewer where it can: a question stays with its answer.
 * P2  Every entry is in exactly one part, in order; an entry too long for any part is a part of its own.
 */
export interface Spoken {
  speaker: 'ai' | 'candidate';
  text: string;
}

/** What an entry costs beside its text: number, speaker, punctuation. */
const entryTokens = 24;

/**
 * An estimate that errs upwards: a token is about four letters of English and one character of Chinese, so three bytes
 * of UTF-8 are never much more than one.
 */
export const estimateTokens = ({ text }: Pick<Spoken, 'text'>): number =>
  entryTokens + Math.ceil(Buffer.byteLength(text) / 3);

const sum = (entries: readonly Spoken[]): number => entries.reduce((total, entry) => total + estimateTokens(entry), 0);

/** Where to cut a part that is full: before its last question, unless that lies in its first half (P1). */
function cutOf(part: readonly Spoken[]): number {
  const lastQuestion = part.findLastIndex((entry) => entry.speaker === 'ai');
  return lastQuestion > part.length / 2 ? lastQuestion : part.length;
}

/** @param maxTokens estimated tokens of one part. */
export function splitIntoParts<T extends Spoken>(entries: readonly T[], maxTokens: number): T[][] {
  const parts: T[][] = [];
  let part: T[] = [];
  for (const entry of entries) {
    if (part.length > 0 && sum(part) + estimateTokens(entry) > maxTokens) {
      const cut = entry.speaker === 'ai' ? part.length : cutOf(part);
      parts.push(part.slice(0, cut));
      part = part.slice(cut);
    }
    part.push(entry);
  }
  return part.length > 0 ? [...parts, part] : parts;
}

/** In two, at a question near the middle when there is one (P1). @param entries at least two */
export function halve<T extends Spoken>(entries: readonly T[]): [T[], T[]] {
  const middle = Math.ceil(entries.length / 2);
  const question = entries.findIndex((entry, index) => index >= middle && entry.speaker === 'ai');
  const cut = question > 0 && question < entries.length - 1 ? question : middle;
  return [entries.slice(0, cut), entries.slice(cut)];
}
