import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { sha256 } from '../access/authenticate.ts';
import type { RateLimits } from '../access/rate-limits.ts';

/**
 * How often a link may be used, beside the limit of its caller's address.
 *
 * A link is a session and a code: whoever knows the session alone cannot use up what its candidate may do. Links that were not
 * seen to be good lately share a limit, so that codes made up at many addresses cost a bounded number of look-ups.
 */
export interface LinkLimits {
  /** Draws one request and makes it. Throws AppError rate_limited before that. */
  use<T extends { kind: string }>(sessionId: string, code: string, request: () => Promise<T>): Promise<T>;
}

export interface LinkLimitDeps {
  limits: Pick<RateLimits, 'draw'>;
  clock: Pick<Clock, 'monotonicMs'>;
}

/** Requests per minute in one process, and as many at once: with one link, and with all links that are not known to be good. */
export const linkRequests = { link: 120, unknown: 3_000 };
const rememberedMs = 600_000;
const maxRemembered = 10_000;
const badKinds = new Set(['invalid', 'not_found']);

export function createLinkLimits({ limits, clock }: LinkLimitDeps): LinkLimits {
  /** Links that were good, until when that counts. */
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
