import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import {
  apiKeyList,
  apiKeyView,
  createApiKeyRequest,
  newApiKeyView,
  rotateApiKeyRequest,
} from '@greenroom/shared/protocol/tenants.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Access, actBy, demandScopes, tenantNotFound } from '../access/authenticate.ts';
import { actorOf, tenantsOwnWith } from '../access/route-access.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { keyRequestOf, makeKey, tooManyKeys } from './new-key.ts';
import { newestFirst, pageQuery } from './paging.ts';
import { newestVersion } from './versions.ts';

/**
 * `/api/tenants/{id}/api-keys`. A key is shown only once, in the response that creates it.
 *
 * - A caller can give a new key only scopes that the caller has.
 * - Keys of a live tenant begin with gr_live_, those of a test mode with gr_test_ (test-mode.ts).
 * - A revoked key is refused at once by this process, and within a second by the others, which cache keys that
 *   long.
 */
export interface ApiKeyRoutesDeps {
  access: Pick<Access, 'forgetKey'>;
  tenants: Pick<TenantStore, 'get' | 'createKey' | 'key' | 'keys' | 'rotateKey' | 'revokeKey'>;
}

const params = z.object({ id: uuid });
const keyParams = z.object({ id: uuid, key: uuid });
const defaultOverlapMinutes = 1_440;
const pages = newestFirst('api-keys');
const notFound = (): AppError => new AppError('not_found', { detail: 'No such API key.' });

export const apiKeyRoutes =
  ({ access, tenants }: ApiKeyRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    const newKeyOf = async (tenantId: string) => {
      const tenant = await tenants.get(tenantId);
      if (!tenant) throw tenantNotFound();
      return makeKey(tenant.test ? 'test' : 'live');
    };

    app.post(
      '/tenants/:id/api-keys',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: { summary: 'Create an API key', params, body: createApiKeyRequest, response: { 201: newApiKeyView } },
      },
      async (request, reply) => {
        const { id } = request.params;
        const actor = actorOf(request);
        const wanted = keyRequestOf(actor, request.body);
        demandScopes(actor, wanted.scopes);
        const { key, ...stored } = await newKeyOf(id);
        const result = await tenants.createKey(id, { ...wanted, ...stored }, actBy(request, actor.actor));
        if (result.kind === 'not_found') throw tenantNotFound();
        if (result.kind === 'limit_exceeded') throw tooManyKeys(result.limit, 'Revoke one that is no longer used.');
        return reply.code(201).send({ ...result.key, key });
      },
    );

    app.get(
      '/tenants/:id/api-keys',
      {
        config: tenantsOwnWith('tenant:read'),
        schema: {
          summary: 'List API keys, newest first',
          description: 'Revoked and expired keys are included.',
          params,
          querystring: z.strictObject(pageQuery),
          response: { 200: apiKeyList },
        },
      },
      async (request) => {
        return pages.page(await tenants.keys(pages.request(request.params.id, request.query)), request.query);
      },
    );

    app.post(
      '/tenants/:id/api-keys/:key/rotate',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: {
          summary: 'Replace an API key; the old key stays valid for a while',
          params: keyParams,
          body: rotateApiKeyRequest.nullish(),
          response: { 201: newApiKeyView },
        },
      },
      async (request, reply) => {
        const { id, key: keyId } = request.params;
        const actor = actorOf(request);
        const old = await tenants.key(id, keyId);
        if (!old) throw notFound();
        demandScopes(actor, old.scopes);
        const { key, prefix, hash } = await newKeyOf(id);
        const overlapMs = (request.body?.overlap_minutes ?? defaultOverlapMinutes) * 60_000;
        const apiVersion = request.body?.api_version === 'newest' ? newestVersion : undefined;
        const by = actBy(request, actor.actor);
        const result = await tenants.rotateKey(id, keyId, { prefix, hash, apiVersion }, overlapMs, by);
        if (result.kind === 'not_found') throw notFound();
        if (result.kind === 'limit_exceeded')
          throw tooManyKeys(result.limit, 'Revoke one, or set overlap_minutes to 0.');
        if (result.kind === 'already_rotated')
          throw new AppError('conflict', { detail: `The key has already been replaced by ${result.replaced_by}.` });
        access.forgetKey(keyId);
        return reply.code(201).send({ ...result.key, key });
      },
    );

    app.delete(
      '/tenants/:id/api-keys/:key',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: { summary: 'Revoke an API key', params: keyParams, response: { 200: apiKeyView } },
      },
      async (request) => {
        const { id, key: keyId } = request.params;
        const { actor } = actorOf(request);
        const result = await tenants.revokeKey(id, keyId, actBy(request, actor));
        access.forgetKey(keyId);
        if (result.kind === 'not_found') throw notFound();
        return result.key;
      },
    );
  };
