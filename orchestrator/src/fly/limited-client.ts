import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { LimitStore } from '../database/limit-store.ts';
import type { RegionHealth } from '../regions/health.ts';
import type { CreateOutcome, FlyRefusal } from './classify.ts';
import type { FlyClient, ListOutcome } from './client.ts';

/**
 * The client of Fly's API within what all orchestrators share: the limits per app, and what is known of regions.
 *
 * V1  Creates have drawn their slot with their intent. Lists draw theirs here; who looks for the machine of a waiting
 *     candidate may use the burst, the reconciler may not.
 * V2  A 429 is news for everybody: the app's row is moved by Fly's Retry-After, or by a second when Fly names none.
 * V3  What a region answered to a create is remembered for choosing the next one.
 */
export interface LimitedClientDeps {
  limits: LimitStore;
  health: Pick<RegionHealth, 'refused' | 'served'>;
  clock: Clock;
  /** A list that would have to wait longer than this is not made. */
  maxListWaitMs: number;
}

const retryMs = 1_000;
const maxLookupWaitMs = 3_000;

const regionOf = (body: object): string => ('region' in body && typeof body.region === 'string' ? body.region : '');

export function createLimitedClient(fly: FlyClient, deps: LimitedClientDeps): FlyClient {
  const { limits, health, clock, maxListWaitMs } = deps;

  /** V2. */
  const slowed = async <T extends { kind: string }>(
    outcome: T | FlyRefusal,
    app: string,
    action: 'create' | 'list',
  ) => {
    if (outcome.kind !== 'rateLimited') return outcome;
    const { retryAfterMs } = outcome as Extract<FlyRefusal, { kind: 'rateLimited' }>;
    return { kind: 'rateLimited', retryAfterMs: await limits.slowApp(app, action, retryAfterMs ?? retryMs) } as const;
  };

  /** V1. */
  const inTurn = async (app: string, urgent: boolean, list: () => Promise<ListOutcome>): Promise<ListOutcome> => {
    const waitMs = await limits.listSlot(app, urgent, urgent ? maxLookupWaitMs : maxListWaitMs);
    if (waitMs === undefined) return { kind: 'rateLimited', retryAfterMs: undefined };
    if (waitMs > 0) await clock.sleep(waitMs);
    return slowed(await list(), app, 'list');
  };

  /** V3. */
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
      return slowed(outcome, app, 'create');
    },
    list: (app) => inTurn(app, false, () => fly.list(app)),
    findByMetadata: (app, key, value) => inTurn(app, true, () => fly.findByMetadata(app, key, value)),
  };
}
