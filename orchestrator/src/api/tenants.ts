import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { scopesOfRole } from '@greenroom/shared/protocol/access.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { regionCode } from '@greenroom/shared/protocol/platform-api.ts';
import {
  appsRequest,
  changeTenantRequest,
  createTenantRequest,
  memberRequest,
  poolRequest,
  quotaFieldNames,
  removalView,
  tenantList,
  slug as tenantSlug,
  tenantView,
} from '@greenroom/shared/protocol/tenants.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Access, actBy, demandScopes, tenantNotFound } from '../access/authenticate.ts';
import { actorOf, operatorsOnly, tenantsOwnWith } from '../access/route-access.ts';
import type { TenantRow, TenantStore } from '../database/tenant-store.ts';
import { isRegion } from '../regions/regions.ts';
import type { createOnboarding } from '../tenants/onboarding.ts';
import { noContent } from './bodies.ts';
import { changedMeanwhile, unchangedSince } from './conditional.ts';
import { pageQuery, pagesOf } from './paging.ts';
import { changesOf, viewTenant } from './tenant-view.ts';

/**
 * `/api/tenants`. Platform operators create, list and remove tenants and set their quotas. A tenant's users and
 * keys can read their tenant; its admins can change its settings.
 */
export interface TenantRoutesDeps {
  access: Pick<Access, 'forgetUser'>;
  tenants: TenantStore;
  onboarding: Pick<ReturnType<typeof createOnboarding>, 'onboard'>;
}

const params = z.object({ id: uuid });
const poolParams = z.object({ id: uuid, region: regionCode });
const memberParams = z.object({ id: uuid, user: uuid });
const listQuery = z.strictObject(pageQuery);
const pages = pagesOf({
  ...{ name: 'tenants', position: z.object({ slug: tenantSlug }) },
  of: ({ slug }: TenantRow) => ({ slug }),
});

const consentTextFixed = (version: string): AppError =>
  new AppError('conflict', {
    detail: `The text of version ${version} cannot be changed, because candidates must be shown the text to which they agreed. Use a new text_version for the new text.`,
    fields: [{ field: 'consent.text', message: 'differs from the stored text of this text_version' }],
  });

function checkRegions(regions: readonly string[] | null | undefined): void {
  const unknown = (regions ?? []).findIndex((code) => !isRegion(code));
  if (unknown < 0) return;
  throw new AppError('validation_failed', {
    fields: [{ field: `allowed_regions.${unknown}`, message: `${regions?.[unknown]} is not a region` }],
  });
}

export function tenantRoutes({ access, tenants, onboarding }: TenantRoutesDeps): FastifyPluginAsyncZod {
  const present = async (id: string): Promise<TenantRow> => {
    const row = await tenants.get(id);
    if (!row) throw tenantNotFound();
    return row;
  };

  return async (app) => {
    app.post(
      '/tenants',
      {
        config: operatorsOnly,
        schema: {
          summary: 'Create a tenant (operators)',
          description:
            'Idempotent by slug: if the tenant exists, the response is 200 and nothing changes. Its Fly app is created at once, or as soon as Fly allows it: see `apps`.',
          body: createTenantRequest,
          response: { 200: tenantView, 201: tenantView },
        },
      },
      async (request, reply) => {
        const { actor } = actorOf(request);
        const { slug, ...body } = request.body;
        checkRegions(body.allowed_regions);
        const by = actBy(request, actor);
        const planned = await tenants.plan(slug, changesOf(body), by);
        if (planned.kind === 'slug_taken')
          throw new AppError('conflict', {
            detail: 'This slug belonged to a tenant that was removed. Use another slug.',
          });
        await onboarding.onboard(planned.tenant, by);
        const row = await present(planned.tenant.id);
        return reply
          .code(planned.kind === 'planned' ? 201 : 200)
          .header('location', `/api/tenants/${row.id}`)
          .send(viewTenant(row));
      },
    );

    app.get(
      '/tenants',
      {
        config: operatorsOnly,
        schema: { summary: 'List tenants by slug (operators)', querystring: listQuery, response: { 200: tenantList } },
      },
      async (request) => {
        const { limit, after } = pages.request(request.query);
        const page = pages.page(await tenants.list(limit, after?.slug), request.query);
        return { ...page, data: page.data.map(viewTenant) };
      },
    );

    app.get(
      '/tenants/:id',
      {
        config: tenantsOwnWith('tenant:read'),
        schema: { summary: 'Show a tenant', params, response: { 200: tenantView } },
      },
      async (request) => {
        return viewTenant(await present(request.params.id));
      },
    );

    app.patch(
      '/tenants/:id',
      {
        config: { ...tenantsOwnWith('tenant:admin'), ifMatch: true },
        schema: {
          summary: 'Change a tenant',
          description: 'Only operators can change quotas, regions and status.',
          params,
          body: changeTenantRequest,
          response: { 200: tenantView },
        },
      },
      async (request) => {
        const { kind, actor } = actorOf(request);
        const { id } = request.params;
        const reserved = Object.keys(request.body).filter((field) => quotaFieldNames.includes(field));
        if (kind === 'tenant' && reserved.length > 0)
          throw new AppError('forbidden', { detail: `Only platform operators may change ${reserved.join(', ')}.` });
        checkRegions(request.body.allowed_regions);
        const ifUpdatedAt = await unchangedSince(request, async () => viewTenant(await present(id)));
        const result = await tenants.update(id, changesOf(request.body), actBy(request, actor), ifUpdatedAt);
        if (result.kind === 'changed_meanwhile') throw changedMeanwhile();
        if (result.kind === 'not_found') throw tenantNotFound();
        if (result.kind === 'consent_text_fixed') throw consentTextFixed(result.text_version);
        if (result.kind === 'limit_exceeded')
          throw new AppError('conflict', {
            detail: `The tenant already has ${result.limit} consent texts, the maximum. Use the text_version of one of them.`,
            fields: [{ field: 'consent.text_version', message: 'is new, and the tenant has no room for another text' }],
          });
        return viewTenant(result.tenant);
      },
    );

    app.delete(
      '/tenants/:id',
      {
        config: operatorsOnly,
        schema: {
          summary: 'Remove a tenant (operators)',
          description:
            '202: removal is in progress. Keys and invitations are refused from now on and sessions end; then machines, apps and data are deleted. 200: the tenant is removed.',
          params,
          response: { 200: removalView, 202: removalView },
        },
      },
      async (request, reply) => {
        const { actor } = actorOf(request);
        const removal = await tenants.remove(request.params.id, actBy(request, actor));
        if (removal.kind === 'not_found') throw tenantNotFound();
        if (removal.kind === 'removed')
          return reply.code(200).send({ status: 'removed' as const, live_sessions: 0, machines: 0, apps: [] });
        const { kind: status, ...left } = removal;
        return reply.code(202).send({ status, ...left });
      },
    );

    app.put(
      '/tenants/:id/apps',
      {
        config: operatorsOnly,
        schema: {
          summary: 'Set how many Fly apps a tenant has (operators)',
          description:
            'Fly creates one machine a second per app, so several apps multiply that rate. The number can only be increased; apps are deleted with the tenant. New apps are created at once, or as soon as Fly allows it.',
          params,
          body: appsRequest,
          response: { 200: tenantView },
        },
      },
      async (request) => {
        const { actor } = actorOf(request);
        const { id } = request.params;
        const tenant = await present(id);
        if (request.body.count < tenant.apps.length)
          throw new AppError('validation_failed', {
            fields: [
              {
                field: 'count',
                message: `must be at least ${tenant.apps.length}: apps are deleted only with the tenant`,
              },
            ],
          });
        await onboarding.onboard(tenant, actBy(request, actor), request.body.count);
        return viewTenant(await present(id));
      },
    );

    app.put(
      '/tenants/:id/pools/:region',
      {
        config: operatorsOnly,
        schema: {
          summary: 'Set how many standby and hot machines a tenant keeps in a region (operators)',
          params: poolParams,
          body: poolRequest,
          response: { 200: tenantView },
        },
      },
      async (request) => {
        const { actor } = actorOf(request);
        const { id, region } = request.params;
        if (!isRegion(region))
          throw new AppError('validation_failed', {
            fields: [{ field: 'region', message: `${region} is not a region` }],
          });
        const result = await tenants.putPool(id, region, request.body, actBy(request, actor));
        if (result.kind === 'not_found') throw tenantNotFound();
        if (result.kind === 'limit_exceeded')
          throw new AppError('validation_failed', {
            fields: [
              {
                field: 'ceiling',
                message: `must be at most ${result.left} together with hot.ceiling: the tenant may have ${result.limit} standby and hot machines in all regions`,
              },
            ],
          });
        return viewTenant(result.tenant);
      },
    );

    app.put(
      '/tenants/:id/users/:user',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: {
          summary: 'Add a user to a tenant, or change the role',
          params: memberParams,
          body: memberRequest,
          response: { 204: noContent },
        },
      },
      async (request, reply) => {
        const acting = actorOf(request);
        const { id, user } = request.params;
        demandScopes(acting, scopesOfRole[request.body.role]);
        const { kind } = await tenants.putUser(id, user, request.body.role, actBy(request, acting.actor));
        if (kind === 'not_found') throw tenantNotFound();
        if (kind === 'user_not_found') throw new AppError('not_found', { detail: 'No such user.' });
        access.forgetUser(user);
        return reply.code(204).send();
      },
    );

    app.delete(
      '/tenants/:id/users/:user',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: { summary: 'Remove a user from a tenant', params: memberParams, response: { 204: noContent } },
      },
      async (request, reply) => {
        const { actor } = actorOf(request);
        const { id, user } = request.params;
        const ended = await tenants.removeUser(id, user, actBy(request, actor));
        access.forgetUser(user);
        if (!ended) throw new AppError('not_found', { detail: 'No such member.' });
        return reply.code(204).send();
      },
    );
  };
}
