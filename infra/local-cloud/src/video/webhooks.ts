/**
 * Webhooks: each delivery is one POST, signed with HMAC-SHA256 (hex) over the raw body with the webhook's own
 * secret. There is no event for a finished upload; the first event is an encoded quality. Only loopback
 * receivers are called.
 */
import { createHmac } from 'node:crypto';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { Faults } from '../faults.ts';
import { newWireId } from '../voice/wire.ts';

export interface Webhook {
  webhookId: string;
  createdAt: string;
  events: string[];
  url: string;
  signatureSecret: string;
}

export interface Delivery {
  webhookId: string;
  type: string;
  /** The receiver's status. 0: no answer, or not called. */
  status: number;
}

export interface Webhooks {
  create(events: string[], url: string, createdAt: string): Webhook;
  get(webhookId: string): Webhook | undefined;
  remove(webhookId: string): boolean;
  all(): Webhook[];
  /** Sends the event to every webhook that subscribes to its type. */
  publish(event: { type: string; [field: string]: unknown }): void;
  readonly deliveries: readonly Delivery[];
  /** Aborts running deliveries. */
  stop(): Promise<void>;
}

export const signatureOf = (body: string, secret: string): string =>
  createHmac('sha256', secret).update(body).digest('hex');

const isLoopback = (url: string) => ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);

export function createWebhooks(faults: Faults): Webhooks {
  const webhooks = new Map<string, Webhook>();
  const deliveries: Delivery[] = [];
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();

  async function post(webhook: Webhook, body: string): Promise<number> {
    if (!isLoopback(webhook.url)) return 0;
    const headers = {
      'content-type': 'application/json',
      'x-api-video-webhookid': webhook.webhookId,
      'x-api-video-signature': signatureOf(body, webhook.signatureSecret),
    };
    try {
      const response = await fetch(webhook.url, { method: 'POST', headers, body, signal: stopping.signal });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  }
  /**
   * Faults at `webhooks.deliver`: `drop_before` loses a delivery; the special `wrong_signature` sends a wrong
   * signature.
   */
  async function deliver(webhook: Webhook, type: string, body: string): Promise<void> {
    const action = faults.take('webhooks.deliver', { type });
    if (action?.kind === 'drop_before') return;
    const spoiled = action?.kind === 'special' && action.name === 'wrong_signature';
    const status = await post(spoiled ? { ...webhook, signatureSecret: newSecret() } : webhook, body);
    deliveries.push({ webhookId: webhook.webhookId, type, status });
  }
  return {
    deliveries,
    create: (events, url, createdAt) => {
      const webhookId = newWireId('webhook');
      const webhook = { webhookId, createdAt, events, url, signatureSecret: `sig_sec_${newSecret()}` };
      webhooks.set(webhookId, webhook);
      return webhook;
    },
    get: (id) => webhooks.get(id),
    remove: (id) => webhooks.delete(id),
    all: () => [...webhooks.values()],
    publish: (event) => {
      const body = JSON.stringify(event);
      for (const webhook of webhooks.values()) {
        if (!webhook.events.includes(event.type)) continue;
        const delivery: Promise<void> = deliver(webhook, event.type, body).finally(() => underWay.delete(delivery));
        underWay.add(delivery);
      }
    },
    stop: async () => {
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}
