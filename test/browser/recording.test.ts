import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type * as uploader from '@api.video/video-uploader';
import { startVideo, type VideoProvider } from '@greenroom/local-cloud/video/video.ts';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type * as recording from '../../client/src/recording.ts';
import type { Recording, RecordingOptions } from '../../client/src/recording-types.ts';
import type * as segments from '../../client/src/segment-store.ts';
import type * as upload from '../../client/src/video-upload.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { until } from '../support/session.ts';
import { selfSigned } from '../support/tls.ts';

interface Kit {
  record: typeof recording;
  segments: typeof segments;
  upload: typeof upload;
  official: typeof uploader;
}
interface Target {
  token: string;
  videoId: string;
  uploadUrl: string;
}
/** What the tests keep in the page. */
interface InPage {
  kit: Kit;
  recording: Recording;
  /** SHA-256 of everything that MediaRecorder gave, in hex. */
  recorded(): Promise<string>;
  tracks: MediaStreamTrack[];
  emit(event: string, detail: unknown): void;
  goLive(): void;
}
declare const window: InPage & typeof globalThis;

const hashOf = (bytes: Buffer | undefined) =>
  createHash('sha256')
    .update(bytes ?? '')
    .digest('hex');
/** Nothing unsafe, no `blob:`. */
const policy = "default-src 'none'; script-src 'self'; connect-src 'self'";

/** Keeps what MediaRecorder gives and every camera track, to compare them. */
function watchRecorder(): void {
  const parts: Blob[] = [];
  const Real = MediaRecorder;
  window.MediaRecorder = class extends Real {
    constructor(stream: MediaStream, options?: MediaRecorderOptions) {
      super(stream, options);
      this.addEventListener('dataavailable', ({ data }) => parts.push(data));
    }
  };
  window.recorded = async () => {
    const hash = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
    return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  };
  window.tracks = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await ask(constraints);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}

let video: VideoProvider;
let server: Server;
let origin: string;
let browser: Browser;
let context: BrowserContext;
let script: string;

beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import * as record from './src/recording.ts';
        import * as segments from './src/segment-store.ts';
        import * as upload from './src/video-upload.ts';
        import * as official from '@api.video/video-uploader';
        window.kit = { record, segments, upload, official };`,
      loader: 'ts',
      resolveDir: path.join(import.meta.dirname, '../../client'),
    },
    ...{ bundle: true, write: false, format: 'iife', logLevel: 'silent' },
  });
  script = outputFiles[0]?.text ?? '';
  // The package of api.video speaks https only.
  server = createServer(selfSigned(), (from, to) => {
    if (from.url === '/page')
      return to
        .writeHead(200, { 'content-type': 'text/html', 'content-security-policy': policy })
        .end('<!doctype html><title>Recording</title><script src="/kit.js"></script>');
    if (from.url === '/kit.js') return to.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
    const onward = request(`${video.url}${from.url}`, { method: from.method, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => to.destroy());
    return from.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
});
afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  server.close();
});
beforeEach(async () => {
  video = await startVideo({ keepSources: true, encodingMs: 5 });
  context = await browser.newContext({ ignoreHTTPSErrors: true, permissions: ['camera'] });
});
afterEach(async () => {
  await context.close();
  await video.stop();
});

const call = async (method: string, at: string, body?: object) => {
  const headers = {
    authorization: `Basic ${Buffer.from(`${video.apiKey}:`).toString('base64')}`,
    ...(body ? { 'content-type': 'application/json' } : {}),
  };
  const answer = await fetch(`${video.url}${at}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  return (await answer.json().catch(() => ({}))) as { videoId: string; token: string };
};
/** A private container and an upload token. */
async function target(): Promise<Target> {
  const { videoId } = await call('POST', '/videos', { title: 'Interview', public: false });
  const { token } = await call('POST', '/upload-tokens', { ttl: 3_600 });
  return { token, videoId, uploadUrl: origin };
}
const stateAtProvider = (videoId: string) => video.snapshots().videos.find((one) => one.videoId === videoId);
const openPage = async (): Promise<Page> => {
  const page = await context.newPage();
  await page.addInitScript(watchRecorder);
  await page.goto(`${origin}/page`);
  await page.waitForFunction(() => window.kit !== undefined);
  return page;
};

describe('uploading in the way of api.video', () => {
  const megabytes = 12;
  /** The same bytes in each page. */
  const fill = (page: Page) =>
    page.evaluate((count) => {
      const bytes = new Uint8Array(count * 1_048_576 + 77);
      let state = 1;
      for (let at = 0; at < bytes.length; at += 1) {
        state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
        bytes[at] = state >> 16;
      }
      Object.assign(window, { bytes });
    }, megabytes);

  test('the stand-in accepts api.video’s own uploaders, unmodified, and ours, and assembles the same bytes from all', async () => {
    const page = await openPage();
    await fill(page);
    const [progressive, whole, ours] = [await target(), await target(), await target()];
    const apiHost = new URL(origin).host;
    await page.evaluate(
      async ([first, second, third, apiHost]) => {
        const { bytes, kit } = window as unknown as { bytes: Uint8Array<ArrayBuffer>; kit: Kit };
        const { ProgressiveUploader, VideoUploader } = kit.official;
        const pieces = Array.from({ length: 13 }, (_, at) => bytes.slice(at * 1_048_576, (at + 1) * 1_048_576));
        const gradual = new ProgressiveUploader({ uploadToken: first.token, videoId: first.videoId, apiHost });
        for (const piece of pieces.slice(0, -1)) await gradual.uploadPart(new Blob([piece]));
        await gradual.uploadLastPart(new Blob([pieces.at(-1) as Uint8Array<ArrayBuffer>]));
        const file = new File([bytes], 'whole.mp4');
        const chunkSize = 5 * 1_048_576;
        await new VideoUploader({
          file,
          chunkSize,
          uploadToken: second.token,
          videoId: second.videoId,
          apiHost,
        }).upload();

        const store = kit.segments.memorySegments();
        const recording = { ...third, expiresAt: Date.now() + 60_000, type: 'video/mp4', sentParts: 0 };
        const upload = kit.upload.createVideoUpload({
          recording,
          store,
          fetch: (...all) => fetch(...all),
          now: Date.now,
        });
        for (const [index, piece] of pieces.entries()) {
          await store.append(third.videoId, { index, bytes: piece.buffer });
          upload.added();
        }
        upload.finish();
        const outcome = await upload.outcome;
        if (outcome.kind !== 'uploaded') throw new Error(outcome.kind);
      },
      [progressive, whole, ours, apiHost] as const,
    );
    const expected = await page.evaluate(async () => {
      const { bytes } = window as unknown as { bytes: Uint8Array<ArrayBuffer> };
      const hash = await crypto.subtle.digest('SHA-256', bytes);
      return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    });
    for (const { videoId } of [progressive, whole, ours]) {
      expect(hashOf(video.source(videoId))).toBe(expected);
      expect(stateAtProvider(videoId)).toMatchObject({ ingest: 'uploaded', parts: 3 });
    }
  });

  test.each([
    ['stored', undefined],
    ['stored, but its answer was lost', { kind: 'drop_after' } as const],
  ])('a page that continues after a reload completes the file whose first part was %s', async (_name, action) => {
    const page = await openPage();
    const at = await target();
    if (action) video.faults.add({ on: 'videos.upload', action });
    await page.evaluate(async (to) => {
      const { segments, upload } = window.kit;
      const store = await segments.openSegmentStore();
      if (store.kind !== 'indexeddb') throw new Error('no IndexedDB');
      const recording = { ...to, expiresAt: Date.now() + 60_000, type: 'video/webm', sentParts: 0 };
      await store.put(recording);
      for (let index = 0; index < 7; index += 1)
        await store.append(to.videoId, { index, bytes: new Uint8Array(1_048_576).fill(index + 1).buffer });
      upload.createVideoUpload({ recording, store, fetch: (...all) => fetch(...all), now: Date.now, waitMs: 60_000 });
    }, at);
    await until('its first part is there', () => stateAtProvider(at.videoId)?.parts === 1);
    await page.waitForTimeout(300);
    expect(stateAtProvider(at.videoId)?.ingest).toBe('uploading');
    await page.reload();
    await page.waitForFunction(() => window.kit !== undefined);
    await page.evaluate(() => window.kit.record.uploadEarlierRecordings());
    expect(stateAtProvider(at.videoId)).toMatchObject({ ingest: 'uploaded', parts: 2 });
    const whole = Buffer.concat([1, 2, 3, 4, 5, 6, 7].map((byte) => Buffer.alloc(1_048_576, byte)));
    expect(hashOf(video.source(at.videoId))).toBe(hashOf(whole));
    expect(await page.evaluate(async () => (await window.kit.segments.openSegmentStore()).recordings())).toEqual([]);
  });
});

describe('recording the camera', () => {
  /** A recording of an interview that is not live yet. */
  const create = (page: Page, to: Target, options: Pick<RecordingOptions, 'limitBytes' | 'bitsPerSecond'> = {}) =>
    page.evaluate(
      ([at, more]) => {
        const listeners = new Map<string, Array<(detail: unknown) => void>>();
        const interview = {
          snapshot: { status: { name: 'connecting' } },
          videoOffer: {
            token: at.token,
            video_id: at.videoId,
            upload_url: at.uploadUrl,
            expires_at: new Date(Date.now() + 600_000).toISOString(),
            started: () => undefined,
          },
          on: (event: string, listener: (detail: unknown) => void) => {
            listeners.set(event, [...(listeners.get(event) ?? []), listener]);
            return () => undefined;
          },
        };
        window.emit = (event, detail) => {
          for (const listener of listeners.get(event) ?? []) listener(detail);
        };
        window.goLive = () => {
          interview.snapshot = { status: { name: 'live' } };
          window.emit('status', interview.snapshot.status);
        };
        window.recording = window.kit.record.createRecording(interview as never, more);
      },
      [to, options] as const,
    );
  const snapshotOf = (page: Page) => page.evaluate(() => window.recording.snapshot);
  const liveTracks = (page: Page) =>
    page.evaluate(() => window.tracks.filter(({ readyState }) => readyState === 'live').length);
  const recordFor = async (page: Page, ms: number) => {
    await page.evaluate(async () => {
      await window.recording.start();
      window.goLive();
    });
    await until('it records', async () => (await snapshotOf(page)).state === 'recording');
    await page.waitForTimeout(ms);
  };
  const kept = (page: Page) => page.evaluate(async () => (await window.kit.segments.openSegmentStore()).recordings());

  test('nothing is recorded, stored or sent before the interview is live', async () => {
    const page = await openPage();
    const sent: string[] = [];
    page.on('request', (one) => sent.push(one.url()));
    const to = await target();
    await create(page, to);
    await page.evaluate(() => window.recording.start());
    await page.waitForTimeout(3_000);
    expect(await snapshotOf(page)).toMatchObject({ state: 'ready', pendingBytes: 0 });
    expect([await kept(page), sent, await liveTracks(page)]).toEqual([[], [], 1]);
    // Control: it records as soon as the interview is live.
    await page.evaluate(() => window.goLive());
    await until('it records', async () => (await snapshotOf(page)).pendingBytes > 0);
    expect(await kept(page)).toHaveLength(1);
  });

  test('what the camera gave is what api.video has, and the camera is released when the interview ends', async () => {
    const page = await openPage();
    const to = await target();
    await create(page, to);
    await recordFor(page, 4_500);
    expect(await snapshotOf(page)).toMatchObject({ state: 'recording', videoId: to.videoId, storage: 'indexeddb' });
    await page.evaluate(() => window.emit('ended', { outcome: 'completed', reason: 'interviewer_finished' }));
    await until('it is uploaded', async () => (await snapshotOf(page)).state === 'stopped');
    const source = video.source(to.videoId);
    expect(source?.length).toBeGreaterThan(10_000);
    expect(hashOf(source)).toBe(await page.evaluate(() => window.recorded()));
    const url = `${video.url}/embed/${to.videoId}`;
    expect(await snapshotOf(page)).toMatchObject({ pendingBytes: 0, uploadedBytes: source?.length, url });
    expect([await liveTracks(page), await kept(page)]).toEqual([0, []]);
  });

  test('a recording whose page is reloaded is completed by the next page', async () => {
    const page = await openPage();
    const to = await target();
    await create(page, to);
    await recordFor(page, 4_500);
    await until('segments are kept', async () => (await snapshotOf(page)).pendingBytes > 10_000);
    await page.reload();
    await page.waitForFunction(() => window.kit !== undefined);
    await create(page, await target());
    await until('it is complete', () => stateAtProvider(to.videoId)?.ingest === 'uploaded');
    expect(video.source(to.videoId)?.length).toBeGreaterThan(10_000);
  });

  test('a second tab does not close the recording of the first', async () => {
    const [page, to] = [await openPage(), await target()];
    await create(page, to);
    await recordFor(page, 2_500);
    const second = await openPage();
    await second.evaluate(() => void window.kit.record.uploadEarlierRecordings());
    await second.waitForTimeout(1_000);
    expect(stateAtProvider(to.videoId)?.ingest).toBe('none');
    await page.evaluate(() => window.recording.stop());
    expect(stateAtProvider(to.videoId)).toMatchObject({ ingest: 'uploaded', parts: 1 });
    expect(hashOf(video.source(to.videoId))).toBe(await page.evaluate(() => window.recorded()));
  });

  test('an outage of api.video delays the upload and loses nothing', async () => {
    const page = await openPage();
    const to = await target();
    video.faults.add({ on: 'videos.upload', action: { kind: 'status', status: 503 } });
    video.faults.add({ on: 'videos.upload', action: { kind: 'drop_before' } });
    await create(page, to);
    await recordFor(page, 2_500);
    await page.evaluate(() => window.recording.stop());
    expect(await snapshotOf(page)).toMatchObject({ state: 'stopped', problem: null });
    expect(hashOf(video.source(to.videoId))).toBe(await page.evaluate(() => window.recorded()));
  });

  test('a refusal of api.video ends the recording, releases the camera and leaves nothing on the device', async () => {
    const page = await openPage();
    const to = await target();
    await create(page, to);
    await recordFor(page, 2_500);
    await call('DELETE', `/upload-tokens/${to.token}`);
    await page.evaluate(() => window.recording.stop());
    expect(await snapshotOf(page)).toMatchObject({ state: 'failed', problem: 'upload_refused', pendingBytes: 0 });
    expect([await liveTracks(page), await kept(page)]).toEqual([0, []]);
  });

  test('at the limit of what may be kept, the recording ends and what is kept is uploaded', async () => {
    const page = await openPage();
    const to = await target();
    await create(page, to, { limitBytes: 400_000, bitsPerSecond: 2_500_000 });
    await page.evaluate(async () => {
      await window.recording.start();
      window.goLive();
    });
    await until('it has ended', async () => (await snapshotOf(page)).state === 'stopped');
    expect(await snapshotOf(page)).toMatchObject({ problem: 'storage_full' });
    const bytes = video.source(to.videoId)?.length ?? 0;
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(400_000);
    expect(await liveTracks(page)).toBe(0);
  });

  test('a camera that is taken away ends the recording; what it gave is uploaded', async () => {
    const page = await openPage();
    const to = await target();
    await create(page, to);
    await recordFor(page, 2_500);
    await page.evaluate(() => {
      const [track] = window.recording.stream?.getVideoTracks() ?? [];
      track?.stop();
      track?.dispatchEvent(new Event('ended'));
    });
    await until('it has ended', async () => (await snapshotOf(page)).state === 'stopped');
    expect(await snapshotOf(page)).toMatchObject({ problem: 'camera_lost' });
    expect(stateAtProvider(to.videoId)?.ingest).toBe('uploaded');
  });

  test.each([
    ['NotAllowedError', 'camera_denied'],
    ['NotFoundError', 'camera_missing'],
    ['NotReadableError', 'camera_busy'],
  ])('a camera that the browser refuses with %s is the problem %s, and nothing is thrown', async (name, problem) => {
    const page = await openPage();
    await create(page, await target());
    await page.evaluate(async (refusal) => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', refusal));
      await window.recording.start();
      window.goLive();
      await window.recording.stop();
    }, name);
    expect(await snapshotOf(page)).toMatchObject({ state: 'off', problem });
  });
});
