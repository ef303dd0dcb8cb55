import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { describe, expect, test } from 'vitest';
import { createSessionDeadlines } from './deadlines.ts';

describe('the session’s own deadlines', () => {
  const d = defaultDeadlines;
  const setUp = (resumed = false) => {
    const clock = createFakeClock();
    const expired: Array<[string, number]> = [];
    const warned: number[] = [];
    const timers = createSessionDeadlines({
      clock,
      deadlines: d,
      maxDurationMs: d.maxDurationMs,
      onExpired: (reason) => expired.push([reason, clock.monotonicMs()]),
      onWarning: () => warned.push(clock.monotonicMs()),
    });
    timers.start(resumed);
    return { clock, timers, expired, warned };
  };

  test('ends the session when the candidate never joins', async () => {
    const { clock, expired } = setUp();
    await clock.advance(d.neverJoinedMs);
    expect(expired).toEqual([['candidate_never_joined', d.neverJoinedMs]]);
  });

  test('ends the session when a candidate joins but never sends an offer, even after a reconnection', async () => {
    const { clock, timers, expired } = setUp();
    await clock.advance(1_000);
    timers.joined();
    await clock.advance(60_000);
    timers.left();
    timers.joined();
    await clock.advance(d.neverJoinedMs);
    expect(expired).toEqual([['call_not_established', 1_000 + d.offerMs]]);
  });

  test('ends the session when the candidate leaves and stays away, but not when the candidate returns', async () => {
    const { clock, timers, expired } = setUp();
    timers.joined();
    timers.callUp();
    timers.left();
    await clock.advance(d.reconnectGraceMs - 1);
    timers.joined();
    await clock.advance(d.reconnectGraceMs * 2);
    expect(expired).toEqual([]);
    timers.left();
    await clock.advance(d.reconnectGraceMs);
    expect(expired.map(([reason]) => reason)).toEqual(['candidate_left']);
  });

  test('after a takeover the candidate has the reconnect grace, not the joining time', async () => {
    const { clock, expired } = setUp(true);
    await clock.advance(d.reconnectGraceMs);
    expect(expired.map(([reason]) => reason)).toEqual(['candidate_left']);
  });

  test('the maximum duration counts from the first start, with a warning before it', async () => {
    const { clock, timers, expired, warned } = setUp();
    timers.joined();
    timers.callUp();
    timers.began(clock.now() - 600_000);
    timers.began(clock.now());
    await clock.advance(d.maxDurationMs);
    expect(warned).toEqual([d.maxDurationMs - 600_000 - d.durationWarningMs]);
    expect(expired).toEqual([['max_duration', d.maxDurationMs - 600_000]]);
  });

  test('an interview that may last longer is warned and ended later', async () => {
    const { clock, timers, expired, warned } = setUp();
    timers.joined();
    timers.callUp();
    timers.began(clock.now());
    await clock.advance(600_000);
    timers.mayLast(d.maxDurationMs + 90_000);
    expect(timers.endsAt).toBe(clock.now() - 600_000 + d.maxDurationMs + 90_000);
    await clock.advance(d.maxDurationMs);
    expect(warned).toEqual([d.maxDurationMs + 90_000 - d.durationWarningMs]);
    expect(expired).toEqual([['max_duration', d.maxDurationMs + 90_000]]);
    timers.stop();
    expect(clock.pending).toBe(0);
  });

  test('ends the session when a requested call is not offered', async () => {
    const { clock, timers, expired } = setUp();
    timers.joined();
    timers.callUp();
    await clock.advance(d.offerMs * 2);
    timers.awaitOffer();
    await clock.advance(d.offerMs);
    expect(expired).toEqual([['call_not_established', d.offerMs * 3]]);
  });

  test('stop leaves no timer running', () => {
    const { clock, timers } = setUp();
    timers.joined();
    timers.left();
    timers.began(clock.now());
    timers.stop();
    expect(clock.pending).toBe(0);
  });
});
