import { randomUUID } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { type ErrorCode, errorCodes } from '@greenroom/shared/errors/codes.ts';
import { text } from '@greenroom/shared/protocol/common.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { actorOf, callerOf } from '../access/route-access.ts';
import type { IdempotencyStore, KeyedRequest } from '../database/idempotency-store.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Job } from '../runtime/ticker.ts';
import { bodyHash } from '../sessions/canonical-json.ts';
import { idempotencyContext, type Vault } from '../tokens/vault.ts';

/**
 * `Idempotency-Key` on every POST of an authenticated caller: the same request with the same key runs once, and
 * gets the same answer for 24 hours, byte for byte.
 *
 * - The state is one row per key (`idempotency_keys`). The request that inserts the row runs. Its answer is
 *   stored, encrypted, before it is sent.
 * - The same request in the meantime waits for that answer; after `waitMs` it gets 409 `idempotency_in_progress`.
 * - If the orchestrator dies, its hold lapses and the next try runs the request. If two tries run after all, the
 *   first stored answer is sent to both. A session and its key are written in one transaction, so a second run
 *   finds the first session. Other requests run a second time in that case.
 * - An answer that the same request may not get again is not stored, and frees the key: an invalid request (422),
 *   a code that is retryable, a failure of ours.
 * - A key belongs to a tenant, whichever of its API keys or users sends it. The operators share one scope.
 *   Routes without an authenticated caller (`/api/join…`) ignore the header.
 */
export interface IdempotencyTimes {
  /** A hold that is not prolonged for so long has lapsed. */
  holdMs: number;
  prolongMs: number;
  /** How long a request waits for the same one that runs. Longer than a hold, so that it outlives a crash. */
  waitMs: number;
  pollMs: number;
}

export const idempotencyTimes: IdempotencyTimes = { holdMs: 5_000, prolongMs: 1_500, waitMs: 8_000, pollMs: 100 };

export interface IdempotencyDeps {
  store: IdempotencyStore;
  vault: Vault;
  clock: Clock;
  logger: Logger;
  times?: IdempotencyTimes;
}

const idempotencyKey = text(255).regex(/^[\x20-\x7e]{1,255}$/, 'must be 1–255 printable ASCII characters');
const keyHeader = {
  'idempotency-key': idempotencyKey
    .optional()
    .describe(
      'Makes a repeated request safe: for 24 hours, the same key with the same body returns the same answer. Use a new random key, for example a UUID, for each new request.',
    ),
};
const keyHeaders = z.looseObject(keyHeader);

const storedAnswer = z.object({ status: z.number(), headers: z.record(z.string(), z.string()), body: z.string() });
type StoredAnswer = z.output<typeof storedAnswer>;
/** Headers that are part of an answer, rather than of one exchange. */
const keptHeaders = ['content-type', 'location', 'preference-applied', 'etag'];

/** The run of a keyed request. */
interface Run {
  request: KeyedRequest;
  timer: { current: Timer };
}
const runs = new WeakMap<FastifyRequest, Run>();
const candidates = new WeakMap<FastifyRequest, string>();

/** The key of a running request and its hash, for a handler that stores them in its own transaction. */
export const keyOf = (request: FastifyRequest): Pick<KeyedRequest, 'key' | 'request_hash'> | undefined =>
  runs.get(request)?.request;
/** Names the candidate that the answer is about. The stored answer is erased together with the candidate. */
export const answerConcerns = (request: FastifyRequest, candidateId: string): void =>
  void candidates.set(request, candidateId);

const isKeyed = (method: string | string[], url: string, config: FastifyContextConfig | undefined) =>
  [method].flat().includes('POST') &&
  url.startsWith('/api/') &&
  config?.access !== undefined &&
  config.access.kind !== 'public';

/** Tenant of the caller; null for an operator. */
function tenantOf(request: FastifyRequest): string | null {
  if (request.routeOptions.config.access?.kind === 'caller') return callerOf(request).tenantId;
  const actor = actorOf(request);
  return actor.kind === 'tenant' ? actor.caller.tenantId : null;
}

function keyedRequest(request: FastifyRequest, key: string): KeyedRequest {
  const { routeOptions, params, body } = request;
  const tenantId = tenantOf(request);
  return {
    scope: tenantId ?? 'operator',
    tenant_id: tenantId,
    key,
    request_hash: bodyHash({ url: routeOptions.url, params, body }),
    taken_by: randomUUID(),
  };
}

const codeOf = (body: string): ErrorCode | undefined => {
  try {
    return z.object({ code: z.enum(Object.keys(errorCodes) as [ErrorCode]) }).parse(JSON.parse(body)).code;
  } catch {
    return undefined;
  }
};

/** Whether the same request always gets this answer. */
export function isFinal(status: number, body: string): boolean {
  if (status < 400) return true;
  if (status >= 500 || status === 422 || status === 429) return false;
  const code = codeOf(body);
  return code !== undefined && !errorCodes[code].retryable;
}

function answerOf(reply: FastifyReply, body: string): StoredAnswer {
  const headers = keptHeaders.flatMap((name) => {
    const value = reply.getHeader(name);
    return value === undefined ? [] : [[name, String(value)]];
  });
  return { status: reply.statusCode, headers: Object.fromEntries(headers), body };
}

const unreadable = (cause: unknown): AppError =>
  new AppError('conflict', {
    detail: 'The stored answer of this Idempotency-Key cannot be read any more. Read the present state instead.',
    cause,
  });

export function createIdempotency({ store, vault, clock, logger, times = idempotencyTimes }: IdempotencyDeps) {
  const seal = (answer: StoredAnswer, { scope, key }: KeyedRequest): string =>
    vault.seal(JSON.stringify(answer), idempotencyContext(scope, key));
  const open = (sealed: string, { scope, key }: KeyedRequest): StoredAnswer => {
    try {
      return storedAnswer.parse(JSON.parse(vault.open(sealed, idempotencyContext(scope, key))));
    } catch (error) {
      throw unreadable(error);
    }
  };

  /** Takes the key, or returns the answer of the request that had it first. */
  const take = async (keyed: KeyedRequest): Promise<StoredAnswer | 'taken'> => {
    for (const until = clock.monotonicMs() + times.waitMs; ; ) {
      const result = await store.take(keyed);
      if (result.kind === 'taken') return 'taken';
      if (result.kind === 'answered') return open(result.sealed_answer, keyed);
      if (result.kind === 'mismatch') throw new AppError('idempotency_mismatch');
      if (clock.monotonicMs() > until) throw new AppError('idempotency_in_progress', { retryAfterS: 1 });
      await clock.sleep(times.pollMs);
    }
  };

  /** Prolongs the hold until the timer is cancelled. A hold that lapses all the same does no harm: see above. */
  const prolong = (takenBy: string): Run['timer'] => {
    const turn = (): Timer =>
      clock.setTimer(() => {
        timer.current = turn();
        store.hold(takenBy).catch((error: unknown) => logger.warn({ error }, 'could not prolong an idempotency key'));
      }, times.prolongMs);
    const timer = { current: turn() };
    return timer;
  };

  /** Stores the answer. Returns the answer to send. */
  const settle = async (request: FastifyRequest, keyed: KeyedRequest, answer: StoredAnswer): Promise<StoredAnswer> => {
    const { id } = request.params as { id?: string };
    const ofSession = request.routeOptions.url?.startsWith('/api/sessions/:id/') ?? false;
    const { sealed_answer } = await store.store({
      ...keyed,
      sealed_answer: isFinal(answer.status, answer.body) ? seal(answer, keyed) : null,
      session_id: ofSession && id !== undefined ? id : null,
      candidate_id: candidates.get(request) ?? null,
    });
    return sealed_answer === null ? answer : open(sealed_answer, keyed);
  };

  const prune = async (): Promise<void> => {
    for (let step = 0; step < 20; step += 1) if ((await store.prune(500)) < 500) return;
  };

  const register = (app: FastifyInstance): void => {
    app.addHook('onRoute', (route) => {
      if (!isKeyed(route.method, route.url, route.config)) return;
      const own = route.schema?.headers;
      route.schema = {
        ...route.schema,
        headers: own instanceof z.ZodObject ? own.extend(keyHeader) : keyHeaders,
      };
    });
    app.addHook('preHandler', async (request, reply) => {
      const key = request.headers['idempotency-key'];
      const { config, url = '' } = request.routeOptions;
      if (typeof key !== 'string' || !isKeyed(request.method, url, config)) return;
      const keyed = keyedRequest(request, key);
      const earlier = await take(keyed);
      if (earlier === 'taken') {
        runs.set(request, { request: keyed, timer: prolong(keyed.taken_by) });
        return;
      }
      return reply
        .code(earlier.status)
        .headers({ ...earlier.headers, 'idempotency-replayed': 'true' })
        .serializer((body: unknown) => body as string)
        .send(earlier.body);
    });
    app.addHook('onSend', async (request, reply, payload) => {
      const run = runs.get(request);
      if (run === undefined) return payload;
      runs.delete(request);
      crashPoint('answer.unstored');
      try {
        const body = typeof payload === 'string' ? payload : '';
        const answer = await settle(request, run.request, answerOf(reply, body));
        reply.code(answer.status).headers(answer.headers);
        return payload === null || payload === undefined ? payload : answer.body;
      } catch (error) {
        // The work is done: the caller gets its answer. Only a repetition would not get the same.
        logger.warn({ error, request_id: request.id }, 'could not store the answer of an idempotency key');
        return payload;
      } finally {
        run.timer.current.cancel();
      }
    });
  };

  const jobs: Job[] = [{ name: 'idempotency-keys', everyMs: 10_000, run: prune }];
  return { register, jobs };
}
