import { expect, test } from 'vitest';
import { maxAttempts, retryDelayMs } from './retry.ts';

const most = () => 1;
const least = () => 0;

test('waits double up to a limit, with jitter between half and all of the wait', () => {
  const wait = (attempt: number, random: () => number) =>
    retryDelayMs({ failure: 'provider_unavailable', attempt }, random);
  expect([1, 2, 3].map((attempt) => wait(attempt, most))).toEqual([5_000, 10_000, 20_000]);
  expect([1, 2, 3].map((attempt) => wait(attempt, least))).toEqual([2_500, 5_000, 10_000]);
  expect(wait(7, most)).toBe(320_000);
});

test('the wait is never shorter than the Retry-After of the provider', () => {
  expect(retryDelayMs({ failure: 'provider_rate_limited', attempt: 1, retryAfterMs: 90_000 })).toBe(90_000);
  expect(retryDelayMs({ failure: 'provider_rate_limited', attempt: 1, retryAfterMs: 1 }, most)).toBe(10_000);
});

test('the first wait after a rejected API key is over ten times as long as after an unavailable provider', () => {
  const first = (failure: 'provider_auth_failed' | 'provider_unavailable') =>
    retryDelayMs({ failure, attempt: 1 }, least);
  expect(first('provider_auth_failed') ?? 0).toBeGreaterThan((first('provider_unavailable') ?? 0) * 10);
});

test('permanent failures are not retried; other failures are given up after the last attempt', () => {
  expect(retryDelayMs({ failure: 'refused', attempt: 1 })).toBeNull();
  expect(retryDelayMs({ failure: 'rejected', attempt: 1 })).toBeNull();
  expect(retryDelayMs({ failure: 'provider_unavailable', attempt: maxAttempts - 1 })).not.toBeNull();
  expect(retryDelayMs({ failure: 'provider_unavailable', attempt: maxAttempts })).toBeNull();
});
