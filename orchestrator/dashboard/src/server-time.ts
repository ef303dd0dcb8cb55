/**
 * The orchestrator's time. Ages are counted from it, because the clock of the operator's computer may be wrong by hours.
 */
/** A smaller difference is ignored: it may be the time that the answer took. */
const ignoredMs = 2_000;
let aheadMs = 0;

/** The orchestrator's time, ms. @param at a time of this computer's clock. Default: now */
export const serverTime = (at: number = Date.now()): number => at + aheadMs;

/** Compares this computer's clock with a `now` of the orchestrator. @param askedAt when it was asked, by this computer's clock */
export function learnServerTime(now: string, askedAt: number): void {
  const differenceMs = Date.parse(now) - (askedAt + Date.now()) / 2;
  aheadMs = Math.abs(differenceMs) > ignoredMs ? differenceMs : 0;
}
