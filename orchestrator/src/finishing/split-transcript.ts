/**
 * Splits a long transcript into parts that fit into one question to the model.
 *
 * - Where possible a part begins with the interviewer, so that a question stays with its answer.
 * - Every entry is in exactly one part, in order. An entry that is too long for any part becomes a part of its
 *   own.
 */
export interface Spoken {
  speaker: 'ai' | 'candidate';
  text: string;
  correction?: string | null;
}

/** Tokens of an entry besides its text: number, speaker, punctuation. */
const entryTokens = 24;

/**
 * Estimates tokens, rather too many than too few: a token is about four letters of English or one character of
 * Chinese, so three bytes of UTF-8 are at most about one token.
 */
export const estimateTokens = ({ text, correction }: Pick<Spoken, 'text' | 'correction'>): number =>
  entryTokens + Math.ceil(Buffer.byteLength(text + (correction ?? '')) / 3);

const sum = (entries: readonly Spoken[]): number => entries.reduce((total, entry) => total + estimateTokens(entry), 0);

/**
 * The entries that move from a full part to the start of the next part, before `entry`: the last question and
 * what follows it, if `entry` continues the answer. Nothing moves if the question lies in the first half of the
 * part or if both would not fit.
 */
function carriedOver<T extends Spoken>(part: readonly T[], entry: T, maxTokens: number): T[] {
  const question = part.findLastIndex(({ speaker }) => speaker === 'ai');
  if (entry.speaker === 'ai' || question <= part.length / 2) return [];
  const carried = part.slice(question);
  return sum(carried) + estimateTokens(entry) <= maxTokens ? carried : [];
}

/** @param maxTokens estimated tokens of one part */
export function splitIntoParts<T extends Spoken>(entries: readonly T[], maxTokens: number): T[][] {
  const parts: T[][] = [];
  let part: T[] = [];
  let tokens = 0;
  for (const entry of entries) {
    if (part.length > 0 && tokens + estimateTokens(entry) > maxTokens) {
      const carried = carriedOver(part, entry, maxTokens);
      parts.push(part.slice(0, part.length - carried.length));
      part = carried;
      tokens = sum(carried);
    }
    part.push(entry);
    tokens += estimateTokens(entry);
  }
  return part.length > 0 ? [...parts, part] : parts;
}

/**
 * The entries that fit the limits, in their original order. Verified entries are chosen first, then unverified
 * ones, each from the beginning. So entries that a browser invents cannot displace verified ones.
 * @param maxTokens estimated tokens of all entries
 * @param maxUnverifiedTokens estimated tokens of unverified entries
 */
export function keepWithin<T extends Spoken & { verified: boolean }>(
  entries: readonly T[],
  maxTokens: number,
  maxUnverifiedTokens: number,
): T[] {
  const kept = new Set<T>();
  let tokens = 0;
  const keep = (verified: boolean, limit: number) => {
    for (const entry of entries.filter((one) => one.verified === verified)) {
      tokens += estimateTokens(entry);
      if (tokens > limit) return;
      kept.add(entry);
    }
  };
  keep(true, maxTokens);
  keep(false, Math.min(maxTokens, tokens + maxUnverifiedTokens));
  return entries.filter((entry) => kept.has(entry));
}

/** Splits into two parts: before the first question after the middle, or in the middle. @param entries at least two */
export function halve<T extends Spoken>(entries: readonly T[]): [T[], T[]] {
  const middle = Math.ceil(entries.length / 2);
  const question = entries.findIndex((entry, index) => index >= middle && entry.speaker === 'ai');
  const cut = question > 0 && question < entries.length - 1 ? question : middle;
  return [entries.slice(0, cut), entries.slice(cut)];
}
