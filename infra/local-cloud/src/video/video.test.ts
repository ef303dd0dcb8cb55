import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startVideo, type VideoOptions, type VideoProvider } from './video.ts';
import { signatureOf } from './webhooks.ts';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: VideoOptions = {}): Promise<VideoProvider> {
  const video = await startVideo({ encodingMs: 10, ...options });
  cleanups.push(video.stop);
  return video;
}

interface Json {
  // biome-ignore lint/suspicious/noExplicitAny: tests read single fields of any answer
  [field: string]: any;
}

async function call(video: VideoProvider, method: string, path: string, body?: unknown, authorization?: string) {
  const response = await fetch(`${video.url}${path}`, {
    method,
    headers: {
      authorization: authorization ?? `Basic ${Buffer.from(`${video.apiKey}:`).toString('base64')}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as Json };
}

async function upload(video: VideoProvider, token: string, bytes: number, range?: string, videoId?: string) {
  const form = new FormData();
  if (videoId) form.set('videoId', videoId);
  form.set('file', new Blob([new Uint8Array(bytes)]), 'recording.webm');
  const response = await fetch(`${video.url}/upload?token=${token}`, {
    method: 'POST',
    body: form,
    headers: range ? { 'content-range': range } : {},
  });
  return { status: response.status, body: (await response.json()) as Json };
}

describe('upload tokens', () => {
  it('is valid for its TTL, or for ever, until it is deleted', async () => {
    const clock = createFakeClock();
    const video = await start({ clock });
    const brief = (await call(video, 'POST', '/upload-tokens', { ttl: 60 })).body;
    const lasting = (await call(video, 'POST', '/upload-tokens', {})).body;
    expect(brief.token).toMatch(/^to/);
    expect(Date.parse(brief.expiresAt) - Date.parse(brief.createdAt)).toBe(60_000);
    expect(lasting).not.toHaveProperty('expiresAt');
    await clock.advance(61_000);
    expect((await upload(video, brief.token, 10)).status).toBe(401);
    expect((await upload(video, lasting.token, 10)).status).toBe(201);
    expect((await call(video, 'DELETE', `/upload-tokens/${lasting.token}`)).status).toBe(204);
    expect((await call(video, 'DELETE', `/upload-tokens/${lasting.token}`)).status).toBe(404);
    expect((await upload(video, lasting.token, 10)).status).toBe(401);
  });

  it('is listed in pages', async () => {
    const video = await start();
    for (const ttl of [1, 2, 3]) await call(video, 'POST', '/upload-tokens', { ttl });
    const { body } = await call(video, 'GET', '/upload-tokens?pageSize=2&currentPage=2');
    expect(body.data.map((token: Json) => token.ttl)).toEqual([3]);
    expect(body.pagination).toMatchObject({ itemsTotal: 3, pagesTotal: 2 });
  });
});

describe('authorisation', () => {
  it('accepts a bearer token obtained with the key, and renews it once per refresh token', async () => {
    const video = await start();
    expect((await call(video, 'POST', '/auth/api-key', { apiKey: 'wrong' })).status).toBe(401);
    const { body } = await call(video, 'POST', '/auth/api-key', { apiKey: video.apiKey });
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3600 });
    expect((await call(video, 'GET', '/videos', undefined, `Bearer ${body.access_token}`)).status).toBe(200);
    expect((await call(video, 'GET', '/videos', undefined, 'Bearer nobody')).status).toBe(401);
    const renewal = { refreshToken: body.refresh_token };
    expect((await call(video, 'POST', '/auth/refresh', renewal)).status).toBe(200);
    expect((await call(video, 'POST', '/auth/refresh', renewal)).status).toBe(401);
  });
});

describe('videos', () => {
  it('receives a private container’s source in parts through a token, then becomes playable', async () => {
    const video = await start({ minPartBytes: 4 });
    const { body: created } = await call(video, 'POST', '/videos', {
      title: 'Interview',
      public: false,
      metadata: [{ key: 'session', value: 's1' }],
    });
    const { body: token } = await call(video, 'POST', '/upload-tokens', { ttl: 60 });
    const id = created.videoId;
    expect((await upload(video, token.token, 5, 'part 1/*', id)).body.videoId).toBe(id);
    expect((await call(video, 'GET', `/videos/${id}/status`)).body.ingest.status).toBe('uploading');
    expect((await upload(video, token.token, 2, 'part 2/2', id)).status).toBe(201);
    await vi.waitFor(async () => {
      expect((await call(video, 'GET', `/videos/${id}/status`)).body.encoding.playable).toBe(true);
    });
    expect(video.snapshots().videos).toMatchObject([
      { videoId: id, public: false, bytes: 7, parts: 2, playable: true },
    ]);
    expect((await upload(video, token.token, 2, undefined, id)).status).toBe(400);
    expect((await call(video, 'DELETE', `/videos/${id}`)).status).toBe(204);
    expect((await call(video, 'GET', `/videos/${id}`)).status).toBe(404);
  });

  it('answers as api.video does: JSON without a charset, an empty container as missing, lists by their filters', async () => {
    const video = await start();
    const make = (title: string, value: string) =>
      call(video, 'POST', '/videos', { title, tags: [value], metadata: [{ key: 'session', value }] });
    const [{ body: one }] = [await make('First', 's1'), await make('Second', 's2')];
    const authorization = `Basic ${Buffer.from(`${video.apiKey}:`).toString('base64')}`;
    const answer = await fetch(`${video.url}/videos/${one.videoId}/status`, { headers: { authorization } });
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(await answer.json()).toMatchObject({ ingest: { status: 'missing', filesize: null, receivedBytes: [] } });
    const titles = async (query: string) =>
      (await call(video, 'GET', `/videos?${query}`)).body.data.map(({ title }: { title: string }) => title);
    expect(await titles('')).toEqual(['First', 'Second']);
    expect(await titles('metadata%5Bsession%5D=s2')).toEqual(['Second']);
    expect(await titles('tags%5B%5D=s1&title=First')).toEqual(['First']);
    expect(await titles('title=First&metadata%5Bsession%5D=s2')).toEqual([]);
  });

  it('accepts the file of an upload under any part name, because the official client uses the file’s name', async () => {
    const video = await start();
    const { body: token } = await call(video, 'POST', '/upload-tokens', { ttl: 60 });
    const form = new FormData();
    form.set('clip.mp4', new Blob([Buffer.alloc(9)]), 'clip.mp4');
    const answer = await fetch(`${video.url}/upload?token=${token.token}`, { method: 'POST', body: form });
    expect(answer.status).toBe(201);
    expect(video.snapshots().videos).toMatchObject([{ title: 'clip.mp4', bytes: 9, ingest: 'uploaded' }]);
  });

  it('receives byte ranges in any order, a repeated one counting once', async () => {
    const video = await start({ minPartBytes: 4 });
    const { body: token } = await call(video, 'POST', '/upload-tokens', {});
    const { body } = await upload(video, token.token, 2, 'bytes 8-9/10');
    await upload(video, token.token, 4, 'bytes 0-3/10', body.videoId);
    await upload(video, token.token, 4, 'bytes 0-3/10', body.videoId);
    expect(video.snapshots().videos[0]).toMatchObject({ ingest: 'uploading', bytes: 6 });
    await upload(video, token.token, 4, 'bytes 4-7/10', body.videoId);
    expect(video.snapshots().videos[0]).toMatchObject({ ingest: 'uploaded', bytes: 10 });
  });

  it('refuses invalid uploads: small parts, wrong ranges, no file, an unknown video', async () => {
    const video = await start();
    const { body: token } = await call(video, 'POST', '/upload-tokens', {});
    expect((await upload(video, token.token, 5, 'part 1/2')).body.title).toMatch(/too small/);
    expect((await upload(video, token.token, 5, 'bytes 0-9/10')).status).toBe(400);
    expect((await upload(video, token.token, 5, 'part 3/2')).status).toBe(400);
    expect((await upload(video, token.token, 5, undefined, 'viNobody')).status).toBe(404);
    const empty = await fetch(`${video.url}/upload?token=${token.token}`, { method: 'POST', body: new FormData() });
    expect(empty.status).toBe(400);
  });

  it('needs a title', async () => {
    const video = await start();
    const { status, body } = await call(video, 'POST', '/videos', {});
    expect({ status, name: body.name }).toEqual({ status: 400, name: 'title' });
  });
});

describe('webhooks', () => {
  it('are sent for each encoded quality, signed over the raw body', async () => {
    const video = await start();
    const got: Array<{ signature: unknown; id: unknown; body: string }> = [];
    const receiver = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { 'x-api-video-signature': signature, 'x-api-video-webhookid': id } = request.headers;
      got.push({ signature, id, body: Buffer.concat(chunks).toString() });
      response.end();
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => receiver.close(resolve)));
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    const { body: hook } = await call(video, 'POST', '/webhooks', {
      events: ['video.encoding.quality.completed'],
      url,
    });
    const { body: token } = await call(video, 'POST', '/upload-tokens', {});
    const { body: uploaded } = await upload(video, token.token, 10);
    await vi.waitFor(() => expect(got).toHaveLength(3));
    for (const { signature, id, body } of got) {
      expect(signature).toBe(signatureOf(body, hook.signatureSecret));
      expect(id).toBe(hook.webhookId);
      expect(JSON.parse(body)).toMatchObject({ videoId: uploaded.videoId, type: 'video.encoding.quality.completed' });
    }
    await vi.waitFor(() => expect(video.snapshots().deliveries.map(({ status }) => status)).toEqual([200, 200, 200]));
  });

  it('never calls a receiver that is not on loopback', async () => {
    const video = await start();
    const url = 'http://192.0.2.77/hook';
    await call(video, 'POST', '/webhooks', { events: ['video.encoding.quality.completed'], url });
    const { body: token } = await call(video, 'POST', '/upload-tokens', {});
    await upload(video, token.token, 10);
    await vi.waitFor(() => expect(video.snapshots().deliveries.map(({ status }) => status)).toEqual([0, 0, 0]));
  });
});

describe('limits and faults', () => {
  it('counts requests per minute, returns the remaining number, and answers 429 when none is left', async () => {
    const clock = createFakeClock();
    const video = await start({ clock, limits: { uploads: 9, writes: 2, reads: 9 } });
    const first = await call(video, 'POST', '/upload-tokens', {});
    expect(first.headers.get('x-ratelimit-remaining')).toBe('1');
    await call(video, 'POST', '/upload-tokens', {});
    const third = await call(video, 'POST', '/upload-tokens', {});
    expect(third.status).toBe(429);
    expect(third.headers.get('x-ratelimit-retry-after')).toBe('60');
    expect(third.body).toMatchObject({ status: 429 });
    await clock.advance(60_000);
    expect((await call(video, 'POST', '/upload-tokens', {})).status).toBe(200);
  });

  it('can lose the reply but keep the side effect, or fail before it', async () => {
    const video = await start();
    video.faults.add({ on: 'upload_tokens.create', action: { kind: 'drop_after' } });
    await expect(call(video, 'POST', '/upload-tokens', {})).rejects.toThrow();
    expect(video.snapshots().tokens).toHaveLength(1);
    video.faults.add({ on: 'upload_tokens.create', action: { kind: 'status', status: 503 } });
    expect((await call(video, 'POST', '/upload-tokens', {})).status).toBe(503);
    expect(video.snapshots().tokens).toHaveLength(1);
  });
});
