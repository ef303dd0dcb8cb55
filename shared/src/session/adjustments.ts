import { type Adjustments, adjustments } from '../protocol/platform-api.ts';

/** The adjustments in a session's stored settings. */
export const adjustmentsIn = (settings: Record<string, unknown>): Adjustments =>
  adjustments.safeParse(settings.adjustments ?? {}).data ?? {};

/** The extra time, ms. @param plainMs the maximum duration without it */
export const extraTimeMs = ({ extra_minutes, extra_time_percent }: Adjustments, plainMs: number): number =>
  extra_minutes === undefined ? Math.round((plainMs * (extra_time_percent ?? 0)) / 100) : extra_minutes * 60_000;

/** The extra time that a maximum duration contains, ms. */
export const extraTimeWithin = (given: Adjustments, maxDurationMs: number): number =>
  given.extra_minutes === undefined
    ? maxDurationMs - maxDurationMs / (1 + (given.extra_time_percent ?? 0) / 100)
    : given.extra_minutes * 60_000;
