import { randomBytes } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { operatorsOnly, registerRouteAccess } from '../access/route-access.ts';
import { createShares } from '../access/shares.ts';
import type { AnswerToStore, IdempotencyStore, KeyedRequest } from '../database/idempotency-store.ts';
import { createVault } from '../tokens/vault.ts';
import { createIdempotency, isFinal } from './idempotency.ts';
import { registerErrors, validatorCompiler } from './problems.ts';

interface Row {
  hash: string;
  sealed: string | null;
}

/** The rows in memory. Every caller is an operator. */
async function build(changes: Partial<IdempotencyStore> = {}) {
  const rows = new Map<string, Row>();
  const store: IdempotencyStore = {
    take: async ({ key, request_hash }: KeyedRequest) => {
      const row = rows.get(key);
      if (!row) rows.set(key, { hash: request_hash, sealed: null });
      if (!row) return { kind: 'taken' };
      if (row.hash !== request_hash) return { kind: 'mismatch' };
      return row.sealed === null ? { kind: 'running' } : { kind: 'answered', sealed_answer: row.sealed };
    },
    hold: async () => undefined,
    store: async ({ key, request_hash, sealed_answer }: AnswerToStore) => {
      if (sealed_answer === null) rows.delete(key);
      else rows.set(key, { hash: request_hash, sealed: sealed_answer });
      return { sealed_answer };
    },
    prune: async () => 0,
    ...changes,
  };
  const logger = createLogger({ level: 'silent', component: 'test' });
  const app = Fastify();
  app.setValidatorCompiler(validatorCompiler);
  registerErrors(app, logger);
  const access = { operator: async () => ({ actor: 'operator:test' }) } as unknown as Parameters<
    typeof registerRouteAccess
  >[1];
  registerRouteAccess(app, access, createShares(systemClock));
  const vault = createVault(randomBytes(32));
  const times = { holdMs: 100, prolongMs: 20, waitMs: 200, pollMs: 5 };
  createIdempotency({ store, vault, clock: systemClock, logger, times }).register(app);
  let runs = 0;
  let pause: Promise<void> = Promise.resolve();
  app.post(
    '/api/things',
    {
      config: operatorsOnly,
      schema: { body: z.looseObject({ refuse: z.enum(['conflict', 'rate_limited']).optional() }) },
    },
    async (request, reply) => {
      runs += 1;
      const run = runs;
      await pause;
      const { refuse } = request.body as { refuse?: 'conflict' | 'rate_limited' };
      if (refuse) throw new AppError(refuse);
      return reply.code(201).header('location', `/api/things/${run}`).send({ run, secret: 'plain' });
    },
  );
  const post = async (body: object, key = 'k') =>
    app.inject({ method: 'POST', url: '/api/things', payload: body, headers: { 'idempotency-key': key } });
  return {
    ...{ app, post, rows },
    runs: () => runs,
    pauseUntil: (until: Promise<void>) => {
      pause = until;
    },
  };
}

describe('the header Idempotency-Key', () => {
  test('one run answers all: the second answer has the same status, bytes and location, and is marked', async () => {
    const { post, runs, rows } = await build();
    const [first, second] = [await post({ a: 1 }), await post({ a: 1 })];
    expect([second.statusCode, second.body, second.headers.location]).toEqual([201, first.body, '/api/things/1']);
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    expect([first.headers['idempotency-replayed'], second.headers['idempotency-replayed']]).toEqual([
      undefined,
      'true',
    ]);
    expect(runs()).toBe(1);
    expect(JSON.stringify([...rows])).not.toContain('plain');
  });

  test('without a key, or with another one, the request runs again', async () => {
    const { app, post, runs } = await build();
    await post({ a: 1 }, 'k');
    await post({ a: 1 }, 'l');
    await app.inject({ method: 'POST', url: '/api/things', payload: { a: 1 } });
    expect(runs()).toBe(3);
  });

  test('another body under the same key is refused with 422', async () => {
    const { post } = await build();
    await post({ a: 1 });
    const answer = await post({ a: 2 });
    expect([answer.statusCode, answer.json().code]).toEqual([422, 'idempotency_mismatch']);
  });

  test('a request waits for the run of the same request, and after a while gets 409 with Retry-After', async () => {
    const { post, runs, pauseUntil } = await build();
    let finish = (): void => undefined;
    pauseUntil(new Promise((resolve) => (finish = resolve)));
    const first = post({ a: 1 });
    const late = await post({ a: 1 });
    expect([late.statusCode, late.json().code, late.headers['retry-after']]).toEqual([
      409,
      'idempotency_in_progress',
      '1',
    ]);
    const waiting = post({ a: 1 });
    finish();
    expect((await waiting).body).toBe((await first).body);
    expect(runs()).toBe(1);
  });

  test('a refusal that stays true is replayed with its request id; one that may change frees the key', async () => {
    const { post, runs } = await build();
    const [first, second] = [await post({ refuse: 'conflict' }), await post({ refuse: 'conflict' })];
    expect([second.statusCode, second.body, second.headers['content-type']]).toEqual([
      409,
      first.body,
      first.headers['content-type'],
    ]);
    expect(runs()).toBe(1);
    await post({ refuse: 'rate_limited' }, 'busy');
    await post({ refuse: 'rate_limited' }, 'busy');
    expect(runs()).toBe(3);
  });

  test('an answer that could not be stored is sent all the same', async () => {
    const { post } = await build({ store: () => Promise.reject(new Error('away')) });
    expect((await post({ a: 1 })).statusCode).toBe(201);
  });

  test('if another run of the same request stored its answer first, that answer is sent', async () => {
    const other = await build();
    const first = await other.post({ a: 1 });
    let sealed: string | undefined;
    const { post } = await build({
      store: async (answer) => {
        sealed ??= answer.sealed_answer as string;
        return { sealed_answer: sealed };
      },
      take: async () => ({ kind: 'taken' }),
    });
    const [a, b] = [await post({ a: 1 }), await post({ a: 1 })];
    expect([b.statusCode, b.body, b.headers.location]).toEqual([201, a.body, '/api/things/1']);
    expect(first.statusCode).toBe(201);
  });

  test.each(['', 'x'.repeat(256), 'ümlaut'])('the key %j is refused with the name of the header', async (key) => {
    const { post, runs } = await build();
    const answer = await post({ a: 1 }, key);
    expect([answer.statusCode, answer.json().errors[0].field]).toEqual([422, 'idempotency-key']);
    expect(runs()).toBe(0);
  });
});

describe('answers that are stored', () => {
  const problem = (code: string) => JSON.stringify({ code });
  test.each([
    [201, '{}', true],
    [204, '', true],
    [404, problem('not_found'), true],
    [409, problem('not_joinable'), false],
    [409, 'not a problem document', false],
    [422, problem('validation_failed'), false],
    [429, problem('tenant_quota_exceeded'), false],
    [502, problem('provider_auth_failed'), false],
  ])('%i %s: %j', (status, body, expected) => expect(isFinal(status, body)).toBe(expected));
});
