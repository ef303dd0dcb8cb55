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
interface Pool {
  floor: number;
  ceiling: number;
  hot_floor: number;
  hot_ceiling: number;
}
/** A number that is not given stays as it is, so that nobody writes back what another operator has just changed. */
type Body = { [Key in keyof Pool]?: number | undefined };

const params = z.object({ tenant: uuid, region: z.string().refine(isRegion) });
const count = z.number().int().min(0).max(10_000).optional();
const body = z
  .strictObject({ floor: count, ceiling: count, hot_floor: count, hot_ceiling: count })
  .refine((given) => Object.keys(given).length > 0, { path: ['floor'], message: 'name at least one number' });

const withoutGaps = (given: Body): Partial<Pool> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));

/** Throws AppError validation_failed if a floor would be above its ceiling. */
function check({ floor, ceiling, hot_floor, hot_ceiling }: Pool): void {
  const errors = [
    ...(floor > ceiling ? [{ field: 'floor', message: `must not be above the ceiling, ${ceiling}` }] : []),
    ...(hot_floor > hot_ceiling
      ? [{ field: 'hot_floor', message: `must not be above the hot ceiling, ${hot_ceiling}` }]
      : []),
  ];
  if (errors.length > 0) throw new AppError('validation_failed', { fields: errors });
}

const tooMany = (left: number): AppError =>
  new AppError('conflict', {
    detail: `The tenant's max_standby allows ${left} more machines in this region. Raise its quota first.`,
  });

export const setPool = ({ store, rates }: SetPoolDeps): Act<Params, Body> => ({
  ...{ method: 'PUT', path: '/pools/:tenant/:region', role: 'operator', params, body },
  plan: async ({ tenant: id, region }, given) => {
    const tenant = await store.tenant(id);
    if (tenant === null) throw gone('tenant');
    const pools = await store.pools({ tenant: id });
    const now = pools.find((pool) => pool.region === region);
    const before: Pool = {
      ...{ floor: now?.floor ?? 0, ceiling: now?.ceiling ?? 0 },
      ...{ hot_floor: now?.hot.floor ?? 0, hot_ceiling: now?.hot.ceiling ?? 0 },
    };
    const wanted: Pool = { ...before, ...withoutGaps(given) };
    check(wanted);
    const elsewhere = pools
      .filter((pool) => pool !== now)
      .reduce((sum, { ceiling, hot }) => sum + ceiling + hot.ceiling, 0);
    const left = Math.max(0, tenant.max_standby - elsewhere);
    if (wanted.ceiling + wanted.hot_ceiling > left) throw tooMany(left);
    const usd =
      (wanted.floor - before.floor) * dailyUsd('standby', region, rates) +
      (wanted.hot_floor - before.hot_floor) * dailyUsd('hot', region, rates);
    return {
      effect: [
        `${tenant.slug} keeps ${wanted.floor} to ${wanted.ceiling} standby machines in ${region} (now ${before.floor} to ${before.ceiling}).`,
        `It keeps ${wanted.hot_floor} to ${wanted.hot_ceiling} hot machines there (now ${before.hot_floor} to ${before.hot_ceiling}).`,
      ],
      affected: {
        ...nobody,
        machines: Math.abs(wanted.floor - before.floor) + Math.abs(wanted.hot_floor - before.hot_floor),
      },
      undo: `Set it to ${before.floor} and ${before.ceiling}, hot ${before.hot_floor} and ${before.hot_ceiling}.`,
      usd_per_day: Math.round(usd * 10_000) / 10_000,
    };
  },
  run: async ({ tenant, region }, given, by) => {
    const result = await store.putPool(tenant, region, withoutGaps(given), by);
    if (result.kind === 'not_found') throw gone('tenant');
    if (result.kind === 'floor_above_ceiling')
      throw new AppError('conflict', {
        detail: 'Another operator changed this pool: the floor would now be above the ceiling.',
      });
    if (result.kind === 'already') throw alreadySo('The pool already has these numbers.');
    if (result.kind === 'limit_exceeded') throw tooMany(Number(result.left));
  },
});
