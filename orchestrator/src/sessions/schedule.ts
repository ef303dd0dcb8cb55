import type { SchedulePlan } from '@greenroom/shared/protocol/platform-api.ts';
import type { ScheduleAhead } from '../database/session-store.ts';

/** Checks start times: how far ahead they may be, and whether a session can be ready in time. Pure. */
export const maxAheadMs = 90 * 86_400_000;
/** Tolerance for clock differences: a start time this much in the past is accepted. */
export const pastToleranceMs = 60_000;

/** The error of a start time; undefined if it is valid. */
export function scheduleProblem(scheduledAt: string, nowMs: number): string | undefined {
  const dueMs = Date.parse(scheduledAt);
  if (dueMs < nowMs - pastToleranceMs) return 'is in the past';
  return dueMs > nowMs + maxAheadMs ? 'is more than 90 days ahead' : undefined;
}

/**
 * The time at which a session due at `dueMs` will be ready at the latest. Its machine is the `ahead`-th needed; some exist, and the
 * others are created one after the other within Fly's limit.
 */
export function planOf(
  dueMs: number,
  { ahead, standby, creates_per_second, now }: ScheduleAhead,
  buildMs: number,
): SchedulePlan {
  const toMake = Math.max(0, ahead - standby);
  const makingMs = toMake === 0 ? 0 : (toMake / Math.max(creates_per_second, 0.001)) * 1_000 + buildMs;
  const readyMs = Math.max(dueMs, Date.parse(now) + makingMs);
  return { ready_by: new Date(readyMs).toISOString(), late_by_ms: Math.ceil(readyMs - dueMs) };
}
