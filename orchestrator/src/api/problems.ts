import { databaseAppError } from '@greenroom/shared/database/client.ts';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { type ErrorCode, errorCodes } from '@greenroom/shared/errors/codes.ts';
import { fieldErrors } from '@greenroom/shared/errors/zod-fields.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaCompiler } from 'fastify';
import type { z } from 'zod';

/**
 * Turns every error into an RFC 9457 problem document with a registered code, a sentence that says what to do,
 * the invalid fields and the request id. The cause is only logged.
 */
export const problemType = 'application/problem+json; charset=utf-8';

const fastifyCodes: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_json',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_REOPENED_CLOSE_SERVER: 'shutting_down',
  FST_ERR_REOPENED_SERVER: 'shutting_down',
};

/** Maps any error to an AppError, which is safe to show to the caller. */
export function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { code, statusCode } = error as Partial<FastifyError>;
  const known = code === undefined ? undefined : fastifyCodes[code];
  if (known) return new AppError(known, { cause: error });
  if (error instanceof SyntaxError && statusCode === 400) return new AppError('invalid_json', { cause: error });
  return databaseAppError(error);
}

export function problemOf(error: AppError, requestId: string) {
  return {
    ...error.extensions,
    type: `https://greenroom.dev/errors/${error.code}`,
    title: errorCodes[error.code].title,
    status: error.status,
    detail: error.detail,
    code: error.code,
    request_id: requestId,
    ...(error.fields.length > 0 ? { errors: error.fields } : {}),
  };
}

const codes = new WeakMap<FastifyReply, ErrorCode>();
/** The code in an answer that is a problem document. Undefined for every other answer. */
export const codeOf = (reply: FastifyReply): ErrorCode | undefined => codes.get(reply);

export function sendProblem(reply: FastifyReply, error: AppError): FastifyReply {
  codes.set(reply, error.code);
  if (error.retryAfterS !== undefined) reply.header('retry-after', String(error.retryAfterS));
  if (error.status === 401) reply.header('www-authenticate', 'Bearer');
  // An own serialiser, because a route's response schema does not describe its errors.
  return reply
    .code(error.status)
    .header('content-type', problemType)
    .header('x-request-id', reply.request.id)
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problemOf(error, reply.request.id));
}

/**
 * No valid request has more values (an upload of 200 entries has 2,000). So many are validated within
 * milliseconds.
 */
const maxBodyValues = 10_000;

/** Whether a parsed body has more values, counted at all depths, than any valid request. */
export function hasTooManyValues(body: unknown, most = maxBodyValues): boolean {
  const open: unknown[] = [body];
  let seen = 0;
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    const inner = Object.values(value);
    seen += inner.length;
    if (seen > most) return true;
    open.push(...inner);
  }
  return false;
}

const tooManyValues = (): AppError =>
  new AppError('validation_failed', {
    fields: [{ field: 'body', message: `must have at most ${maxBodyValues} values` }],
  });

/**
 * Validates with zod and reports every invalid field. Invalid path parameters are answered with `not_found`.
 */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data: unknown) => {
    if (httpPart === 'body' && hasTooManyValues(data)) return { error: tooManyValues() };
    const result = schema.safeParse(data);
    if (result.success) return { value: result.data };
    if (httpPart === 'params') return { error: new AppError('not_found') };
    return { error: new AppError('validation_failed', { fields: fieldErrors(result.error, httpPart ?? 'body') }) };
  };

export function registerErrors(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error, request: FastifyRequest, reply) => {
    // A client that disconnects in the middle of its body has caused the error; it must not count as a server error.
    const cut = request.raw.readableAborted;
    const problem = cut ? new AppError('invalid_json', { detail: 'The body is incomplete.' }) : asAppError(error);
    const fields = {
      request_id: request.id,
      method: request.method,
      path: request.routeOptions.url,
      code: problem.code,
    };
    if (problem.status >= 500) logger.error({ ...fields, error: problem.cause ?? problem }, 'request failed');
    return sendProblem(reply, problem);
  });
}
