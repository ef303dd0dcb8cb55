import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import {
  changeWebhookRequest,
  createWebhookRequest,
  deliveryDetails,
  deliveryList,
  deliveryStatuses,
  deliveryView,
  newWebhookView,
  rotateWebhookSecretRequest,
  webhookList,
  webhookView,
} from '@greenroom/shared/protocol/webhooks.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy } from '../access/authenticate.ts';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { SealedSecret, WebhookStore } from '../database/webhook-store.ts';
import type { Guard } from '../net/guard.ts';
import { type Vault, webhookContext } from '../tokens/vault.ts';
import { newWebhookSecret } from '../webhooks/signing.ts';
import { noContent } from './bodies.ts';
import { changedMeanwhile, unchangedSince } from './conditional.ts';
import { newestFirst, pageQuery, wholeList } from './paging.ts';

/**
 * `/api/webhooks`: endpoints, their secrets and deliveries. A secret is shown only once, when it is created.
 */
export interface WebhookRoutesDeps {
  webhooks: WebhookStore;
  guard: Pick<Guard, 'checkForm'>;
  vault: Vault;
}

const params = z.object({ id: uuid });
const deliveryParams = z.object({ id: uuid, delivery: uuid });
const deliveryQuery = z.strictObject({ ...pageQuery, status: z.enum(deliveryStatuses).optional() });
const defaultOverlapMinutes = 1_440;

const pages = newestFirst('deliveries');
const notFound = (): AppError => new AppError('not_found', { detail: 'No such webhook.' });
const noDelivery = (): AppError => new AppError('not_found', { detail: 'No such delivery.' });

export function webhookRoutes({ webhooks, guard, vault }: WebhookRoutesDeps): FastifyPluginAsyncZod {
  const sealNew = (id: string): { plain: string; sealed: SealedSecret } => {
    const plain = newWebhookSecret();
    return { plain, sealed: { ciphertext: vault.seal(plain, webhookContext(id)), keyId: vault.keyId } };
  };

  /**
   * Checks the form of the URL. The addresses of its host are checked at each delivery, because they can
   * change.
   */
  const checkUrl = (url: string | undefined): void => {
    const wrong = url === undefined ? undefined : guard.checkForm(url);
    if (wrong) throw new AppError('validation_failed', { fields: [{ field: 'url', message: wrong.why }] });
  };

  return async (app) => {
    app.post(
      '/webhooks',
      {
        config: callersWith('webhooks:write'),
        schema: { summary: 'Add a webhook', body: createWebhookRequest, response: { 201: newWebhookView } },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const { url, events = [], payload = 'full' } = request.body;
        checkUrl(url);
        const id = newId();
        const secret = sealNew(id);
        const by = actBy(request, actor);
        const result = await webhooks.create(tenantId, { id, url, events, payload, secret: secret.sealed }, by);
        if (result.kind === 'not_found') throw notFound();
        if (result.kind === 'limit_exceeded')
          throw new AppError('conflict', { detail: `The tenant already has ${result.limit} webhooks, the maximum.` });
        return reply
          .code(201)
          .header('location', `/api/webhooks/${id}`)
          .send({ ...result.webhook, secret: secret.plain });
      },
    );

    app.get(
      '/webhooks',
      { config: callersWith('webhooks:read'), schema: { summary: 'List webhooks', response: { 200: webhookList } } },
      async (request) => {
        const { tenantId } = callerOf(request);
        return wholeList(await webhooks.list(tenantId));
      },
    );

    app.get(
      '/webhooks/:id',
      {
        config: callersWith('webhooks:read'),
        schema: { summary: 'Show a webhook', params, response: { 200: webhookView } },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const webhook = await webhooks.get(tenantId, request.params.id);
        if (!webhook) throw notFound();
        return webhook;
      },
    );

    app.patch(
      '/webhooks/:id',
      {
        config: { ...callersWith('webhooks:write'), ifMatch: true },
        schema: {
          summary: 'Change a webhook, or switch it off or on',
          params,
          body: changeWebhookRequest,
          response: { 200: webhookView },
        },
      },
      async (request) => {
        const { tenantId, actor } = callerOf(request);
        checkUrl(request.body.url);
        const { id } = request.params;
        const ifUpdatedAt = await unchangedSince(request, () => webhooks.get(tenantId, id));
        const result = await webhooks.change(tenantId, id, request.body, actBy(request, actor), ifUpdatedAt);
        if (result.kind === 'changed_meanwhile') throw changedMeanwhile();
        if (result.kind === 'not_found') throw notFound();
        return result.webhook;
      },
    );

    app.delete(
      '/webhooks/:id',
      {
        config: callersWith('webhooks:write'),
        schema: { summary: 'Delete a webhook', params, response: { 204: noContent } },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        if (!(await webhooks.delete(tenantId, request.params.id, actBy(request, actor)))) throw notFound();
        return reply.code(204).send();
      },
    );

    app.post(
      '/webhooks/:id/rotate-secret',
      {
        config: callersWith('webhooks:write'),
        schema: {
          summary: 'Replace the secret; deliveries have both signatures for a while',
          params,
          body: rotateWebhookSecretRequest.nullish(),
          response: { 200: newWebhookView },
        },
      },
      async (request) => {
        const { tenantId, actor } = callerOf(request);
        const { id } = request.params;
        const secret = sealNew(id);
        const overlapMs = (request.body?.overlap_minutes ?? defaultOverlapMinutes) * 60_000;
        const result = await webhooks.rotateSecret(tenantId, id, secret.sealed, overlapMs, actBy(request, actor));
        if (result.kind === 'not_found') throw notFound();
        return { ...result.webhook, secret: secret.plain };
      },
    );

    app.post(
      '/webhooks/:id/test',
      {
        config: callersWith('webhooks:write'),
        schema: { summary: 'Send a test message', params, response: { 202: deliveryView } },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const result = await webhooks.test(tenantId, request.params.id);
        if (result.kind !== 'queued') throw notFound();
        return reply.code(202).send(result.delivery);
      },
    );

    app.get(
      '/webhooks/:id/deliveries',
      {
        config: callersWith('webhooks:read'),
        schema: {
          summary: 'List the deliveries of a webhook, newest first',
          params,
          querystring: deliveryQuery,
          response: { 200: deliveryList },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const { status, ...query } = request.query;
        if (!(await webhooks.get(tenantId, request.params.id))) throw notFound();
        const filters = { webhook: request.params.id, status };
        const rows = await webhooks.deliveries(request.params.id, pages.request(tenantId, query, filters), status);
        return pages.page(rows, query, filters);
      },
    );

    app.get(
      '/webhooks/:id/deliveries/:delivery',
      {
        config: callersWith('webhooks:read'),
        schema: {
          summary: 'Show a delivery with its payload and the log of its attempts',
          params: deliveryParams,
          response: { 200: deliveryDetails },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const { id, delivery } = request.params;
        const found = await webhooks.delivery(tenantId, id, delivery);
        if (!found) throw noDelivery();
        return found;
      },
    );

    app.post(
      '/webhooks/:id/deliveries/:delivery/replay',
      {
        config: callersWith('webhooks:write'),
        schema: {
          summary: 'Send a delivery again, under the same message id',
          params: deliveryParams,
          response: { 202: deliveryView },
        },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const { id, delivery } = request.params;
        const result = await webhooks.replay(tenantId, id, delivery, actBy(request, actor));
        if (result.kind === 'not_found') throw noDelivery();
        if (result.kind === 'erased')
          throw new AppError('conflict', {
            detail: "This delivery can't be replayed: its payload was deleted when the candidate was erased.",
          });
        return reply.code(202).send(result.delivery);
      },
    );
  };
}
