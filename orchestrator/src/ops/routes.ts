import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { operatorsOnly } from '../access/route-access.ts';
import type { PhasesStore } from '../database/phases-store.ts';
import { explain } from './why/explain.ts';

/** `/ops/api`: what operators ask about the sessions of all tenants. It returns no names and no spoken text. */
export interface OperatorRoutesDeps {
  phases: PhasesStore;
  clock: Pick<Clock, 'now'>;
}

const params = z.object({ id: uuid });

export function operatorRoutes({ phases, clock }: OperatorRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.get('/sessions/:id/why', { config: operatorsOnly, schema: { hide: true, params } }, async (request) => {
      const { id } = request.params;
      const row = await phases.ofSession(id);
      if (row === null) throw new AppError('not_found', { detail: 'No such session.' });
      return { session_id: id, status: row.status, ...explain(row, clock.now()), phases: row };
    });
  };
}
