import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { tenantsOwnWith } from '../access/route-access.ts';
import { type PoolStore, poolView } from '../database/pool-store.ts';
import { tenantUsage, type UsageStore } from '../database/usage-store.ts';

/** What a tenant keeps ready, and what its machines cost. */
export interface CapacityRoutesDeps {
  pool: Pick<PoolStore, 'ofTenant'>;
  usage: Pick<UsageStore, 'ofTenant'>;
  clock: Pick<Clock, 'now'>;
}

const params = z.object({ id: uuid });
const usageQuery = z.strictObject({
  /** Default: 30 days before `until`. */
  from: timestamp.optional(),
  /** Default: now. */
  until: timestamp.optional(),
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
          summary: 'Show the standby machines of a tenant, by region',
          params,
          response: { 200: z.object({ pools: poolView }) },
        },
      },
      async (request) => {
        return { pools: await pool.ofTenant(request.params.id) };
      },
    );

    app.get(
      '/tenants/:id/usage',
      {
        config: tenantsOwnWith('tenant:read'),
        schema: {
          summary: 'What the machines of a tenant used and cost',
          description: 'Counts machines that went between the two times. Standby is never contained in `cost_usd`.',
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
