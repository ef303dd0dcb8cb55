import { auditList, auditOutcomes } from '@greenroom/shared/protocol/account.ts';
import { plainText, timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { tenantsOwnWith } from '../access/route-access.ts';
import type { AuditRow, ListAudit } from '../database/audit-store.ts';
import { pageQuery, pagesOf } from './paging.ts';

/** `GET /api/tenants/{id}/audit-log`: administrative acts and refused credentials of a tenant. */
export interface AuditLogRoutesDeps {
  listAudit: ListAudit;
}

const word = plainText(200).min(1).optional();
const listQuery = z.strictObject({
  ...pageQuery,
  ...{ actor: word, action: word, target: word, outcome: z.enum(auditOutcomes).optional() },
  from: timestamp.optional().describe('At this time or later.'),
  until: timestamp.optional().describe('Before this time.'),
});
const pages = pagesOf({
  ...{ name: 'audit-log', position: z.object({ id: z.number().int() }) },
  of: ({ id }: AuditRow) => ({ id }),
});

export const auditLogRoutes =
  ({ listAudit }: AuditLogRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/tenants/:id/audit-log',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: {
          summary: 'List the audit log of a tenant, newest first',
          params: z.object({ id: uuid }),
          querystring: listQuery,
          response: { 200: auditList },
        },
      },
      async (request) => {
        const { limit: _limit, cursor: _cursor, ...filters } = request.query;
        const { limit, after } = pages.request(request.query, filters);
        return pages.page(await listAudit(request.params.id, limit, filters, after?.id), request.query, filters);
      },
    );
  };
