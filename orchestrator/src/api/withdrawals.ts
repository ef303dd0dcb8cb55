import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import {
  decideWithdrawalRequest,
  type WithdrawalView,
  withdrawalList,
  withdrawalView,
} from '@greenroom/shared/protocol/people.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy } from '../access/authenticate.ts';
import { actorOf, operatorsOnly } from '../access/route-access.ts';
import type { PeopleStore } from '../database/people-store.ts';
import { pageQuery, pagesOf } from './paging.ts';

/**
 * `/api/withdrawals`, for operators: consents that candidates withdrew and that are not settled. Where the tenant
 * chose `review`, an operator decides what is erased.
 */
export interface WithdrawalRoutesDeps {
  people: Pick<PeopleStore, 'withdrawals' | 'decideWithdrawal'>;
}

const params = z.object({ id: uuid });
const pages = pagesOf({
  ...{ name: 'withdrawals', position: z.object({ createdAt: timestamp, id: uuid }) },
  of: ({ withdrawn_at, session_id }: WithdrawalView) => ({ createdAt: withdrawn_at, id: session_id }),
});

export const withdrawalRoutes =
  ({ people }: WithdrawalRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/withdrawals',
      {
        config: operatorsOnly,
        schema: {
          summary: 'List withdrawals of consent that are not settled, newest first (operators)',
          description: '`effect` `review`: waits for a decision. Otherwise the erasure waits for the end of a session.',
          querystring: z.strictObject(pageQuery),
          response: { 200: withdrawalList },
        },
      },
      async (request) => {
        const { limit, after: before } = pages.request(request.query);
        return pages.page(await people.withdrawals({ limit, before }), request.query);
      },
    );

    app.post(
      '/withdrawals/:id',
      {
        config: operatorsOnly,
        schema: {
          summary: 'Decide what follows from a withdrawal of consent (operators)',
          description: '`id` is the session. Only for a withdrawal that waits for review; else 409 `conflict`.',
          params,
          body: decideWithdrawalRequest,
          response: { 200: withdrawalView },
        },
      },
      async (request) => {
        const { actor } = actorOf(request);
        const { decision, why } = request.body;
        const result = await people.decideWithdrawal(request.params.id, decision, why, actBy(request, actor));
        if (result.kind === 'not_found') throw new AppError('not_found', { detail: 'No such withdrawal.' });
        const { kind, ...withdrawal } = result;
        if (kind === 'already')
          throw new AppError('conflict', { detail: 'This withdrawal does not wait for a decision.' });
        return withdrawal;
      },
    );
  };
