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

/**
 * What goes over from a part that is full into the next one, which begins with `entry`: the last question when `entry`
 * answers it, unless it lies in the part's first half or both would not fit (P1).
 */
function carriedOver<T extends Spoken>(part: readonly T[], entry: T, maxTokens: number): T[] {
  const question = part.findLastIndex(({ speaker }) => speaker === 'ai');
  if (entry.speaker === 'ai' || question <= part.length / 2) return [];
  const carried = part.slice(question);
  return sum(carried) + estimateTokens(entry) <= maxTokens ? carried : [];
}

/** @param maxTokens estimated tokens of one part. */
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
 * The entries that fit, in their order: verified ones first, then the browser's own, each from the beginning. So nothing that
 * a browser adds takes the place of what was heard.
 * @param maxTokens estimated tokens in all @param maxUnverifiedTokens of these, from entries that are not verified
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

/** In two, at a question near the middle when there is one (P1). @param entries at least two */
export function halve<T extends Spoken>(entries: readonly T[]): [T[], T[]] {
  const middle = Math.ceil(entries.length / 2);
  const question = entries.findIndex((entry, index) => index >= middle && entry.speaker === 'ai');
  const cut = question > 0 && question < entries.length - 1 ? question : middle;
  return [entries.slice(0, cut), entries.slice(cut)];
}
