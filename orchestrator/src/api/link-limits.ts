import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { sha256 } from '../access/authenticate.ts';
import type { RateLimits } from '../access/rate-limits.ts';

/**
 * Limits how often an invitation link may be used, in addition to the limit per address.
 *
 * - A link is identified by session and code, so someone who knows only the session cannot use up its limit.
 * - Links that were not recently found valid share one limit, so guessed codes cost few look-ups, even if they come
 *   from many addresses.
 */
export interface LinkLimits {
  /** Counts one request and makes it. Throws AppError rate_limited instead if the limit is reached. */
  use<T extends { kind: string }>(sessionId: string, code: string, request: () => Promise<T>): Promise<T>;
}

export interface LinkLimitDeps {
  limits: Pick<RateLimits, 'draw'>;
  clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * Requests per minute in one process, with one link and with all links not recently found valid. The same number may
 * arrive in one burst.
 */
export const linkRequests = { link: 120, unknown: 3_000 };
const rememberedMs = 600_000;
const maxRemembered = 10_000;
const badKinds = new Set(['invalid', 'not_found']);

export function createLinkLimits({ limits, clock }: LinkLimitDeps): LinkLimits {
  /** For each valid link: until when it does not use the shared limit, monotonic ms. */
  const goodUntil = new Map<string, number>();

  const draw = (link: string): void => {
    const isKnown = (goodUntil.get(link) ?? 0) > clock.monotonicMs();
    const { allowed, retryAfterMs } = limits.draw([
      { scope: `link:${link}`, perMinute: linkRequests.link, burst: linkRequests.link, shared: false },
      ...(isKnown
        ? []
        : [{ scope: 'links', perMinute: linkRequests.unknown, burst: linkRequests.unknown, shared: false }]),
    ]);
    if (!allowed) throw new AppError('rate_limited', { retryAfterS: Math.max(1, Math.ceil(retryAfterMs / 1_000)) });
  };

  return {
    use: async (sessionId, code, request) => {
      const link = sha256(`${sessionId}:${code}`);
      draw(link);
      const answer = await request();
      if (badKinds.has(answer.kind)) goodUntil.delete(link);
      else {
        if (goodUntil.size >= maxRemembered) goodUntil.clear();
        goodUntil.set(link, clock.monotonicMs() + rememberedMs);
      }
      return answer;
    },
  };
}
