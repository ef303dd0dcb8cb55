import type { ResultFailure } from '@greenroom/shared/protocol/results.ts';

/**
 * When a failed evaluation is tried again. No other code retries evaluations.
 *
 * Waits double from `baseMs` to `maxMs`, with jitter between half and all of the wait, and are never shorter
 * than the provider's Retry-After. `never`: the next attempt would fail in the same way, so a person decides.
 */
type Rule = { baseMs: number; maxMs: number } | 'never';

const rules: Record<ResultFailure, Rule> = {
  refused: 'never',
  rejected: 'never',
  incomplete: { baseMs: 30_000, maxMs: 600_000 },
  invalid_answer: { baseMs: 10_000, maxMs: 600_000 },
  // A person has to change the key.
  provider_auth_failed: { baseMs: 300_000, maxMs: 3_600_000 },
  provider_rate_limited: { baseMs: 10_000, maxMs: 900_000 },
  provider_unavailable: { baseMs: 5_000, maxMs: 900_000 },
  interrupted: { baseMs: 1_000, maxMs: 60_000 },
  internal_error: { baseMs: 30_000, maxMs: 900_000 },
};

/** Attempts at one revision of the transcript. After the last failure the evaluation is given up. */
export const maxAttempts = 8;

export interface FailedAttempt {
  failure: ResultFailure;
  /** 1 for the first. */
  attempt: number;
  retryAfterMs?: number | undefined;
}

/** @returns ms until the next attempt, or null if there is none. @param random returns numbers in [0, 1) */
export function retryDelayMs(
  { failure, attempt, retryAfterMs = 0 }: FailedAttempt,
  random: () => number = Math.random,
): number | null {
  const rule = rules[failure];
  if (rule === 'never' || attempt >= maxAttempts) return null;
  const fullMs = Math.min(rule.maxMs, rule.baseMs * 2 ** (attempt - 1));
  return Math.round(Math.max(retryAfterMs, fullMs * (0.5 + random() / 2)));
}
