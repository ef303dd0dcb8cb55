import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { z } from 'zod';
import type { OperatorStore } from '../../database/operator-store.ts';
import { isRegion } from '../../regions/regions.ts';
import { gone } from '../reading/documents.ts';
import { dailyUsd, type Rates } from '../reading/rates.ts';
import { type Act, alreadySo, nobody } from './act.ts';

/** Sets how many standby and hot machines a tenant keeps in a region. The dry run tells the price of the change. */
export interface SetPoolDeps {
  store: Pick<OperatorStore, 'tenant' | 'pools' | 'putPool'>;
  rates: Rates;
}

interface Params {
  tenant: string;
  region: string;
}
interface Body {
  floor: number;
  ceiling: number;
  hot_floor: number;
  hot_ceiling: number;
}

const params = z.object({ tenant: uuid, region: z.string().refine(isRegion) });
const count = z.number().int().min(0).max(10_000);
const body = z
  .strictObject({ floor: count, ceiling: count, hot_floor: count.default(0), hot_ceiling: count.default(0) })
  .refine(({ floor, ceiling }) => floor <= ceiling, { path: ['floor'], message: 'must not be above the ceiling' })
  .refine((pool) => pool.hot_floor <= pool.hot_ceiling, {
    path: ['hot_floor'],
    message: 'must not be above the hot ceiling',
  });

export const setPool = ({ store, rates }: SetPoolDeps): Act<Params, Body> => ({
  ...{ method: 'PUT', path: '/pools/:tenant/:region', role: 'operator', params, body },
  plan: async ({ tenant: id, region }, wanted) => {
    const tenant = await store.tenant(id);
    if (tenant === null) throw gone('tenant');
    const [now] = await store.pools({ tenant: id, region });
    const before = { floor: now?.floor ?? 0, ceiling: now?.ceiling ?? 0, hot: now?.hot ?? { floor: 0, ceiling: 0 } };
    const usd =
      (wanted.floor - before.floor) * dailyUsd('standby', region, rates) +
      (wanted.hot_floor - before.hot.floor) * dailyUsd('hot', region, rates);
    return {
      effect: [
        `${tenant.slug} keeps ${wanted.floor} to ${wanted.ceiling} standby machines in ${region} (now ${before.floor} to ${before.ceiling}).`,
        `It keeps ${wanted.hot_floor} to ${wanted.hot_ceiling} hot machines there (now ${before.hot.floor} to ${before.hot.ceiling}).`,
      ],
      affected: {
        ...nobody,
        machines: Math.abs(wanted.floor - before.floor) + Math.abs(wanted.hot_floor - before.hot.floor),
      },
      undo: `Set it to ${before.floor} and ${before.ceiling}, hot ${before.hot.floor} and ${before.hot.ceiling}.`,
      usd_per_day: Math.round(usd * 10_000) / 10_000,
    };
  },
  run: async ({ tenant, region }, wanted, by) => {
    const result = await store.putPool(tenant, region, wanted, by);
    if (result.kind === 'not_found') throw gone('tenant');
    if (result.kind === 'already') throw alreadySo('The pool already has these numbers.');
    if (result.kind === 'limit_exceeded')
      throw new AppError('conflict', {
        detail: `The tenant's max_standby allows ${String(result.left)} more machines in this region. Raise its quota first.`,
      });
  },
});
