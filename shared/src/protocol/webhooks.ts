import * as z from 'zod';
import { tenantEventTypes } from '../session/events.ts';
import { text, timestamp, uuid } from './common.ts';
import { listOf } from './list.ts';

/**
 * Webhooks: where a tenant receives the events of its sessions. Signed by the Standard Webhooks scheme
 * (https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp`, `webhook-signature`. A body is
 * `{type, timestamp, data}` (events.ts); `data` contains ids and states, but no names and no transcript text.
 */
const eventType = z.enum(
  tenantEventTypes,
  'is not an event type; docs/events.md lists them, for example session.completed',
);
const url = text(2_000)
  .check(z.url({ protocol: /^https?$/ }))
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII: encode other characters');
const events = z.array(eventType).max(tenantEventTypes.length);

/** `full`: with the event's data. `thin`: only type, time and the session's id; read the rest by the API. */
export const payloadKinds = ['full', 'thin'] as const;
const payload = z.enum(payloadKinds);

export const createWebhookRequest = z.strictObject({
  url,
  events: events.optional().describe('Event types to deliver. Default: all.'),
  payload: payload.optional().describe('Default: `full`.'),
});
/** A change of `url`, or `enabled: true`, also forgets the endpoint's failures. */
export const changeWebhookRequest = z
  .strictObject({
    url: url.optional(),
    events: events.optional(),
    payload: payload.optional(),
    enabled: z.boolean().optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'must contain a field to change');
export const rotateWebhookSecretRequest = z.strictObject({
  overlap_minutes: z
    .number()
    .int()
    .min(0)
    .max(10_080)
    .optional()
    .describe('How long deliveries are also signed with the old secret, minutes, 0–10,080. Default 1,440.'),
});

export const webhookView = z.object({
  id: uuid,
  url: z.string(),
  events: z.array(z.string()).describe('Empty: all.'),
  payload,
  enabled: z.boolean(),
  disabled_reason: z.string().nullable(),
  failing_since: timestamp
    .nullable()
    .describe('The first failed attempt since the last success. After three days the endpoint is disabled.'),
  previous_secret_until: timestamp
    .nullable()
    .describe('Until then deliveries have a second signature with the secret before the last rotation.'),
  created_at: timestamp,
  updated_at: timestamp,
});
/** The secret (`whsec_…`) is shown once. */
export const newWebhookView = webhookView.extend({ secret: z.string() });
export const webhookList = listOf(webhookView);

export const deliveryStatuses = ['pending', 'delivered', 'dead'] as const;
export const deliveryView = z.object({
  id: uuid.describe("Also the message's `webhook-id`: the same in every attempt and in a replay."),
  webhook_id: uuid,
  session_id: uuid.nullable(),
  type: z.string(),
  status: z.enum(deliveryStatuses),
  attempts: z.number().int(),
  next_attempt_at: timestamp.nullable().describe('Null when no attempt is due.'),
  last_status: z.number().int().nullable(),
  last_error: z.string().nullable(),
  delivered_at: timestamp.nullable(),
  created_at: timestamp,
});
/** One attempt of a delivery. */
export const deliveryAttempt = z.object({
  at: timestamp,
  ms: z.number().int().describe('How long the attempt took, ms.'),
  status: z.number().int().nullable().describe('HTTP status; null if there was no answer.'),
  error: z.string().nullable(),
  answer: z.string().nullable().describe("The first 500 characters of the answer's body; null if there was no answer."),
});
export const deliveryDetails = deliveryView.extend({
  payload: z.record(z.string(), z.unknown()).describe('The body as it is sent; empty after the candidate was erased.'),
  log: z.array(deliveryAttempt).describe('The last 20 attempts, oldest first.'),
});
export const deliveryList = listOf(deliveryView);
