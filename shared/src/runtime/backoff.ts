/** Exponential backoff with full jitter: a random delay between 0 and `min(maxMs, baseMs · 2^attempt)`. */
export interface BackoffOptions {
  baseMs: number;
  maxMs: number;
  /** Numbers in [0, 1); default Math.random. */
  random?: () => number;
}

/** @param attempt 0 for the first retry. */
export const backoffMs = (attempt: number, { baseMs, maxMs, random = Math.random }: BackoffOptions): number =>
  Math.round(random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30)));
