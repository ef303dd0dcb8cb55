import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import { listOf } from '@greenroom/shared/protocol/list.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { tenantsOwnWith } from '../access/route-access.ts';
import { type PoolStore, poolView } from '../database/pool-store.ts';
import { tenantUsage, type UsageStore } from '../database/usage-store.ts';
import { wholeList } from './paging.ts';

/** Routes for a tenant's standby machines and for the usage and cost of its machines. */
export interface CapacityRoutesDeps {
  pool: Pick<PoolStore, 'ofTenant'>;
  usage: Pick<UsageStore, 'ofTenant'>;
  clock: Pick<Clock, 'now'>;
}

const params = z.object({ id: uuid });
const poolList = listOf(poolView);
const usageQuery = z.strictObject({
  from: timestamp.optional().describe('Default: 30 days before `until`.'),
  until: timestamp.optional().describe('Default: now.'),
});
const usageView = tenantUsage.extend({ from: timestamp, until: timestamp });
const defaultSpanMs = 30 * 86_400_000;

export function capacityRoutes({ pool, usage, clock }: CapacityRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/tenants/:id/pool',
      {
        config: tenantsOwnWith('tenant:read'),
        schema: {
          summary: 'Show the standby and hot machines of a tenant, by region',
          params,
          response: { 200: poolList },
        },
      },
      async (request) => {
        return wholeList(await pool.ofTenant(request.params.id));
      },
    );

    app.get(
      '/tenants/:id/usage',
      {
        config: tenantsOwnWith('tenant:read'),
        schema: {
          summary: 'Show the usage and cost of a tenant’s machines',
          description:
            'Counts machines whose usage was recorded between `from` and `until`; it is recorded when a machine has ended. `cost_usd` does not include the cost of standby time.',
          params,
          querystring: usageQuery,
          response: { 200: usageView },
        },
      },
      async (request) => {
        const until = request.query.until ?? new Date(clock.now()).toISOString();
        const from = request.query.from ?? new Date(Date.parse(until) - defaultSpanMs).toISOString();
        if (Date.parse(from) >= Date.parse(until))
          throw new AppError('validation_failed', { fields: [{ field: 'from', message: 'must be before until' }] });
        return { from, until, ...(await usage.ofTenant(request.params.id, from, until)) };
      },
    );
  };
}
