import { type ErrorCode, errorCodeNames, errorCodes } from '@greenroom/shared/errors/codes.ts';
import { tenantHeader } from '@greenroom/shared/protocol/access.ts';
import { auditList, auditView, meView, requestList, requestView } from '@greenroom/shared/protocol/account.ts';
import {
  candidateList,
  candidateView,
  erasureView,
  invitationList,
  invitationView,
  newInvitationView,
  positionList,
  positionView,
} from '@greenroom/shared/protocol/people.ts';
import { problem, recordingList, recordingView, transcriptView } from '@greenroom/shared/protocol/platform-api.ts';
import { resultView } from '@greenroom/shared/protocol/results.ts';
import { sessionList, shownSession, shownSummary } from '@greenroom/shared/protocol/session-reads.ts';
import {
  apiKeyList,
  apiKeyView,
  newApiKeyView,
  providerCredentialList,
  tenantList,
  tenantView,
} from '@greenroom/shared/protocol/tenants.ts';
import {
  deliveryDetails,
  deliveryList,
  deliveryView,
  newWebhookView,
  webhookList,
  webhookView,
} from '@greenroom/shared/protocol/webhooks.ts';
import type { FastifyContextConfig, FastifySchema, RouteOptions } from 'fastify';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { RouteAccess } from '../access/route-access.ts';
import examplesJson from './examples.json' with { type: 'json' };
import { operations } from './operations.ts';
import { versionHeader } from './versions.ts';

/**
 * The OpenAPI document: from the schemas that validate requests, and from what the routes declare.
 *
 * - Security, the scope and the common error codes follow from a route's declared access (route-access.ts).
 * - Answers are named components. Request bodies stand where they are used.
 * - Answers may get new fields: only request bodies forbid unknown ones.
 */
const components = z.registry<{ id: string }>();
for (const [id, view] of Object.entries({
  ...{ Session: shownSession, SessionSummary: shownSummary, Transcript: transcriptView, Result: resultView },
  ...{ Candidate: candidateView, Erasure: erasureView, Position: positionView },
  ...{ Invitation: invitationView, NewInvitation: newInvitationView, Recording: recordingView },
  ...{ Webhook: webhookView, NewWebhook: newWebhookView, Delivery: deliveryView },
  ...{ DeliveryDetails: deliveryDetails, Problem: problem },
  ...{ Tenant: tenantView, ApiKey: apiKeyView, NewApiKey: newApiKeyView, AuditEntry: auditView, Me: meView },
  ...{ SessionList: sessionList, CandidateList: candidateList, PositionList: positionList },
  ...{ InvitationList: invitationList, RecordingList: recordingList, WebhookList: webhookList },
  ...{ DeliveryList: deliveryList, TenantList: tenantList, ApiKeyList: apiKeyList, AuditLog: auditList },
  ...{ ProviderCredentialList: providerCredentialList, RequestEntry: requestView, RequestLog: requestList },
}))
  components.add(view, { id });

type Override = NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override'];

/** A transformed value is described by what it is made from: our transforms change letters, not types. */
const override: Override = ({ zodSchema, jsonSchema }) => {
  const { def } = zodSchema._zod;
  if (def.type === 'pipe' && def.out._zod.def.type === 'transform') {
    const { $schema: _dialect, ...made } = z.toJSONSchema(def.in, { unrepresentable: 'any' });
    for (const name of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[name];
    Object.assign(jsonSchema, made);
  }
  // The library looks for descriptions among the components only.
  const description = z.globalRegistry.get(zodSchema)?.description;
  if (description !== undefined) jsonSchema.description = description;
  if (def.type === 'object' && def.catchall === undefined) delete jsonSchema.additionalProperties;
  // The format says the same, and the patterns of dates are long.
  if (jsonSchema.format === 'uuid' || jsonSchema.format === 'date-time') delete jsonSchema.pattern;
};
export const zodToJsonConfig = { unrepresentable: 'any', override } as const;

const base = createJsonSchemaTransform({ schemaRegistry: components, zodToJsonConfig });
const describeComponents = createJsonSchemaTransformObject({ schemaRegistry: components, zodToJsonConfig });

interface Described {
  operationId?: string;
  parameters?: Array<{ name: string; in: string; schema?: { type?: string }; [field: string]: unknown }>;
  requestBody?: { content?: Record<string, { example?: unknown }> };
  responses?: Record<string, { content?: Record<string, { example?: unknown }> }>;
}

/** The example of an operation: a request, and its answer. Executed by test/integration/api-examples.test.ts. */
interface Example {
  params?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  status: number;
  /** Absent for 204. */
  answer?: unknown;
}
const examples: Readonly<Record<string, Example>> = examplesJson;

/** Adds what the library leaves out: the form of objects in a query, and the example. */
function complete(operation: Described): void {
  const example = examples[operation.operationId ?? ''];
  for (const parameter of operation.parameters ?? []) {
    if (parameter.in === 'query' && parameter.schema?.type === 'object')
      Object.assign(parameter, { style: 'deepObject', explode: true });
    const value = (parameter.in === 'path' ? example?.params : example?.query)?.[parameter.name];
    if (parameter.in !== 'header' && value !== undefined)
      parameter.example = parameter.schema?.type === 'integer' ? Number(value) : value;
  }
  const sent = operation.requestBody?.content?.['application/json'];
  if (sent !== undefined && example?.body !== undefined) sent.example = example.body;
  const media = operation.responses?.[example?.status ?? 0]?.content ?? {};
  const answered = media[typeof example?.answer === 'string' ? (Object.keys(media)[0] ?? '') : 'application/json'];
  if (answered !== undefined && example?.answer !== undefined) answered.example = example.answer;
}

/** Adds the components and the examples. The library describes each component as input too, which no request body uses. */
export const transformObject: typeof describeComponents = (input) => {
  const made = describeComponents(input) as {
    paths?: Record<string, Record<string, Described>>;
    components?: { schemas?: Record<string, object> };
  };
  for (const operation of Object.values(made.paths ?? {}).flatMap((methods) => Object.values(methods)))
    complete(operation);
  const schemas = Object.entries(made.components?.schemas ?? {}).filter(([name]) => !name.endsWith('Input'));
  return { ...made, components: { ...made.components, schemas: Object.fromEntries(schemas) } } as ReturnType<
    typeof describeComponents
  >;
};

export const securitySchemes = {
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key of a tenant: `gr_live_…`, or `gr_test_…` of its test mode.',
  },
  userToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: `An access token of Supabase Auth. A user of several tenants names one in \`${tenantHeader}\`.`,
  },
  operatorToken: { type: 'http', scheme: 'bearer', description: 'The token of an operator of this deployment.' },
} as const;

const security = (access: RouteAccess): object[] => {
  const [key, user, operator] = [{ apiKey: [] }, { userToken: [] }, { operatorToken: [] }];
  if (access.kind === 'public') return [];
  if (access.kind === 'operator') return [operator];
  return access.kind === 'named_tenant' ? [key, user, operator] : [key, user];
};

/** The codes that a route of this kind can answer with. */
function commonCodes(
  { kind }: RouteAccess,
  { body, params, querystring, headers }: FastifySchema,
  method: string,
  ifMatch: boolean,
) {
  const codes: ErrorCode[] = ['rate_limited', 'overloaded', 'shutting_down', 'database_unavailable', 'internal_error'];
  if (kind !== 'public') codes.push('unauthenticated', 'forbidden');
  codes.push('unsupported_version');
  if (method === 'GET') codes.push('not_acceptable');
  if (ifMatch) codes.push('precondition_failed');
  if (kind === 'caller') codes.push('tenant_required');
  // A body that nobody asked for is parsed, too.
  if (method !== 'GET') codes.push('invalid_json', 'unsupported_media_type', 'body_too_large');
  if (body !== undefined || querystring !== undefined || headers !== undefined) codes.push('validation_failed');
  if (params !== undefined) codes.push('not_found');
  if (querystring instanceof z.ZodObject && 'cursor' in querystring.shape) codes.push('invalid_cursor');
  if (method === 'POST' && kind !== 'public')
    codes.push('idempotency_mismatch', 'idempotency_in_progress', 'validation_failed');
  return codes;
}

const meaning = (code: ErrorCode): string => `\`${code}\`: ${errorCodes[code].title}`;

/** One response per status, with the codes it may have. */
function errorResponses(codes: readonly ErrorCode[]): Record<string, object> {
  const known = errorCodeNames.filter((code) => codes.includes(code));
  const statuses = [...new Set(known.map((code) => errorCodes[code].status))].toSorted((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => {
      const own = known.filter((code) => errorCodes[code].status === status);
      const schema = {
        allOf: [
          { $ref: '#/components/schemas/Problem' },
          { type: 'object', properties: { code: { type: 'string', enum: own } }, required: ['code'] },
        ],
      };
      const description = `${own.map(meaning).join('. ')}.`;
      return [status, { description, content: { 'application/problem+json': { schema } } }];
    }),
  );
}

const successTexts: Record<string, string> = { 200: 'Done.', 201: 'Created.', 202: 'Accepted.', 204: 'Deleted.' };

const answerOf = (status: string, schema: object | null, texts: object): object => ({
  description: successTexts[status],
  ...(status === '204'
    ? { type: 'null' }
    : { content: { ...(schema === null ? {} : { 'application/json': { schema } }), ...texts } }),
});

interface HeaderSchema {
  type: 'object';
  properties: Record<string, object>;
  required?: string[];
}

/** Adds the headers that hooks read on every route. */
function withGeneralHeaders(own: HeaderSchema | undefined, method: string, ifMatch: boolean): HeaderSchema {
  const one = (description: string) => ({ type: 'string', description });
  return {
    ...own,
    type: 'object',
    properties: {
      ...own?.properties,
      ...(method === 'GET'
        ? { 'if-none-match': one('The `etag` of an earlier answer: 304 while it has not changed.') }
        : {}),
      ...(ifMatch ? { 'if-match': one('The `etag` of an earlier answer: 412 if it has changed since.') } : {}),
      [versionHeader]: one('The version of the API, instead of that of the key.'),
    },
  };
}

type Transform = (typeof base extends (input: infer In) => unknown ? In : never) & {
  route: Pick<RouteOptions, 'method'> & { config?: FastifyContextConfig };
};

/** Describes one route. Only the routes under `/api` are published. */
export function transform(input: Transform): ReturnType<typeof base> {
  const { route, url, schema } = input;
  const [method = ''] = [route.method].flat();
  const access = route.config?.access;
  if (!url.startsWith('/api/') || access === undefined || method === 'HEAD' || schema?.hide)
    return { schema: { hide: true } as FastifySchema, url };
  const info = operations[`${method} ${url}`];
  if (info === undefined) throw new Error(`${method} ${url} has no row in api/operations.ts`);
  const made = base(input);
  const own = (made.schema as { response?: Record<string, object> }).response ?? {};
  const texts = Object.fromEntries((info.media ?? []).map((type) => [type, { schema: { type: 'string' } }]));
  const response = Object.fromEntries(
    Object.entries(info.media && Object.keys(own).length === 0 ? { 200: null } : own).map(([status, answer]) => [
      status,
      answerOf(status, answer, texts),
    ]),
  );
  const unchanged = method === 'GET' && !info.media?.includes('text/event-stream');
  const ifMatch = route.config?.ifMatch === true;
  const codes = [...commonCodes(access, schema, method, ifMatch), ...(info.codes ?? [])];
  return {
    url: made.url,
    schema: {
      ...made.schema,
      headers: withGeneralHeaders(made.schema.headers as HeaderSchema | undefined, method, ifMatch),
      operationId: info.id,
      tags: [info.tag],
      security: security(access),
      ...('scope' in access ? { 'x-scope': access.scope } : {}),
      response: {
        ...response,
        ...(unchanged ? { 304: { description: 'Unchanged since the `etag` in `if-none-match`.', type: 'null' } } : {}),
        ...errorResponses(codes),
      },
    } as FastifySchema,
  };
}
