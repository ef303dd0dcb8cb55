/** `@greenroom/server`: the API for a platform's backend. Runs wherever `fetch` and WebCrypto are; imports nothing. */
export type { components, operations, paths } from './api-types.ts';
export { createGreenroom, type Greenroom, type Meta, metaOf, type WaitOptions } from './client.ts';
export {
  ApiError,
  ConnectionError,
  GreenroomError,
  type Problem,
  SessionOverError,
  WaitTimeoutError,
  WebhookError,
} from './errors.ts';
export type { StreamOptions } from './events.ts';
export type { Operations } from './operations.ts';
export type { Page, Pages } from './pages.ts';
export type { GreenroomOptions } from './request.ts';
export type {
  Answer,
  Body,
  EventType,
  GreenroomEvent,
  Item,
  OperationId,
  Query,
  RequestOptions,
  Result,
  Session,
  Transcript,
} from './types.ts';
export { verifyWebhook } from './webhooks.ts';
