import { messageOf, testMessage } from '@greenroom/shared/protocol/events.ts';
import { tenantEventTexts, tenantEventTypes } from '@greenroom/shared/session/events.ts';
import { z } from 'zod';
import { zodToJsonConfig } from './openapi.ts';

/**
 * The section `webhooks` of the OpenAPI document: the request that a receiver gets for each type of event, from the
 * registry of events.
 */
interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  anyOf?: JsonSchema[];
  additionalProperties?: unknown;
}

/** Events may get new fields. An object without any field stays closed, or generators would make `unknown` of it. */
function opened(schema: JsonSchema): JsonSchema {
  const { additionalProperties, ...rest } = schema;
  const inner = Object.entries(schema.properties ?? {});
  return {
    ...(inner.length > 0 ? rest : schema),
    ...(schema.properties ? { properties: Object.fromEntries(inner.map(([name, one]) => [name, opened(one)])) } : {}),
    ...(schema.anyOf ? { anyOf: schema.anyOf.map(opened) } : {}),
  };
}

/** A union whose choices are equal is one of them. */
function bodyOf(message: z.ZodType): JsonSchema {
  const { $schema: _dialect, ...made } = z.toJSONSchema(message, zodToJsonConfig);
  const schema = opened(made as JsonSchema);
  const data = schema.properties?.data;
  const [full, thin] = data?.anyOf ?? [];
  const same = JSON.stringify(full) === JSON.stringify(thin);
  return full && same ? { ...schema, properties: { ...schema.properties, data: full } } : schema;
}

const signed = [
  ['webhook-id', 'Id of the message, the same in every attempt: drop a message that you have seen.'],
  ['webhook-timestamp', 'When this attempt was signed, seconds since 1970.'],
  ['webhook-signature', 'Signatures of the Standard Webhooks scheme, separated by spaces: `v1,` and base64.'],
].map(([name, description]) => ({ name, description, in: 'header', required: true, schema: { type: 'string' } }));

const camel = (type: string): string =>
  type.replaceAll(/(?:^|[._])([a-z])/g, (_, letter: string) => letter.toUpperCase());

const webhookOf = (type: string, text: string, message: z.ZodType): object => ({
  post: {
    operationId: `on${camel(type)}`,
    summary: text,
    tags: ['Webhooks'],
    security: [],
    parameters: signed,
    requestBody: { required: true, content: { 'application/json': { schema: bodyOf(message) } } },
    responses: {
      '2XX': { description: 'Received.' },
      410: { description: 'The endpoint is disabled.' },
      default: { description: 'Not received: sent again later.' },
    },
  },
});

export const webhookEvents: Readonly<Record<string, object>> = Object.fromEntries([
  ...tenantEventTypes.map((type) => [type, webhookOf(type, tenantEventTexts[type], messageOf(type))]),
  ['webhook.test', webhookOf('webhook.test', 'Sent by `POST /api/webhooks/{id}/test`.', testMessage)],
]);
