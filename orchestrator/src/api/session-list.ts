import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText, timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import { nameText } from '@greenroom/shared/protocol/names.ts';
import { regionCode } from '@greenroom/shared/protocol/platform-api.ts';
import { sessionExpansions, sessionList } from '@greenroom/shared/protocol/session-reads.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Caller } from '../access/caller.ts';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { SessionRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import { several } from '../http/queries.ts';
import { pageQuery, pagesOf } from './paging.ts';
import { summarise, type ViewDeps } from './session-view.ts';

/** `GET /api/sessions`: a tenant's sessions, filtered and in order. */
export interface SessionListDeps extends ViewDeps {
  sessions: Pick<SessionStore, 'list'>;
}

export const expandQuery = {
  expand: several(z.enum(sessionExpansions))
    .optional()
    .describe(
      'What to include, so that it needs no request of its own. `candidate` and `position` need the scope `people:read`.',
    ),
};

const orders = ['-created_at', 'created_at', '-scheduled_at', 'scheduled_at'] as const;

const listQuery = z.strictObject({
  ...pageQuery,
  status: several(z.enum(sessionStatuses)).optional().describe('Any of these.'),
  region: several(regionCode).optional().describe('Any of these.'),
  candidate_id: uuid.optional(),
  candidate_external_id: nameText(200).optional().describe('Your own id of the candidate.'),
  position_id: uuid.optional(),
  metadata: z
    .record(plainText(40), plainText(500))
    .optional()
    .describe('`metadata[order]=4711`: sessions whose metadata have all of these values.'),
  created_from: timestamp.optional().describe('At this time or later.'),
  created_until: timestamp.optional().describe('Before this time.'),
  scheduled_from: timestamp.optional().describe('At this time or later.'),
  scheduled_until: timestamp.optional().describe('Before this time.'),
  order: z
    .enum(orders)
    .default('-created_at')
    .describe('The latest first with `-`. In the order of `scheduled_at`, only scheduled sessions are listed.'),
  ...expandQuery,
});

interface Position {
  at: string;
  id: string;
}
const position = z.object({ at: timestamp, id: uuid });
const pagesBy = (column: 'created_at' | 'scheduled_at') =>
  pagesOf<Position, SessionRow>({
    ...{ name: 'sessions', position },
    of: (row) => ({ at: row[column] ?? '', id: row.session_id }),
  });
const pages = { created_at: pagesBy('created_at'), scheduled_at: pagesBy('scheduled_at') };

/** Throws AppError forbidden if the caller may not read what it wants to have included. */
export function checkExpand({ scopes }: Pick<Caller, 'scopes'>, expand: readonly string[] | undefined): void {
  const people = expand?.find((part) => part !== 'result');
  if (people !== undefined && !scopes.includes('people:read'))
    throw new AppError('forbidden', { detail: `expand=${people} needs the scope people:read.` });
}

export const sessionListRoutes =
  (deps: SessionListDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/sessions',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'List sessions, newest first unless another order is given',
          description:
            'Several filters: sessions to which all of them apply. A filter with several values: any of them.',
          querystring: listQuery,
          response: { 200: sessionList },
        },
      },
      async (request) => {
        const caller = callerOf(request);
        const { limit: _limit, cursor: _cursor, ...filters } = request.query;
        checkExpand(caller, filters.expand);
        const { request: ask, page } = pages[filters.order.endsWith('scheduled_at') ? 'scheduled_at' : 'created_at'];
        const found = await deps.sessions.list({ tenantId: caller.tenantId, ...ask(request.query, filters), filters });
        const shown = page(found, request.query, filters);
        return { ...shown, data: await Promise.all(shown.data.map((row) => summarise(row, caller, deps))) };
      },
    );
  };
