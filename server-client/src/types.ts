import type { components, operations } from './api-types.ts';

/** The types of an operation, from the OpenAPI document. */
export type OperationId = keyof operations;

type JsonOf<Response> = Response extends { content: { 'application/json': infer Json } } ? Json : never;

export type Body<Id extends OperationId> = operations[Id] extends { requestBody: infer Request }
  ? JsonOf<Request>
  : never;

export type Query<Id extends OperationId> = operations[Id] extends { parameters: { query?: infer Parameters } }
  ? NonNullable<Parameters>
  : never;

/** What a successful request answers. */
export type Answer<Id extends OperationId> = JsonOf<
  operations[Id]['responses'][keyof operations[Id]['responses'] & (200 | 201 | 202)]
>;

/** What a list contains. */
export type Item<Id extends OperationId> = Answer<Id> extends { data: Array<infer One> } ? One : never;

export type Session = components['schemas']['Session'];
export type Result = components['schemas']['Result'];
export type Transcript = components['schemas']['Transcript'];

export interface RequestOptions {
  /** Of a POST: your own, for example the id of an order, so that a request that you send again later runs once. Default: a new one, which all attempts of this call have. */
  idempotencyKey?: string;
  /** Of a PATCH: `metaOf(answer).etag` of what you have read. If it has changed meanwhile: ApiError `precondition_failed`. */
  ifMatch?: string;
  /** How long the API may hold the answer until the session is ready, s. 0–60, default 0. */
  waitS?: number;
  /** Each attempt may take this long, beside `waitS`. Default: that of the client. */
  timeoutMs?: number;
  /** Ends the call, with all of its attempts. */
  signal?: AbortSignal;
  /** Names the request in both logs. */
  requestId?: string;
}

/** An event, as streams and webhooks deliver it. Ignore types that you do not know: new ones may be added. */
export interface GreenroomEvent {
  /** In a stream: where to continue (`after`). In a webhook: the same each time a message is sent; drop one that you have seen. */
  id: string;
  type: EventType;
  timestamp: string;
  data: { session_id?: string } & Record<string, unknown>;
}

/** Known types, and any other text. */
export type EventType = NonNullable<Body<'createWebhook'>['events']>[number] | (string & {});
