import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { createApiKeyRequest } from '@greenroom/shared/protocol/tenants.ts';
import { newTestKeyView, simulateRequest, simulationView } from '@greenroom/shared/protocol/test-mode.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy, demandScopes, tenantNotFound } from '../access/authenticate.ts';
import { actorOf, callerOf, callersWith, tenantsOwnWith } from '../access/route-access.ts';
import type { SimulationStore } from '../database/simulation-store.ts';
import type { TenantStore } from '../database/tenant-store.ts';
import type { createOnboarding } from '../tenants/onboarding.ts';
import { keyRequestOf, makeKey, tooManyKeys } from './new-key.ts';

/**
 * Test mode. It is a tenant of its own that belongs to the live one (docs/adr/0018-test-mode-is-a-tenant.md), so every
 * route and view keeps live and test rows apart as it keeps tenants apart.
 */
export interface TestModeRoutesDeps {
  tenants: Pick<TenantStore, 'planTest' | 'get' | 'createKey'>;
  onboarding: Pick<ReturnType<typeof createOnboarding>, 'onboard'>;
  simulations: { store: Pick<SimulationStore, 'plan' | 'get'> };
}

const params = z.object({ id: uuid });
const sessionNotFound = (): AppError => new AppError('not_found', { detail: 'No such session.' });

export const testModeRoutes =
  ({ tenants, onboarding, simulations: { store } }: TestModeRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      '/tenants/:id/test-keys',
      {
        config: tenantsOwnWith('tenant:admin'),
        schema: {
          summary: 'Create a test key',
          description:
            'The first one creates the test mode of the tenant: with its settings, its own Fly app and at most 10 live sessions. A test key with `tenant:admin` manages the other test keys.',
          params,
          body: createApiKeyRequest,
          response: { 201: newTestKeyView },
        },
      },
      async (request, reply) => {
        const actor = actorOf(request);
        const by = actBy(request, actor.actor);
        const wanted = keyRequestOf(actor, request.body);
        demandScopes(actor, wanted.scopes);
        const planned = await tenants.planTest(request.params.id, by);
        if (planned.kind === 'not_found') throw tenantNotFound();
        if (planned.kind === 'is_test')
          throw new AppError('conflict', {
            detail: 'This tenant is a test mode itself. Create further test keys with POST /api/tenants/{id}/api-keys.',
          });
        await onboarding.onboard(planned.tenant, by);
        const { key, ...stored } = makeKey('test');
        const result = await tenants.createKey(planned.tenant.id, { ...wanted, ...stored }, by);
        if (result.kind === 'not_found') throw tenantNotFound();
        if (result.kind === 'limit_exceeded') throw tooManyKeys(result.limit, 'Revoke one that is no longer used.');
        return reply.code(201).send({ ...result.key, key, tenant_id: planned.tenant.id });
      },
    );

    app.post(
      '/test/sessions/:id/simulate',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Let a simulated candidate join a test session',
          description:
            'It joins as soon as the session can be joined, and consents if the tenant requires it. A session has one simulated candidate: the same request again shows it.',
          params,
          body: simulateRequest.nullish(),
          response: { 202: simulationView },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const { script } = request.body ?? simulateRequest.parse({});
        const planned = await store.plan(request.params.id, tenantId, script);
        switch (planned.kind) {
          case 'planned':
          case 'known':
            return reply.code(202).send(planned.simulation);
          case 'other_script':
            throw new AppError('conflict', {
              detail: `The candidate of this session already plays ${planned.simulation.script}.`,
            });
          case 'ended':
            throw new AppError('session_ended');
          case 'not_test':
            throw new AppError('forbidden', {
              detail: 'Only sessions of test mode can be simulated. Create the session with a key gr_test_….',
            });
          case 'not_found':
            throw sessionNotFound();
        }
      },
    );

    app.get(
      '/test/sessions/:id/simulation',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'Show the simulated candidate of a test session',
          params,
          response: { 200: simulationView },
        },
      },
      async (request) => {
        const found = await store.get(request.params.id, callerOf(request).tenantId);
        if (!found) throw new AppError('not_found', { detail: 'This session has no simulated candidate.' });
        return found;
      },
    );
  };
