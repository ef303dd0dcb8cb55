import type { SchedulePlan } from '@greenroom/shared/protocol/platform-api.ts';
import type { ScheduleAhead } from '../database/session-store.ts';

/** Start times: how far ahead they may lie, and whether one can be met. Pure. */
export const maxAheadMs = 90 * 86_400_000;
/** A clock that is a little slow does not make a start time one of the past. */
export const pastToleranceMs = 60_000;

/** What is wrong with a start time, or undefined. */
export function scheduleProblem(scheduledAt: string, nowMs: number): string | undefined {
  const dueMs = Date.parse(scheduledAt);
  if (dueMs < nowMs - pastToleranceMs) return 'is in the past';
  return dueMs > nowMs + maxAheadMs ? 'is more than 90 days ahead' : undefined;
}

/**
 * When a session due at `dueMs` is surely ready, as it stands now: its machine is the `ahead`-th that is needed, some are
 * there, and the others are made one after the other within Fly's limit.
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
