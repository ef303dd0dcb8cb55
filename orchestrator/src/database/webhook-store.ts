import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { deliveryDetails, deliveryView, webhookView } from '@greenroom/shared/protocol/webhooks.ts';
import { z } from 'zod';
import type { ActBy } from './audit-store.ts';
import { type Page, pageOf } from './page.ts';

/** Webhooks: endpoints and the outbox of deliveries. Throws DatabaseError; refusals are values. */
const notFound = z.object({ kind: z.literal('not_found') });
const created = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('created'), webhook: webhookView }),
  z.object({ kind: z.literal('limit_exceeded'), limit: z.number() }),
  notFound,
]);
const changed = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('changed'), webhook: webhookView }),
  z.object({ kind: z.literal('changed_meanwhile') }),
  notFound,
]);
const rotated = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rotated'), webhook: webhookView }),
  notFound,
]);
const queued = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('queued'), delivery: deliveryView }),
  z.object({ kind: z.literal('erased') }),
  notFound,
]);

/** A due delivery, taken for one attempt. */
export const takenDelivery = z.object({
  id: z.string(),
  tenant_id: z.string(),
  webhook_id: z.string(),
  url: z.string(),
  /** 1 for the first. */
  attempt: z.number().int(),
  payload: z.record(z.string(), z.unknown()),
  secret_ciphertext: z.string(),
  previous_secret_ciphertext: z.string().nullable(),
  /** Null for an event of the tenant itself. */
  session_id: z.string().nullable(),
  traceparent: z.string().nullable(),
});
export type TakenDelivery = z.output<typeof takenDelivery>;

/** The result of an attempt. `gone`: the endpoint answered that it no longer exists. */
export interface DeliveryNews {
  outcome: 'delivered' | 'retry' | 'dead' | 'gone';
  status: number | null;
  error: string | null;
  retryMs: number | null;
}

/** How an attempt went, for the tenant's log of the delivery. */
export interface AttemptLog {
  ms: number;
  /** The beginning of the answer's body; null if there was no answer. */
  answer: string | null;
}

export interface DeliveriesWanted {
  limit: number;
  takenMs: number;
  perEndpoint: number;
  perTenant: number;
}

export interface SealedSecret {
  ciphertext: string;
  keyId: string;
}

export type WebhookStore = ReturnType<typeof createWebhookStore>;

export function createWebhookStore(database: Database) {
  const call = callerOf(database);
  return {
    create: (
      tenantId: string,
      webhook: { id: string; url: string; events: string[]; payload: string; secret: SealedSecret },
      by: ActBy,
    ) =>
      call(
        'create_webhook',
        {
          p_tenant_id: tenantId,
          p_id: webhook.id,
          p_url: webhook.url,
          p_events: webhook.events,
          p_payload: webhook.payload,
          p_secret_ciphertext: webhook.secret.ciphertext,
          p_key_id: webhook.secret.keyId,
          p_by: by,
        },
        created,
      ),
    list: (tenantId: string) => call('list_webhooks', { p_tenant_id: tenantId }, z.array(webhookView)),
    get: async (tenantId: string, id: string) =>
      (await call('list_webhooks', { p_tenant_id: tenantId, p_id: id }, z.array(webhookView)))[0],
    change: (tenantId: string, id: string, changes: object, by: ActBy, ifUpdatedAt?: string) =>
      call(
        'change_webhook',
        {
          ...{ p_tenant_id: tenantId, p_id: id, p_changes: changes, p_by: by },
          p_if_updated_at: ifUpdatedAt ?? null,
        },
        changed,
      ),
    rotateSecret: (tenantId: string, id: string, secret: SealedSecret, overlapMs: number, by: ActBy) =>
      call(
        'rotate_webhook_secret',
        {
          p_tenant_id: tenantId,
          p_id: id,
          p_secret_ciphertext: secret.ciphertext,
          p_key_id: secret.keyId,
          p_overlap_ms: overlapMs,
          p_by: by,
        },
        rotated,
      ),
    delete: (tenantId: string, id: string, by: ActBy) =>
      call('delete_webhook', { p_tenant_id: tenantId, p_id: id, p_by: by }, z.boolean()),
    test: (tenantId: string, id: string) => call('test_webhook', { p_tenant_id: tenantId, p_id: id }, queued),
    deliveries: (webhookId: string, page: Page, status?: string) =>
      call(
        'list_webhook_deliveries',
        {
          ...pageOf(page),
          p_webhook_id: webhookId,
          p_status: status ?? null,
        },
        z.array(deliveryView),
      ),
    delivery: (tenantId: string, webhookId: string, deliveryId: string) =>
      call(
        'webhook_delivery',
        { p_tenant_id: tenantId, p_webhook_id: webhookId, p_delivery_id: deliveryId },
        deliveryDetails.nullable(),
      ),
    replay: (tenantId: string, webhookId: string, deliveryId: string, by: ActBy) =>
      call(
        'replay_webhook_delivery',
        { p_tenant_id: tenantId, p_webhook_id: webhookId, p_delivery_id: deliveryId, p_by: by },
        queued,
      ),
    /**
     * Takes due deliveries, in turn by tenant and in the order of each session's events. After `takenMs` another may take them.
     * @param perEndpoint, perTenant maximum number of running deliveries, over all orchestrators
     */
    take: ({ limit, takenMs, perEndpoint, perTenant }: DeliveriesWanted): Promise<TakenDelivery[]> =>
      call(
        'take_webhook_deliveries',
        { p_limit: limit, p_taken_ms: takenMs, p_per_endpoint: perEndpoint, p_per_tenant: perTenant },
        z.array(takenDelivery),
      ),
    /** False if the attempt no longer belongs to this orchestrator. */
    record: (
      { id, attempt }: Pick<TakenDelivery, 'id' | 'attempt'>,
      news: DeliveryNews,
      { ms, answer }: AttemptLog,
    ): Promise<boolean> =>
      call(
        'record_webhook_delivery',
        {
          p_id: id,
          p_attempt: attempt,
          p_outcome: news.outcome,
          p_status: news.status,
          p_error: news.error,
          p_retry_ms: news.retryMs,
          p_ms: ms,
          p_answer: answer,
        },
        z.boolean(),
      ),
    secretsToRotate: (keyId: string) =>
      call(
        'webhook_secrets_to_rotate',
        { p_key_id: keyId },
        z.array(z.object({ id: z.string(), ciphertext: z.string() })),
      ),
    rotateCiphertext: (id: string, old: string, { ciphertext, keyId }: SealedSecret) =>
      call(
        'rotate_webhook_ciphertext',
        { p_id: id, p_old_ciphertext: old, p_ciphertext: ciphertext, p_key_id: keyId },
        z.boolean(),
      ),
  };
}
