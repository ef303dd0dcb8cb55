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

/** The body of a successful answer. */
export type Answer<Id extends OperationId> = JsonOf<
  operations[Id]['responses'][keyof operations[Id]['responses'] & (200 | 201 | 202)]
>;

/** One item of a list. */
export type Item<Id extends OperationId> = Answer<Id> extends { data: Array<infer One> } ? One : never;

export type Session = components['schemas']['Session'];
export type Result = components['schemas']['Result'];
export type Transcript = components['schemas']['Transcript'];

export interface RequestOptions {
  /** For a POST: your own key, for example the id of an order. Calls with the same key take effect once. Default: a new key for this call; all of its attempts have it. */
  idempotencyKey?: string;
  /** For a PATCH: `metaOf(answer).etag` of the answer that you have read. If the object has changed since, the call throws ApiError `precondition_failed`. */
  ifMatch?: string;
  /** How long the API may hold the answer until the session is ready, s. 0–60, default 0. */
  waitS?: number;
  /** Each attempt may take this long in addition to `waitS`, ms. Default: `timeoutMs` of the client. */
  timeoutMs?: number;
  /** Ends the call, with all of its attempts. */
  signal?: AbortSignal;
  /** Sent as `x-request-id`: the id of the request in the API's log. */
  requestId?: string;
}

/** An event, as streams and webhooks deliver it. Ignore types that you do not know: new ones may be added. */
export interface GreenroomEvent {
  /** In a stream: the value of `after` to continue behind this event. In a webhook: the same each time this message is sent; ignore a message whose id you have seen. */
  id: string;
  type: EventType;
  timestamp: string;
  data: { session_id?: string } & Record<string, unknown>;
}

/** Known types, and any other text. */
export type EventType = NonNullable<Body<'createWebhook'>['events']>[number] | (string & {});
