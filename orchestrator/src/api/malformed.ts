import type { Socket } from 'node:net';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import type { FastifyInstance } from 'fastify';
import { problemOf, problemType } from './problems.ts';

/**
 * Answers what Node's HTTP parser refuses, before there is a request: like every other error, with a problem document.
 * The connection ends with it.
 */
const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};
const names: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
};

export function answerMalformed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = new AppError(codes[error.code ?? ''] ?? 'malformed_request');
  const id = newId();
  const body = JSON.stringify(problemOf(problem, id));
  const head = [
    `HTTP/1.1 ${problem.status} ${names[problem.status]}`,
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${id}`,
    'connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroySoon();
}

/**
 * Two refusals that Node would answer itself, without a problem document. An `Expect` header that nobody knows is ignored, as
 * HTTP allows. A request without `Host` is refused (`requireHostHeader` of the server must be false).
 */
export function registerMalformed(app: FastifyInstance): void {
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  app.addHook('onRequest', async ({ raw }) => {
    if (raw.headers.host === undefined && raw.httpVersion === '1.1')
      throw new AppError('malformed_request', { detail: 'The host header is missing.' });
  });
}
