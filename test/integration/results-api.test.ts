import { createHash, createHmac, randomBytes } from 'node:crypto';
import { startVideo, type VideoProvider } from '@greenroom/local-cloud/video/video.ts';
import { startVoiceProvider, type VoiceProvider } from '@greenroom/local-cloud/voice/provider.ts';
import { buildApp } from '@greenroom/orchestrator/app.ts';
import { readConfig } from '@greenroom/orchestrator/config.ts';
import { createDeps, type Deps } from '@greenroom/orchestrator/deps.ts';
import { resultView } from '@greenroom/shared/protocol/results.ts';
import { heartbeatResponse } from '@greenroom/shared/protocol/worker-api.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  appendEntries,
  endSession,
  seedSession,
  serveSession,
  startDatabase,
  type TestDatabase,
} from '../support/database.ts';

/** Results and recordings through the orchestrator's API. No machine is needed: the test inserts the sessions. */
let database: TestDatabase;
let voice: VoiceProvider;
let video: VideoProvider;
let deps: Deps;
let app: FastifyInstance;

const webhookSecret = 'sig_sec_of_the_deployment';

const environmentOf = ({ supabase, keys }: TestDatabase): Record<string, string> => ({
  PUBLIC_URL: 'http://interviews.test',
  DEPLOYMENT_ID: 'results-test',
  // A busy test machine holds the event loop too.
  MAX_EVENT_LOOP_DELAY_MS: '60000',
  SUPABASE_URL: supabase.url,
  SUPABASE_PUBLISHABLE_KEY: supabase.publishableKey,
  DB_SIGNING_KEY: JSON.stringify(keys.db),
  JOIN_SIGNING_KEYS: JSON.stringify(keys.join),
  CREDENTIALS_KEY: keys.credentials,
  FLY_API_URL: 'http://127.0.0.1:9',
  FLY_API_TOKEN: 'fo1_test',
  FLY_ORG: 'local',
  WORKER_IMAGE: `registry.fly.io/worker@sha256:${'a'.repeat(64)}`,
  OPENAI_API_KEY: voice.apiKey,
  OPENAI_BASE_URL: `${voice.url}/v1`,
  VOICE_SIMULATED: 'true',
});

async function withApp<T>(
  environment: Record<string, string>,
  work: (app: FastifyInstance, deps: Deps) => Promise<T>,
): Promise<T> {
  const its = await createDeps(readConfig(environment), { logger: silentLogger() });
  const own = await buildApp(its);
  try {
    return await work(own, its);
  } finally {
    await own.close();
    await its.closeConnections();
  }
}

beforeAll(async () => {
  [database, voice, video] = await Promise.all([startDatabase(), startVoiceProvider(), startVideo()]);
  const recording = { API_VIDEO_KEY: video.apiKey, API_VIDEO_URL: video.url, API_VIDEO_WEBHOOK_SECRET: webhookSecret };
  deps = await createDeps(readConfig({ ...environmentOf(database), ...recording }), { logger: silentLogger() });
  app = await buildApp(deps);
});
afterAll(async () => {
  await app?.close();
  await deps?.finishing.worker.stop();
  await deps?.video?.worker.stop();
  await deps?.closeConnections();
  await Promise.all([database?.stop(), voice?.stop(), video?.stop()]);
});

async function apiKeyOf(tenantId: string): Promise<string> {
  const key = `gr_live_${randomBytes(32).toString('base64url')}`;
  await database.sql("insert into public.api_keys (tenant_id, name, prefix, key_hash) values ($1, 'test', $2, $3)", [
    tenantId,
    key.slice(0, 12),
    createHash('sha256').update(key).digest('hex'),
  ]);
  return key;
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';
async function call(method: Method, url: string, key: string, body?: object, on = app) {
  const answer = await on.inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}` },
    ...(body ? { payload: body } : {}),
  });
  const read = (answer.body === '' ? {} : answer.json()) as Record<string, unknown>;
  return { status: answer.statusCode, body: read };
}

async function finishAll(): Promise<void> {
  await deps.finishing.worker.run();
  await deps.finishing.worker.idle();
}

async function interviewed() {
  const session = await seedSession(database, { simulated: true });
  await appendEntries(database, session.id, [
    { speaker: 'ai', text: 'What do you work on?' },
    { speaker: 'candidate', text: 'Engines.' },
  ]);
  return { ...session, key: await apiKeyOf(session.tenantId), url: `/api/sessions/${session.id}/result` };
}

describe('GET, PATCH …/result and POST …/result/rerun', () => {
  test('a result goes from absent to pending, done and reviewed, and can be made again', async () => {
    const { id, key, url } = await interviewed();
    expect(await call('GET', url, key)).toMatchObject({ status: 404, body: { code: 'not_found' } });
    await endSession(database, id);
    expect(await call('GET', url, key)).toMatchObject({ status: 200, body: { status: 'pending', summary: null } });
    expect(await call('PATCH', url, key, { human_reviewed: true })).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    await finishAll();
    const done = await call('GET', url, key);
    expect(resultView.parse(done.body)).toMatchObject({
      status: 'done',
      summary: expect.stringContaining('Engines.'),
      simulated: true,
      human_reviewed: false,
      failure_text: null,
    });
    expect(done.body).not.toHaveProperty('last_error');
    const reviewed = await call('PATCH', url, key, { human_reviewed: true, reviewed_by: 'Grace Hopper' });
    expect(reviewed).toMatchObject({ status: 200, body: { human_reviewed: true, reviewed_by: 'Grace Hopper' } });
    expect(await call('POST', `${url}/rerun`, key)).toMatchObject({ status: 202, body: { status: 'pending' } });
    await finishAll();
    expect((await call('GET', url, key)).body).toMatchObject({ status: 'done', human_reviewed: false });
    const byKey = await call('PATCH', url, key, { human_reviewed: true });
    expect(byKey.body.reviewed_by).toMatch(/^key:/);
  });

  test("a failed result shows a sentence and hides the model's answer", async () => {
    voice.faults.add({ on: 'responses', action: { kind: 'special', name: 'refusal' } });
    const { id, key, url } = await interviewed();
    await endSession(database, id);
    await finishAll();
    const { body } = await call('GET', url, key);
    expect(body).toMatchObject({
      status: 'dead',
      failure: 'refused',
      failure_text: 'The model declined to evaluate this interview.',
    });
    expect(JSON.stringify(body)).not.toContain("can't help");
  });

  test('only its own tenant can read a result', async () => {
    const { id, url } = await interviewed();
    const { key } = await interviewed();
    await endSession(database, id);
    for (const [method, path, body] of [
      ['GET', url],
      ['PATCH', url, { human_reviewed: true }],
      ['POST', `${url}/rerun`],
    ] as const)
      expect((await call(method, path, key, body)).status).toBe(404);
    expect((await call('GET', url, 'gr_live_'.padEnd(50, 'x'))).status).toBe(401);
  });

  test.each([
    ['nothing', {}],
    ['a word', { human_reviewed: 'yes' }],
    ['an unknown field', { human_reviewed: true, recommendation: 'strong_yes' }],
    ['control characters', { human_reviewed: true, reviewed_by: 'a\u0000b' }],
  ])('a review with invalid content (%s) is refused', async (_name, body) => {
    const { key, url } = await interviewed();
    expect(await call('PATCH', url, key, body)).toMatchObject({ status: 422, body: { code: 'validation_failed' } });
  });
});

describe('recordings', () => {
  const beat = { presence: 'present', unsaved_entries: 0 };

  async function served(settings: object) {
    const claims = await serveSession(database, await seedSession(database, { settings }));
    return { token: (await deps.databaseTokens.mintWorker(claims)).token };
  }
  const heartbeat = async (token: string) =>
    heartbeatResponse.parse((await call('POST', '/worker/v1/heartbeat', token, beat)).body);

  test('a heartbeat gives the upload token only to the worker of its session', async () => {
    const [recorded, plain] = [await served({ record_video: true }), await served({})];
    expect((await heartbeat(recorded.token)).video).toBeUndefined();
    await deps.video?.worker.run();
    await deps.video?.worker.idle();
    const { video: offer, directive } = await heartbeat(recorded.token);
    expect(directive).toEqual({ kind: 'continue' });
    expect(video.snapshots().tokens.map((one) => one.token)).toEqual([offer?.token]);
    expect(video.snapshots().videos.map((one) => one.videoId)).toEqual([offer?.video_id]);
    expect((await heartbeat(plain.token)).video).toBeUndefined();
  });

  test('a recording is deleted by the API with the scope to write sessions; another tenant finds nothing', async () => {
    const { id, tenantId } = await seedSession(database, { settings: { record_video: true } });
    await database.sql(
      "insert into public.video_segments (session_id, tenant_id, video_id) values ($1, $2, 'vi-of-the-api')",
      [id, tenantId],
    );
    const at = `/api/sessions/${id}/recordings/vi-of-the-api`;
    const [mine, other] = [await apiKeyOf(tenantId), await apiKeyOf((await seedSession(database)).tenantId)];
    expect(await call('DELETE', at, other)).toMatchObject({ status: 404 });
    expect(await call('GET', `/api/sessions/${id}/recordings`, mine)).toMatchObject({
      body: { data: [{ video_id: 'vi-of-the-api', watch_url: null, started_at: null, calls: [] }] },
    });
    expect(await call('DELETE', at, mine)).toMatchObject({ status: 204 });
    expect(await call('DELETE', at, mine)).toMatchObject({ status: 204 });
    expect(await call('DELETE', `${at}-not`, mine)).toMatchObject({ status: 404 });
    expect(await call('GET', `/api/sessions/${id}/recordings`, mine)).toMatchObject({ body: { data: [] } });
  });

  test('the video webhook endpoint exists when its secret is configured', async () => {
    const payload = JSON.stringify({ type: 'video.encoding.quality.completed', videoId: 'viUnknown' });
    const signature = createHmac('sha256', webhookSecret).update(payload).digest('hex');
    const headers = { 'content-type': 'application/json', 'x-api-video-signature': signature };
    const post = (on: FastifyInstance) => on.inject({ method: 'POST', url: '/hooks/api-video', payload, headers });
    expect((await post(app)).statusCode).toBe(204);
    headers['x-api-video-signature'] = signature.replaceAll(/./g, '0');
    expect((await post(app)).statusCode).toBe(401);
    await withApp(environmentOf(database), async (without) => expect((await post(without)).statusCode).toBe(404));
  });

  test('without an api.video key, a session with recording is refused by name and other sessions are accepted', async () => {
    const { tenantId } = await seedSession(database);
    const key = await apiKeyOf(tenantId);
    const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, settings: { record_video: true } };
    await withApp(environmentOf(database), async (without, its) => {
      expect(its.video).toBeNull();
      expect(await call('POST', '/api/sessions', key, body, without)).toMatchObject({
        status: 422,
        body: { code: 'validation_failed', errors: [{ field: 'settings.record_video' }] },
      });
      // The refusal is not about video: this tenant has no Fly app yet.
      const plain = { ...body, settings: { record_video: false } };
      expect(await call('POST', '/api/sessions', key, plain, without)).toMatchObject({ body: { code: 'no_capacity' } });
    });
    expect(await call('POST', '/api/sessions', key, body)).toMatchObject({ body: { code: 'no_capacity' } });
  });
});
