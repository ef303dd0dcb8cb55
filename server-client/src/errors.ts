import type { components } from './api-types.ts';

export type Problem = components['schemas']['Problem'];
type Session = components['schemas']['Session'];

/** The base class of the errors below. An aborted `signal` rejects with its own reason, a wrong argument with TypeError. */
export class GreenroomError extends Error {
  override name = 'GreenroomError';
}

/** The API refused the request. Decide by `code`; docs/errors.md says what to do about each. */
export class ApiError extends GreenroomError {
  override name = 'ApiError';
  readonly status: number;
  /** A registered code; `http_502` and the like when the answer is not from the API, but from a proxy in front of it. */
  readonly code: string;
  readonly requestId: string | undefined;
  /** When the API will accept the request, ms from now. */
  readonly retryAfterMs: number | undefined;
  /** The whole problem document. `errors` names the fields. */
  readonly problem: Problem | undefined;

  constructor(status: number, headers: Headers, problem: Problem | undefined) {
    const code = problem?.code ?? `http_${status}`;
    const requestId = problem?.request_id ?? headers.get('x-request-id') ?? undefined;
    super(`${code}: ${problem?.detail ?? 'the answer is no problem document'} (request ${requestId ?? 'unknown'})`);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    this.problem = problem;
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    this.retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : undefined;
  }
}

/** There was no answer, a part of one, or one that is not from the API. `cause` is the error of the last attempt. */
export class ConnectionError extends GreenroomError {
  override name = 'ConnectionError';
}

/** `waitForReady` or `waitForResult` has reached its `timeoutMs`. */
export class WaitTimeoutError extends GreenroomError {
  override name = 'WaitTimeoutError';
}

/** The session has ended, so it will not become ready or have a result. `session` has `status` and `reason`. */
export class SessionOverError extends GreenroomError {
  override name = 'SessionOverError';
  readonly session: Session;
  constructor(session: Session, what: string) {
    super(`${what}: the session is ${session.status} (${session.reason ?? 'no reason yet'})`);
    this.session = session;
  }
}

/** The message is not from Greenroom, was changed, or is too old. Answer with 400. */
export class WebhookError extends GreenroomError {
  override name = 'WebhookError';
}
