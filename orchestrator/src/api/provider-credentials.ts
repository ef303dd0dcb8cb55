import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { providerCredentialList, providerCredentialRequest, providers } from '@greenroom/shared/protocol/tenants.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy, tenantNotFound } from '../access/authenticate.ts';
import { actorOf, tenantsOwnWith } from '../access/route-access.ts';
import type { Config } from '../config.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { providerContext, type Vault } from '../tokens/vault.ts';
import { baseUrlProblem } from '../voice/base-urls.ts';
import type { ProviderAccesses } from '../voice/provider-access.ts';
import { noContent } from './bodies.ts';
import { wholeList } from './paging.ts';

/**
 * `/api/tenants/{id}/provider-credentials`: a tenant's own API keys for providers. They are stored encrypted
 * and cannot be read back.
 */
export interface ProviderCredentialRoutesDeps {
  tenants: Pick<TenantStore, 'putCredential' | 'credentials' | 'deleteCredential'>;
  providerAccess: Pick<ProviderAccesses, 'forget'>;
  voice: Pick<Config['voice'], 'provider' | 'baseUrl' | 'tenantBaseUrls'>;
  vault: Vault;
}

const params = z.object({ id: uuid });
const providerParams = z.object({ id: uuid, provider: z.enum(providers) });

export const providerCredentialRoutes =
  ({ tenants, providerAccess, voice, vault }: ProviderCredentialRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/tenants/:id/provider-credentials',
      {
        config: tenantsOwnWith('tenant:read'),
        schema: {
          summary: 'List the providers for which the tenant has set a key; the keys are not shown',
          params,
          response: { 200: providerCredentialList },
        },
      },
      async (request) => {
        return wholeList(await tenants.credentials(request.params.id));
      },
    );

    app.put(
      '/tenants/:id/provider-credentials/:provider',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: {
          summary: 'Set the API key for a provider',
          params: providerParams,
          body: providerCredentialRequest,
          response: { 204: noContent },
        },
      },
      async (request, reply) => {
        const { id, provider } = request.params;
        const { actor } = actorOf(request);
        const { api_key, base_url: baseUrl = null } = request.body;
        const problem = baseUrl === null ? undefined : baseUrlProblem(provider, baseUrl, voice);
        if (problem !== undefined)
          throw new AppError('validation_failed', { fields: [{ field: 'base_url', message: problem }] });
        const ciphertext = vault.seal(api_key, providerContext(id, provider, baseUrl));
        const credential = { provider, baseUrl, ciphertext, keyId: vault.keyId };
        const { kind } = await tenants.putCredential(id, credential, actBy(request, actor));
        if (kind === 'not_found') throw tenantNotFound();
        providerAccess.forget(id);
        return reply.code(204).send();
      },
    );

    app.delete(
      '/tenants/:id/provider-credentials/:provider',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: { summary: 'Delete the API key for a provider', params: providerParams, response: { 204: noContent } },
      },
      async (request, reply) => {
        const { id, provider } = request.params;
        const { actor } = actorOf(request);
        const deleted = await tenants.deleteCredential(id, provider, actBy(request, actor));
        providerAccess.forget(id);
        if (!deleted) throw new AppError('not_found', { detail: 'The tenant has no key for this provider.' });
        return reply.code(204).send();
      },
    );
  };
