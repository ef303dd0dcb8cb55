import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { providerCredentialList, providerCredentialRequest, providers } from '@greenroom/shared/protocol/tenants.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy, tenantNotFound } from '../access/authenticate.ts';
import { actorOf, tenantsOwnWith } from '../access/route-access.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import { providerContext, type Vault } from '../tokens/vault.ts';
import type { ProviderKeys } from '../voice/provider-keys.ts';
import { noContent } from './bodies.ts';
import { wholeList } from './paging.ts';

/**
 * `/api/tenants/{id}/provider-credentials`: a tenant's own API keys for providers. They are stored encrypted
 * and cannot be read back.
 */
export interface ProviderCredentialRoutesDeps {
  tenants: Pick<TenantStore, 'putCredential' | 'credentials' | 'deleteCredential'>;
  providerKeys: Pick<ProviderKeys, 'forget'>;
  vault: Vault;
}

const params = z.object({ id: uuid });
const providerParams = z.object({ id: uuid, provider: z.enum(providers) });

export const providerCredentialRoutes =
  ({ tenants, providerKeys, vault }: ProviderCredentialRoutesDeps): FastifyPluginAsyncZod =>
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
        const ciphertext = vault.seal(request.body.api_key, providerContext(id, provider));
        const { kind } = await tenants.putCredential(id, provider, ciphertext, vault.keyId, actBy(request, actor));
        if (kind === 'not_found') throw tenantNotFound();
        providerKeys.forget(id);
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
        providerKeys.forget(id);
        if (!deleted) throw new AppError('not_found', { detail: 'The tenant has no key for this provider.' });
        return reply.code(204).send();
      },
    );
  };
