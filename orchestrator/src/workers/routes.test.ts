import type { Directive } from '@greenroom/shared/protocol/worker-api.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { expect, test } from 'vitest';
import type { HotWorkers } from '../fleet/hot-workers.ts';
import { machineId, noTracing, sessionId, tenantId } from '../testing.ts';
import { type WorkerRoutesDeps, workerRoutes } from './routes.ts';

const workerTokenMs = 1_800_000;
const claims = { role: 'session_worker', session_id: sessionId, tenant_id: tenantId, machine_id: machineId, epoch: 1 };

/**
 * Worker routes with a database that answers every heartbeat with this directive, and every claim as that of a hot worker
 * without a session. The worker's token has a minute left.
 */
async function appWith(directive: Directive, hold: HotWorkers['hold'] = async () => undefined) {
  const clock = createFakeClock();
  const logger = createLogger({ level: 'silent', component: 'test' });
  const deps = {
    config: { deadlines: { workerTokenMs, leaseMs: 20_000, hotHoldMs: 10_000 }, voice: {} },
    identities: { verify: async () => ({ kind: 'good', identity: {} }) },
    machines: { claim: async () => ({ kind: 'waiting', machine_id: machineId, heard_at: '2026-11-21T10:00:00Z' }) },
    hotWorkers: { hold },
    databaseTokens: {
      verifyWorker: async () => ({ kind: 'good', claims, expiresAtMs: clock.now() + 60_000 }),
      mintWorker: async () => ({ token: 'fresh', expires_at: clock.now() + workerTokenMs }),
    },
    heartbeats: { record: async () => directive },
    videoOffers: null,
    tracing: noTracing,
    clock,
    logger,
  } as unknown as WorkerRoutesDeps;
  const app = Fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => (body: unknown) => JSON.stringify(body));
  await app.register(workerRoutes(deps));
  return app;
}

test('the claim of a hot worker is answered with 202, and held only if it asks for that', async () => {
  const held: string[] = [];
  const app = await appWith({ kind: 'continue' }, async (worker) => void held.push(worker.machine_id));
  const claim = (payload: object) =>
    app.inject({ method: 'POST', url: '/claim', headers: { authorization: 'Bearer a.machine.token' }, payload });
  const first = await claim({ boot_nonce: 'a-nonce-of-this-boot' });
  expect([first.statusCode, first.json(), held]).toEqual([202, { hold_ms: 10_000 }, []]);
  await claim({ boot_nonce: 'a-nonce-of-this-boot', hold: true });
  expect(held).toEqual([machineId]);
});

const beat = async (directive: Directive) =>
  (await appWith(directive)).inject({
    method: 'POST',
    url: '/heartbeat',
    headers: { authorization: 'Bearer a.worker.token' },
    payload: { presence: 'absent', unsaved_entries: 0 },
  });

test('a worker whose session continues gets a new token before its own expires', async () => {
  expect((await beat({ kind: 'continue' })).json()).toMatchObject({ worker_token: { token: 'fresh' } });
});

test.each<Directive>([{ kind: 'end', outcome: 'completed', reason: 'ended_by_platform' }, { kind: 'fenced' }])(
  'a worker that is told $kind gets no new token (regression: a token was renewed after its machine was destroyed)',
  async (directive) => {
    const answer = await beat(directive);
    expect(answer.json()).toMatchObject({ directive });
    expect(answer.json()).not.toHaveProperty('worker_token');
  },
);
