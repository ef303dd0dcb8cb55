import { requestList } from '@greenroom/shared/protocol/account.ts';
import { plainText, timestamp } from '@greenroom/shared/protocol/common.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { RequestRow, RequestStore } from '../database/request-store.ts';
import { pageQuery, pagesOf } from './paging.ts';

/** `GET /api/requests`: the recent requests of the caller's tenant. */
export interface RequestRoutesDeps {
  requests: Pick<RequestStore, 'list'>;
}

const word = plainText(200).min(1).optional();
const listQuery = z.strictObject({
  ...pageQuery,
  status: z
    .string()
    .regex(/^[1-5](?:xx|\d\d)$/)
    .optional()
    .describe('A status such as `409`, or all of a kind: `4xx`.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
  path: word.describe('The path as this document writes it, for example `/api/sessions/{id}`.'),
  ...{ code: word, actor: word, request_id: word },
  from: timestamp.optional().describe('At this time or later.'),
  until: timestamp.optional().describe('Before this time.'),
});
const pages = pagesOf({
  ...{ name: 'requests', position: z.object({ id: z.number().int() }) },
  of: ({ id }: RequestRow) => ({ id }),
});

/** `4xx` is 400–499. */
function boundsOf(status: string | undefined): object {
  if (status === undefined) return {};
  return { status_from: Number(status.replace('xx', '00')), status_to: Number(status.replace('xx', '99')) };
}

export const requestRoutes =
  ({ requests }: RequestRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/requests',
      {
        config: callersWith('tenant:read'),
        schema: {
          summary: 'List the recent requests of the tenant, newest first',
          description:
            'The requests of its keys and users, also refused ones, of the last seven days, and of these the newest 100,000 or so. A request appears about a second after its answer.',
          querystring: listQuery,
          response: { 200: requestList },
        },
      },
      async (request) => {
        const { limit: _limit, cursor: _cursor, ...filters } = request.query;
        const { limit, after } = pages.request(request.query, filters);
        const { status, ...rest } = filters;
        const rows = await requests.list(
          callerOf(request).tenantId,
          limit,
          { ...rest, ...boundsOf(status) },
          after?.id,
        );
        return pages.page(rows, request.query, filters);
      },
    );
  };
