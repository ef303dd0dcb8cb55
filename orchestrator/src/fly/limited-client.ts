import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { LimitStore } from '../database/limit-store.ts';
import type { RegionHealth } from '../regions/health.ts';
import type { CreateOutcome, FlyRefusal } from './classify.ts';
import type { FlyClient, ListOutcome } from './client.ts';

/**
 * The client of Fly's API with the rate limits per app that all orchestrators share. It also records how
 * regions answer.
 *
 * - A create has reserved its slot together with its intent. A list reserves its slot here. The look-up of the
 *   machine of a waiting candidate may use the burst; the reconciler's list may not.
 * - A 429 delays all orchestrators: the next slot of the app moves by Fly's Retry-After, or by a second without
 *   one.
 * - The result of a create is recorded for its region, for the choice of the next region.
 */
export interface LimitedClientDeps {
  limits: LimitStore;
  health: Pick<RegionHealth, 'refused' | 'served'>;
  clock: Clock;
  /** A list that would have to wait longer than this is not sent, ms. */
  maxListWaitMs: number;
}

const retryMs = 1_000;
const maxLookupWaitMs = 3_000;

const regionOf = (body: object): string => ('region' in body && typeof body.region === 'string' ? body.region : '');

export function createLimitedClient(fly: FlyClient, deps: LimitedClientDeps): FlyClient {
  const { limits, health, clock, maxListWaitMs } = deps;

  const slowed = async <T extends { kind: string }>(
    outcome: T | FlyRefusal,
    app: string,
    action: 'create' | 'list',
  ) => {
    if (outcome.kind !== 'rateLimited') return outcome;
    const { retryAfterMs } = outcome as Extract<FlyRefusal, { kind: 'rateLimited' }>;
    return { kind: 'rateLimited', retryAfterMs: await limits.slowApp(app, action, retryAfterMs ?? retryMs) } as const;
  };

  const inTurn = async (app: string, urgent: boolean, list: () => Promise<ListOutcome>): Promise<ListOutcome> => {
    const waitMs = await limits.listSlot(app, urgent, urgent ? maxLookupWaitMs : maxListWaitMs);
    if (waitMs === undefined) return { kind: 'rateLimited', retryAfterMs: undefined };
    if (waitMs > 0) await clock.sleep(waitMs);
    return slowed(await list(), app, 'list');
  };

  const remember = (region: string, { kind }: CreateOutcome, tookMs: number): void => {
    if (kind === 'noCapacity' || kind === 'quota') health.refused(region);
    if (kind === 'created' || kind === 'started') health.served(region, tookMs);
  };

  return {
    ...fly,
    create: async (app, body, signal) => {
      const startedMs = clock.monotonicMs();
      const outcome = await fly.create(app, body, signal);
      remember(regionOf(body), outcome, clock.monotonicMs() - startedMs);
      return { ...(await slowed(outcome, app, 'create')), requestId: outcome.requestId };
    },
    list: (app) => inTurn(app, false, () => fly.list(app)),
    findByMetadata: (app, key, value) => inTurn(app, true, () => fly.findByMetadata(app, key, value)),
  };
}
