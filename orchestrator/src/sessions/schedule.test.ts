import { describe, expect, test } from 'vitest';
import { planOf, scheduleProblem } from './schedule.ts';

const now = '2026-11-21T08:00:00.000Z';
const nowMs = Date.parse(now);

describe('a start time', () => {
  test.each([
    ['2026-11-21T07:58:00Z', 'is in the past'],
    ['2026-11-21T07:59:30Z', undefined],
    ['2026-11-21T11:00:00+02:00', undefined],
    ['2027-02-19T07:59:00Z', undefined],
    ['2027-02-20T08:01:00Z', 'is more than 90 days ahead'],
  ])('%s: %s', (at, problem) => {
    expect(scheduleProblem(at, nowMs)).toBe(problem);
  });

  const dueMs = Date.parse('2026-11-21T09:00:00Z');
  const plan = (ahead: number, standby = 0, creates_per_second = 1) =>
    planOf(dueMs, { ahead, standby, creates_per_second, now }, 30_000);

  test('is met when there is time to make every machine before it', () => {
    expect(plan(3_500)).toEqual({ ready_by: '2026-11-21T09:00:00.000Z', late_by_ms: 0 });
  });

  test('is not met, and the answer says by how much, when more are due than can be made', () => {
    expect(plan(4_000)).toEqual({ ready_by: '2026-11-21T09:07:10.000Z', late_by_ms: 430_000 });
    expect(plan(4_000, 0, 2).late_by_ms).toBe(0);
    expect(plan(4_000, 430).late_by_ms).toBe(0);
  });
});
