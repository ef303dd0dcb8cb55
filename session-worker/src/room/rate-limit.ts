/** A token bucket: `perSecond` on average, `burst` at once. `take` returns false when it is empty. */
export interface RateLimit {
  take(): boolean;
}

export function createRateLimit({
  perSecond,
  burst,
  nowMs,
}: {
  perSecond: number;
  burst: number;
  nowMs(): number;
}): RateLimit {
  let tokens = burst;
  let filledMs = nowMs();
  return {
    take: () => {
      const atMs = nowMs();
      tokens = Math.min(burst, tokens + ((atMs - filledMs) / 1_000) * perSecond);
      filledMs = atMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
