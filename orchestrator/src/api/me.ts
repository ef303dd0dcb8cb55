import { meView } from '@greenroom/shared/protocol/account.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { tenantNotFound } from '../access/authenticate.ts';
import { anyCaller, callerOf } from '../access/route-access.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { versionOf } from './versions.ts';

/** `GET /api/me`: who the caller is, what it may do, and its limits. */
export interface MeRoutesDeps {
  tenants: Pick<TenantStore, 'get'>;
  callerPerMinute: { key: number; tenant: number };
}

export const meRoutes =
  ({ tenants, callerPerMinute: { key: caller, tenant } }: MeRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/me',
      {
        config: anyCaller,
        schema: {
          summary: 'Show the tenant, scopes, mode and limits of the caller',
          description: 'Every valid API key may call this, whatever its scopes.',
          response: { 200: meView },
        },
      },
      async (request) => {
        const { tenantId, actor, scopes } = callerOf(request);
        const row = await tenants.get(tenantId);
        if (!row) throw tenantNotFound();
        const { id, slug, name, max_live_sessions, live_sessions, allowed_regions } = row;
        return {
          tenant: { id, slug, name, status: 'active' as const },
          actor,
          scopes: [...scopes],
          mode: row.test ? ('test' as const) : ('live' as const),
          api_version: versionOf(request),
          limits: {
            requests_per_minute: { caller, tenant },
            ...{ max_live_sessions, live_sessions, allowed_regions },
            session_starts_per_minute: row.starts_per_minute,
            max_duration_minutes: row.max_duration_ms / 60_000,
          },
        };
      },
    );
  };
