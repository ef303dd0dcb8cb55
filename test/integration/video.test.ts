import { createHmac, randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { startVideo, type VideoOptions, type VideoProvider } from '@greenroom/local-cloud/video/video.ts';
import { registerErrors } from '@greenroom/orchestrator/api/problems.ts';
import { createVideoStore } from '@greenroom/orchestrator/database/video-store.ts';
import { noTracing } from '@greenroom/orchestrator/testing.ts';
import { createVault } from '@greenroom/orchestrator/tokens/vault.ts';
import { createVideoClient } from '@greenroom/orchestrator/video/client.ts';
import { createVideoOffers } from '@greenroom/orchestrator/video/offers.ts';
import { createRecordings } from '@greenroom/orchestrator/video/recordings.ts';
import { createVideoStep } from '@greenroom/orchestrator/video/steps.ts';
import { videoWebhookRoutes } from '@greenroom/orchestrator/video/webhook.ts';
import { createVideoWorker } from '@greenroom/orchestrator/video/worker.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endSession, seedSession, startDatabase, type TestDatabase } from '../support/database.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';

let database: TestDatabase;
let provider: VideoProvider;

beforeAll(async () => {
  database = await startDatabase();
});
afterAll(() => database?.stop());
afterEach(() => provider?.stop());

const vault = createVault(randomBytes(32));
const logger = silentLogger();
const videos = () => createVideoStore(database.connection.database);
const client = () =>
  createVideoClient({
    url: provider.url,
    apiKey: provider.apiKey,
    requestMs: 2_000,
    draw: videos().drawLimits,
    logger,
  });
const wanted = { takenMs: 10_000, graceMs: 0, limit: 10, perTenant: 10, underWay: {} };
const offers = () =>
  createVideoOffers({ videos: videos(), vault, uploadUrl: provider.url, clock: systemClock, logger });

async function start(options: VideoOptions = {}): Promise<void> {
  provider = await startVideo({ encodingMs: 5, ...options });
  await database.sql("update public.video_jobs set state = 'empty'");
  await database.sql('delete from public.video_deletions');
  await database.sql('delete from public.rate_limits');
}

function worker() {
  const api = client();
  const step = createVideoStep({ videos: videos(), client: api, vault, tokenSlackMs: 600_000, logger });
  return createVideoWorker({
    videos: videos(),
    client: api,
    step,
    requestMs: 2_000,
    graceMs: 0,
    logger,
    tracing: noTracing,
  });
}

async function work(one = worker()): Promise<void> {
  await one.run();
  await one.idle();
}

const recorded = () => seedSession(database, { settings: { record_video: true } });
const jobsOf = (sessionId: string) =>
  database.sql<{ ordinal: number; state: string; video_id: string | null; failure: string | null; attempts: number }>(
    'select ordinal, state, video_id, failure, attempts from public.video_jobs where session_id = $1 order by ordinal',
    [sessionId],
  );
const waitIsOver = () => database.sql('update public.video_jobs set next_attempt_at = now()');
const segmentsOf = (sessionId: string) =>
  database.sql<{ video_id: string; url: string | null }>(
    'select video_id, url from public.video_segments where session_id = $1',
    [sessionId],
  );

/** Uploads a part in the way of the browser's recorder. */
async function upload(token: string, videoId: string): Promise<number> {
  const form = new FormData();
  form.set('videoId', videoId);
  form.set('file', new Blob([randomBytes(64)]), 'part.mp4');
  return (await fetch(`${provider.url}/upload?token=${token}`, { method: 'POST', body: form })).status;
}

describe('recorded sessions', () => {
  beforeEach(() => start());

  test('a recorded session gets a private container and a limited token; its end deletes the token and shows the recording', async () => {
    const { id } = await recorded();
    expect(await offers().of(id)).toBeUndefined();
    await work();
    const offer = await offers().of(id);
    const { tokens, videos: containers } = provider.snapshots();
    expect(tokens).toMatchObject([{ token: offer?.token, ttl: 3_600 }]); // 50 minutes plus a margin
    expect(containers).toMatchObject([{ videoId: offer?.video_id, public: false }]);
    expect(offer?.expires_at).toBeGreaterThan(Date.now() + 3_500_000);
    const stored = await database.sql('select * from public.video_jobs where session_id = $1', [id]);
    expect(JSON.stringify(stored)).not.toContain(offer?.token);

    expect(await upload(offer?.token ?? '', offer?.video_id ?? '')).toBe(201);
    await endSession(database, id);
    await work();
    expect(provider.snapshots().tokens).toEqual([]);
    expect(await upload(offer?.token ?? '', offer?.video_id ?? '')).toBe(401);
    expect(await jobsOf(id)).toMatchObject([{ state: 'processing' }]);
    expect(await segmentsOf(id)).toEqual([{ video_id: offer?.video_id, url: null }]);
    await expect.poll(() => provider.snapshots().videos[0]?.playable).toBe(true);
    await waitIsOver();
    await work();
    const url = `${provider.url}/embed/${offer?.video_id}`;
    expect(await jobsOf(id)).toMatchObject([{ state: 'done', failure: null }]);
    expect(await segmentsOf(id)).toEqual([{ video_id: offer?.video_id, url }]);
    const [session] = await database.sql('select video_recording_url from public.interview_sessions where id = $1', [
      id,
    ]);
    expect(session).toEqual({ video_recording_url: url });
    expect(await offers().of(id)).toBeUndefined();
    const events = await database.sql(
      "select type, data from public.session_events where session_id = $1 and type like 'video.%' order by id",
      [id],
    );
    const data = { ordinal: 1, video_id: offer?.video_id };
    expect(events).toEqual([
      { type: 'video.open', data },
      { type: 'video.done', data },
    ]);
  });

  test('a recording is viewed by a one-time URL, new for each viewing and never stored', async () => {
    const { id, tenantId } = await recorded();
    const recordings = createRecordings({ videos: videos(), client: client(), clock: systemClock });
    expect(await recordings.of(id, tenantId)).toEqual([]);
    await work();
    const offer = await offers().of(id);
    await upload(offer?.token ?? '', offer?.video_id ?? '');
    await endSession(database, id);
    await work();
    expect(await recordings.of(id, tenantId)).toMatchObject([{ video_id: offer?.video_id, watch_url: null }]);
    await expect.poll(() => provider.snapshots().videos[0]?.playable).toBe(true);
    await waitIsOver();
    await work();
    const urls = [await recordings.of(id, tenantId), await recordings.of(id, tenantId)].map(([one]) =>
      String(one?.watch_url),
    );
    for (const url of urls) expect(url).toMatch(new RegExp(`^${provider.url}/embed/${offer?.video_id}\\?token=.{20,}`));
    expect(urls[0]).not.toBe(urls[1]);
    expect(JSON.stringify(await segmentsOf(id))).not.toContain('token');
    provider.faults.add({ on: 'videos.get', action: { kind: 'status', status: 503 } });
    expect(await recordings.of(id, tenantId)).toMatchObject([{ watch_url: null }]);
  });

  test('a recording that the platform deletes is gone at once and deleted at api.video; only its own tenant can', async () => {
    const { id, tenantId } = await recorded();
    await work();
    const offer = await offers().of(id);
    const videoId = offer?.video_id ?? '';
    await upload(offer?.token ?? '', videoId);
    await endSession(database, id);
    await work();
    const recordings = createRecordings({ videos: videos(), client: client(), clock: systemClock });
    const by = { actor: 'key:test', remote_address: '192.0.2.1', request_id: 'test' };
    const other = await recorded();
    expect(await recordings.delete(id, other.tenantId, videoId, by)).toBe('no_session');
    expect(await recordings.delete(other.id, other.tenantId, videoId, by)).toBe('not_found');
    expect(await recordings.of(id, tenantId)).toHaveLength(1);
    expect(await recordings.delete(id, tenantId, videoId, by)).toBe('deleted');
    expect(await recordings.of(id, tenantId)).toEqual([]);
    expect(await recordings.delete(id, tenantId, videoId, by)).toBe('deleted');
    await waitIsOver();
    await work();
    await work();
    expect(provider.snapshots().videos.map((one) => one.videoId)).not.toContain(videoId);
    // The encoding that finished meanwhile does not bring it back.
    expect(await segmentsOf(id)).toEqual([]);
    const audited = await database.sql("select actor, target from public.audit_log where action = 'recording.delete'");
    expect(audited).toEqual([{ actor: 'key:test', target: videoId }]);
  });

  test('a recording says where each call begins in it, from when the browser began to record', async () => {
    const { id, tenantId } = await recorded();
    await work();
    const offer = await offers().of(id);
    await upload(offer?.token ?? '', offer?.video_id ?? '');
    await database.sql("update public.video_jobs set started_at = '2026-11-26T10:00:10Z' where session_id = $1", [id]);
    await database.sql(
      `insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider, answered_at, hung_up_at)
       values ($1, $2, 1, 1, 'openai', '2026-11-26T10:00:07.5Z', now()),
              ($1, $2, 2, 1, 'openai', '2026-11-26T10:05:10Z', now()), ($1, $2, 3, 1, 'openai', null, now())`,
      [id, tenantId],
    );
    await endSession(database, id);
    await work();
    const recordings = createRecordings({ videos: videos(), client: client(), clock: systemClock });
    expect(await recordings.of(id, tenantId)).toMatchObject([
      {
        started_at: expect.stringContaining('10:00:10'),
        calls: [
          { ordinal: 1, begins_ms: -2_500 },
          { ordinal: 2, begins_ms: 300_000 },
        ],
      },
    ]);
  });

  test("one tenant's viewers use neither another tenant's share of the rate limit nor the recorder's", async () => {
    const [mine, other] = [await recorded(), await recorded()];
    for (const { id, tenantId } of [mine, other])
      await database.sql(
        "insert into public.video_segments (session_id, tenant_id, video_id, url) values ($1, $2, $3, 'https://x.example/')",
        [id, tenantId, `vi-${id}`],
      );
    const recordings = createRecordings({ videos: videos(), client: client(), clock: systemClock });
    const many = await Promise.allSettled(Array.from({ length: 60 }, () => recordings.of(mine.id, mine.tenantId)));
    const refused = many.filter((one) => one.status === 'rejected');
    expect(refused.length).toBeGreaterThan(40);
    for (const one of refused)
      expect(one.reason).toMatchObject({ code: 'rate_limited', retryAfterS: expect.any(Number) });
    expect(await recordings.of(other.id, other.tenantId)).toMatchObject([{ video_id: `vi-${other.id}` }]);
    expect(await client().of(other.tenantId).findVideo(other.id, 1)).toMatchObject({ kind: 'done' });
  });

  test('a session with more recordings than one burst of the rate limit shows them all', async () => {
    const { id, tenantId } = await recorded();
    await database.sql(
      `insert into public.video_segments (session_id, tenant_id, video_id, url)
       select $1, $2, 'many-' || n, 'https://x.example/' from generate_series(1, 12) n`,
      [id, tenantId],
    );
    const recordings = createRecordings({ videos: videos(), client: client(), clock: systemClock });
    expect(await recordings.of(id, tenantId)).toHaveLength(12);
  });

  test('a tenant gets at most its share of the recording steps, and the step of a live session comes first', async () => {
    const busy = await recorded();
    await database.sql(
      `insert into public.video_jobs (session_id, ordinal, tenant_id, state)
       select $1, n, $2, 'processing' from generate_series(2, 10) n`,
      [busy.id, busy.tenantId],
    );
    const other = await recorded();
    const taken = await videos().take({ ...wanted, limit: 4, perTenant: 3, underWay: { [busy.tenantId]: 1 } });
    const states = taken.map(({ tenant_id, state }) => [tenant_id === other.tenantId ? 'other' : 'busy', state]);
    expect(states.toSorted()).toEqual([
      ['busy', 'processing'],
      ['busy', 'wanted'],
      ['other', 'wanted'],
    ]);
  });

  test('a recorded session that uploads nothing loses its container and its token', async () => {
    const { id } = await recorded();
    await work();
    await endSession(database, id);
    await work();
    await work();
    expect(provider.snapshots()).toMatchObject({ tokens: [], videos: [] });
    expect(await jobsOf(id)).toMatchObject([{ state: 'empty' }]);
    expect(await segmentsOf(id)).toEqual([]);
  });

  test('a recording is not closed during the grace period after the end, in which the last parts are uploaded', async () => {
    const { id } = await recorded();
    await work();
    await endSession(database, id);
    expect(await videos().take({ ...wanted, graceMs: 60_000 })).toEqual([]);
    expect(await videos().take(wanted)).toMatchObject([{ session_id: id, state: 'closing' }]);
  });

  test('after the end, the upload token is kept for a while if the browser is still uploading', async () => {
    const { id } = await recorded();
    await work();
    const offer = await offers().of(id);
    await database.sql('update public.video_jobs set started_at = now() where session_id = $1', [id]);
    await endSession(database, id);
    await work();
    expect(await jobsOf(id)).toMatchObject([{ state: 'closing', failure: null }]);
    expect(await upload(offer?.token ?? '', offer?.video_id ?? '')).toBe(201);
    await waitIsOver();
    await work();
    expect(await jobsOf(id)).toMatchObject([{ state: 'processing' }]);
    expect(provider.snapshots().tokens).toEqual([]);
  });

  test('a recording whose rest never comes is closed after twenty waits', async () => {
    const { id } = await recorded();
    await work();
    await database.sql('update public.video_jobs set started_at = now() where session_id = $1', [id]);
    await endSession(database, id);
    for (let wait = 1; wait <= 20; wait += 1) {
      await work();
      expect(await jobsOf(id)).toMatchObject([{ state: 'closing', attempts: wait }]);
      await waitIsOver();
    }
    await work();
    expect(await jobsOf(id)).toMatchObject([{ state: 'empty' }]);
    expect(provider.snapshots().tokens).toEqual([]);
  });

  test('a reloaded page gets its own container, and a page cannot reserve many containers ahead', async () => {
    const { id } = await recorded();
    await work();
    const told = offers();
    const first = await told.of(id);
    expect((await told.of(id, 3))?.ordinal).toBe(1);
    await work();
    const second = await told.of(id, 2);
    expect(second?.ordinal).toBe(2);
    expect(second?.video_id).not.toBe(first?.video_id);
    expect((await jobsOf(id)).map((job) => job.ordinal)).toEqual([1, 2]);
    expect(await videos().want(id, 19)).toBe(false);
    await upload(second?.token ?? '', second?.video_id ?? '');
    await endSession(database, id);
    await work();
    expect((await jobsOf(id)).map((job) => job.state)).toEqual(['empty', 'processing']);
    expect(provider.snapshots().tokens).toEqual([]);
  });

  test('a session without recording and an ended session have no recording', async () => {
    const { id } = await seedSession(database);
    const over = await recorded();
    await endSession(database, over.id);
    await work();
    expect(await jobsOf(id)).toEqual([]);
    expect(await jobsOf(over.id)).toMatchObject([{ state: 'empty', video_id: null }]);
    expect(await videos().want(over.id, 2)).toBe(false);
    expect(provider.snapshots()).toMatchObject({ tokens: [], videos: [] });
  });

  test('erasing a session whose recording was not found yet deletes its container and its token', async () => {
    const { id } = await recorded();
    await work();
    const offer = await offers().of(id);
    await upload(offer?.token ?? '', offer?.video_id ?? '');
    await endSession(database, id);
    await database.sql("select app.erase_video($1, 'erasure')", [id]);
    await work();
    await work();
    expect(provider.snapshots()).toMatchObject({ tokens: [], videos: [] });
    expect(await segmentsOf(id)).toEqual([]);
    const owed = await database.sql('select deleted_at is not null as gone from public.video_deletions');
    expect(owed).toEqual([{ gone: true }]);
  });
});

describe('failures of api.video', () => {
  beforeEach(() => start());

  test.each([
    ['answers 500', { kind: 'status', status: 500 } as const, 'unavailable'],
    ['is rate limiting', { kind: 'status', status: 429, headers: { 'retry-after': '1' } } as const, 'rate_limited'],
    ['cuts the connection', { kind: 'drop_before' } as const, 'unavailable'],
    ['refuses the key', { kind: 'status', status: 401 } as const, 'auth_failed'],
  ])('when api.video %s, the session continues and the recording is retried', async (_name, action, failure) => {
    provider.faults.add({ on: 'videos.create', action });
    const { id } = await recorded();
    await work();
    expect(await jobsOf(id)).toMatchObject([{ state: 'wanted', failure }]);
    const [session] = await database.sql('select status from public.interview_sessions where id = $1', [id]);
    expect(session).toEqual({ status: 'in_progress' });
    await waitIsOver();
    await work();
    expect(await jobsOf(id)).toMatchObject([{ state: 'open', failure: null }]);
  });

  test('a create whose answer is lost makes one container, not two', async () => {
    provider.faults.add({ on: 'videos.create', action: { kind: 'drop_after' } });
    const { id } = await recorded();
    await work();
    await waitIsOver();
    await work();
    expect(provider.snapshots().videos.map((video) => video.videoId)).toEqual([(await jobsOf(id))[0]?.video_id]);
  });

  test('a container made while its session ends is deleted', async () => {
    provider.faults.add({ on: 'videos.create', action: { kind: 'delay', delayMs: 150 } });
    const { id } = await recorded();
    const one = worker();
    await one.run();
    await endSession(database, id);
    await one.idle();
    await waitIsOver();
    await work();
    await work();
    expect(provider.snapshots()).toMatchObject({ tokens: [], videos: [] });
    expect(await jobsOf(id)).toMatchObject([{ state: 'empty' }]);
  });

  const notFound = { kind: 'status', status: 404 } as const;

  test('a recording is kept when api.video does not find it for a while after the end', async () => {
    const { id } = await recorded();
    await work();
    const offer = await offers().of(id);
    await upload(offer?.token ?? '', offer?.video_id ?? '');
    await endSession(database, id);
    provider.faults.add({ on: 'videos.status', action: notFound, times: 3 });
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await work();
      expect(await jobsOf(id)).toMatchObject([{ state: 'closing', failure: 'not_found' }]);
      await waitIsOver();
    }
    await work();
    expect(await jobsOf(id)).toMatchObject([{ state: 'processing', failure: null }]);
    expect(await segmentsOf(id)).toMatchObject([{ video_id: offer?.video_id }]);
  });

  test('a recording that api.video still does not find at the seventh attempt is given up', async () => {
    const { id } = await recorded();
    await work();
    await endSession(database, id);
    provider.faults.add({ on: 'videos.status', action: notFound, times: 7 });
    for (let attempt = 1; attempt <= 7; attempt += 1) {
      expect(await jobsOf(id)).toMatchObject([{ state: 'closing' }]);
      await waitIsOver();
      await work();
    }
    expect(await jobsOf(id)).toMatchObject([{ state: 'empty' }]);
  });

  test('one 404 does not prove that a recording is deleted; two in a row do', async () => {
    const { id, tenantId } = await recorded();
    await work();
    const videoId = (await jobsOf(id))[0]?.video_id ?? '';
    const owe = (video: string) =>
      database.sql("insert into public.video_deletions (video_id, tenant_id, cause) values ($1, $2, 'erasure')", [
        video,
        tenantId,
      ]);
    const isDeleted = async (video: string) => {
      const [row] = await database.sql(
        'select deleted_at is not null as yes from public.video_deletions where video_id = $1',
        [video],
      );
      await database.sql('update public.video_deletions set next_attempt_at = now()');
      return row?.yes;
    };
    await owe(videoId);
    provider.faults.add({ on: 'videos.delete', action: notFound });
    await work();
    expect(await isDeleted(videoId)).toBe(false);
    await work();
    expect(provider.snapshots().videos).toEqual([]);
    expect(await isDeleted(videoId)).toBe(true);
    await owe('vi-unknown');
    await work();
    expect(await isDeleted('vi-unknown')).toBe(false);
    await work();
    expect(await isDeleted('vi-unknown')).toBe(true);
  });

  test('two orchestrators give each session one container and one token', async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, recorded));
    const [a, b] = [worker(), worker()];
    for (let round = 0; round < 4; round += 1) await Promise.all([work(a), work(b)]);
    expect(provider.snapshots().videos).toHaveLength(8);
    expect(provider.snapshots().tokens).toHaveLength(8);
    for (const { id } of sessions) expect(await jobsOf(id)).toMatchObject([{ state: 'open' }]);
  });
});

test('a burst of sessions stays below the rate limit of api.video, and every session gets its recording', async () => {
  await start();
  const sessions = await Promise.all(Array.from({ length: 20 }, recorded));
  for (let round = 0; round < 6; round += 1) await work();
  expect(provider.snapshots().videos.length + provider.snapshots().tokens.length).toBeLessThan(40);
  const waiting = (await Promise.all(sessions.map(({ id }) => jobsOf(id))))
    .flat()
    .filter((job) => job.state === 'wanted');
  expect(waiting.length).toBeGreaterThan(0);
  for (const job of waiting) expect(job.failure).toBe('rate_limited');
  for (let round = 0; round < 6; round += 1) {
    await database.sql('delete from public.rate_limits'); // simulates the end of the minute
    await waitIsOver();
    await work();
  }
  for (const { id } of sessions) expect(await jobsOf(id)).toMatchObject([{ state: 'open' }]);
});

describe('webhooks of api.video', () => {
  const secret = 'sig_sec_of_this_webhook';
  let app: FastifyInstance;

  beforeEach(async () => {
    await start();
    app = Fastify();
    registerErrors(app, logger);
    await app.register(videoWebhookRoutes({ secret, videos: videos(), logger }), { prefix: '/hooks' });
  });
  afterEach(() => app.close());

  const post = (body: string, signature?: string) =>
    app.inject({
      method: 'POST',
      url: '/hooks/api-video',
      payload: body,
      headers: {
        'content-type': 'application/json',
        ...(signature === undefined ? {} : { 'x-api-video-signature': signature }),
      },
    });
  const sign = (body: string, by = secret) => createHmac('sha256', by).update(body).digest('hex');
  const bodyOf = (videoId: string) =>
    JSON.stringify({ type: 'video.encoding.quality.completed', emittedAt: '2026-11-21T10:00:00Z', videoId });

  async function processing() {
    const { id } = await recorded();
    await work();
    const offer = await offers().of(id);
    await upload(offer?.token ?? '', offer?.video_id ?? '');
    await endSession(database, id);
    await work();
    await database.sql(
      "update public.video_jobs set next_attempt_at = now() + interval '1 hour' where session_id = $1",
      [id],
    );
    return { id, videoId: offer?.video_id ?? '' };
  }
  const isDue = async (id: string) =>
    (
      await database.sql('select next_attempt_at <= now() as due from public.video_jobs where session_id = $1', [id])
    )[0];

  test('a signed webhook makes the recording due at once, and a repetition changes nothing', async () => {
    const { id, videoId } = await processing();
    const body = bodyOf(videoId);
    expect((await post(body, sign(body))).statusCode).toBe(204);
    expect(await isDue(id)).toEqual({ due: true });
    await database.sql(
      "update public.video_jobs set next_attempt_at = now() + interval '1 hour' where session_id = $1",
      [id],
    );
    expect((await post(body, sign(body))).statusCode).toBe(204);
    expect(await isDue(id)).toEqual({ due: false });
    expect(await database.sql('select 1 from public.video_events where session_id = $1', [id])).toHaveLength(1);
  });

  test.each([
    ['none', () => undefined],
    ['empty', () => ''],
    ['of another secret', (body: string) => sign(body, 'guessed')],
    ['of another body', () => sign('{}')],
    ['cut short', (body: string) => sign(body).slice(0, 32)],
    ['not hex', () => 'zz'.repeat(32)],
  ])('a webhook whose signature is %s is refused and changes nothing', async (_name, signatureOf) => {
    const { id, videoId } = await processing();
    const body = bodyOf(videoId);
    const answer = await post(body, signatureOf(body));
    expect(answer.statusCode).toBe(401);
    expect(answer.json()).toMatchObject({ code: 'unauthenticated' });
    expect(await isDue(id)).toEqual({ due: false });
  });

  test('a webhook for an unknown video or without a video is acknowledged and changes nothing', async () => {
    const foreign = bodyOf('viSomebodyElses');
    expect((await post(foreign, sign(foreign))).statusCode).toBe(204);
    for (const body of ['not json', '[]', '{"type":"live-stream.broadcast.started"}', ''])
      expect((await post(body, sign(body))).statusCode).toBe(204);
    expect(
      await database.sql("select 1 from public.video_events where type <> 'video.encoding.quality.completed'"),
    ).toEqual([]);
  });

  test('a webhook that the api.video stand-in signs and sends completes the recording', async () => {
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    const answer = await fetch(`${provider.url}/webhooks`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${provider.apiKey}:`).toString('base64')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        events: ['video.encoding.quality.completed'],
        url: `http://127.0.0.1:${port}/true/api-video`,
      }),
    });
    const { signatureSecret } = (await answer.json()) as { signatureSecret: string };
    expect(signatureSecret).toMatch(/^sig_sec_/);
    const real = Fastify();
    await real.register(videoWebhookRoutes({ secret: signatureSecret, videos: videos(), logger }), { prefix: '/true' });
    await app.close();
    await real.listen({ host: '127.0.0.1', port });
    const { id } = await processing();
    await expect.poll(() => provider.snapshots().deliveries.filter((one) => one.status === 204).length).toBe(3);
    // A pass that finds the row locked leaves it to the next.
    const stateAfterPass = async () => {
      await waitIsOver();
      await work();
      return (await jobsOf(id))[0]?.state;
    };
    await expect.poll(stateAfterPass, { timeout: 90_000 }).toBe('done');
    await real.close();
  });
});

test('every event of this file matches the schema in docs/events.md', async () => {
  const events = await database.sql<{ type: string; data: unknown }>(allEvents);
  expect(events.length).toBeGreaterThan(20);
  expect(eventsOfAnotherShape(events)).toEqual([]);
});
