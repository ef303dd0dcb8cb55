import { afterEach, expect, test, vi } from 'vitest';
import { learnServerTime, serverTime } from './server-time.ts';

const now = Date.parse('2026-11-28T09:00:00Z');
const iso = (ms: number) => new Date(ms).toISOString();
afterEach(() => vi.useRealTimers());

test('the time is the orchestrator’s, however wrong the clock of this computer is', () => {
  vi.useFakeTimers({ now });
  for (const wrongMs of [3_600_000, -86_400_000]) {
    learnServerTime(iso(now + wrongMs), now);
    expect([serverTime(), serverTime(now - 1_000)]).toEqual([now + wrongMs, now + wrongMs - 1_000]);
  }
});

test('the time that an answer takes is not taken for a wrong clock', () => {
  vi.useFakeTimers({ now });
  learnServerTime(iso(now - 2_500), now - 3_000);
  expect(serverTime()).toBe(now);
});
