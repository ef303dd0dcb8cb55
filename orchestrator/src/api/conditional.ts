import { createHash } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * Conditional requests (RFC 9110, section 13). Answers to reads, and to the changes that know `If-Match`, have an
 * `ETag`.
 *
 * - `If-None-Match` with the tag of an earlier answer: 304 without a body while nothing has changed.
 * - `If-Match` on a change: 412 `precondition_failed` if it has changed meanwhile. The database compares again in the
 *   transaction of the change, so that of two changes with one tag only the first is made.
 * - A change that does not know `If-Match` is refused with it: ignoring it would lose what it should protect.
 * - The tag does not cover what is made anew for each answer: the join token, the link and the plan of a session.
 */
declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route compares `If-Match` by `unchangedSince`. */
    ifMatch?: boolean;
  }
}

const ofOneAnswer = new Set(['join_token', 'join_url', 'plan']);

function withoutPassing(this: unknown, key: string, value: unknown): unknown {
  const passing = ofOneAnswer.has(key) && typeof this === 'object' && this !== null && 'websocket_url' in this;
  return passing ? undefined : value;
}

/** The tag of an answer. */
export const tagOf = (payload: unknown): string => {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload, withoutPassing);
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
};

const isNamed = (header: string, tag: string): boolean =>
  header.trim() === '*' ||
  header
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .includes(tag);

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';
const isTagged = (request: FastifyRequest, reply: FastifyReply): boolean =>
  reply.statusCode === 200 &&
  request.routeOptions.url?.startsWith('/api/') === true &&
  (isRead(request) || request.routeOptions.config.ifMatch === true);

export const changedMeanwhile = (): AppError =>
  new AppError('precondition_failed', { detail: 'It has changed since the answer with this ETag. Read it again.' });

/**
 * Compares `If-Match` with what is there now.
 *
 * @param read returns it as its own route shows it; undefined if there is none
 * @returns when it was last changed, for the database to compare in the transaction of the change; undefined without
 *   the header. Throws AppError precondition_failed.
 */
export async function unchangedSince(
  request: FastifyRequest,
  read: () => Promise<{ updated_at: string } | undefined>,
): Promise<string | undefined> {
  const header = request.headers['if-match'];
  if (header === undefined) return undefined;
  const present = await read();
  if (present === undefined || !isNamed(header, tagOf(present))) throw changedMeanwhile();
  return present.updated_at;
}

export function registerConditional(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    const { url, config } = request.routeOptions;
    if (request.headers['if-match'] === undefined || config.ifMatch || !url?.startsWith('/api/') || isRead(request))
      return;
    throw new AppError('validation_failed', {
      fields: [{ field: 'if-match', message: 'is not supported by this operation' }],
    });
  });
  app.addHook('preSerialization', async (request, reply, payload) => {
    if (isTagged(request, reply)) reply.header('etag', tagOf(payload));
    return payload;
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (!isTagged(request, reply)) return payload;
    if (!reply.hasHeader('etag') && typeof payload === 'string') reply.header('etag', tagOf(payload));
    const wanted = request.headers['if-none-match'];
    const tag = reply.getHeader('etag');
    if (!isRead(request) || wanted === undefined || typeof tag !== 'string' || !isNamed(wanted, tag)) return payload;
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    return '';
  });
}
