import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { changePositionRequest, positionList, positionView } from '@greenroom/shared/protocol/people.ts';
import { positionInput } from '@greenroom/shared/protocol/platform-api.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { PeopleStore } from '../database/people-store.ts';
import { changedMeanwhile, unchangedSince } from './conditional.ts';
import { newestFirst, pageQuery } from './paging.ts';

/** `/api/positions`. Positions cannot be deleted, because sessions refer to them. */
export interface PositionRoutesDeps {
  people: PeopleStore;
}

const params = z.object({ id: uuid });
const pages = newestFirst('positions');
const notFound = (): AppError => new AppError('not_found', { detail: 'No such position.' });

export const positionRoutes =
  ({ people }: PositionRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      '/positions',
      {
        config: callersWith('people:write'),
        schema: { summary: 'Create a position', body: positionInput, response: { 201: positionView } },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const position = await people.createPosition(tenantId, request.body);
        return reply.code(201).header('location', `/api/positions/${position.id}`).send(position);
      },
    );

    app.get(
      '/positions',
      {
        config: callersWith('people:read'),
        schema: {
          summary: 'List positions, newest first',
          querystring: z.strictObject(pageQuery),
          response: { 200: positionList },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        return pages.page(await people.positions(pages.request(tenantId, request.query)), request.query);
      },
    );

    app.get(
      '/positions/:id',
      {
        config: callersWith('people:read'),
        schema: { summary: 'Show a position', params, response: { 200: positionView } },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const position = await people.position(tenantId, request.params.id);
        if (!position) throw notFound();
        return position;
      },
    );

    app.patch(
      '/positions/:id',
      {
        config: { ...callersWith('people:write'), ifMatch: true },
        schema: { summary: 'Change a position', params, body: changePositionRequest, response: { 200: positionView } },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const { id } = request.params;
        const ifUpdatedAt = await unchangedSince(request, () => people.position(tenantId, id));
        const result = await people.changePosition(tenantId, id, request.body, ifUpdatedAt);
        if (result.kind === 'changed_meanwhile') throw changedMeanwhile();
        if (result.kind === 'not_found') throw notFound();
        return result.position;
      },
    );
  };
