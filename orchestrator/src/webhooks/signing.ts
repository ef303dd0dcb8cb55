import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

/** Signatures of the Standard Webhooks scheme: HMAC-SHA-256 over id, timestamp and body. */

/** A new secret: 256 random bits. */
export const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

export interface SignedMessage {
  headers: Record<string, string>;
  body: string;
}

/**
 * @param id the same in every attempt, so that the receiver can recognise a repeated message
 * @param secrets the current one and, during a rotation, the previous one; the receiver needs only one of them
 */
export function signMessage(id: string, nowMs: number, payload: object, secrets: readonly string[]): SignedMessage {
  const body = JSON.stringify(payload);
  const at = new Date(nowMs);
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Greenroom-Webhooks/1',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(nowMs / 1_000)),
      'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
    },
  };
}
