import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import ApiVideoClient from '@api.video/nodejs-client';
import { expectThat, type Suite, until } from '../suite.ts';
import { createXhr } from './xhr.ts';

/** api.video's own clients, unmodified: one for servers, one for browsers. */
const mebibyte = 1024 * 1024;
/** A part that is not the last has 5 MiB at least. */
const partBytes = 5 * mebibyte;

export function videoClientCases({ url, apiKey }: { url: string; apiKey: string }): Pick<Suite, 'cases' | 'cleanUp'> {
  const client = new ApiVideoClient({ apiKey, baseUri: url, chunkSize: partBytes });
  const videos = new Set<string>();
  const tokens = new Set<string>();

  const container = async (purpose: string): Promise<string> => {
    const metadata = [{ key: 'greenroom-contract', value: purpose }];
    const { videoId } = await client.videos.create({ title: 'Greenroom contract', _public: false, metadata });
    videos.add(videoId);
    return videoId;
  };
  const uploadToken = async (): Promise<string> => {
    const { token = '' } = await client.uploadTokens.createToken({ ttl: 600 });
    tokens.add(token);
    return token;
  };
  const received = (videoId: string, bytes: number) =>
    until(`${bytes} bytes have arrived`, 60_000, async () => {
      const { ingest } = await client.videos.getStatus(videoId);
      return ingest?.filesize === bytes ? true : undefined;
    });

  return {
    cases: [
      {
        title: '@api.video/nodejs-client makes a container, reads its status, finds it and is refused a second source',
        run: async () => {
          const videoId = await container('server');
          const { ingest, encoding } = await client.videos.getStatus(videoId);
          expectThat('nothing has arrived', !ingest?.filesize && encoding?.playable === false);
          const found = await client.videos.list({ metadata: { 'greenroom-contract': 'server' } });
          expectThat(
            'it is found by its metadata',
            found.data.some((video) => video.videoId === videoId && video._public === false),
          );
          await withFile(partBytes + mebibyte, (file) => client.videos.upload(videoId, file));
          await received(videoId, partBytes + mebibyte);
          const second = await withFile(1, (file) => client.videos.upload(videoId, file)).catch(({ code }) => code);
          expectThat(`a second source is answered with ${second}`, second === 400);
        },
      },
      {
        title: '@api.video/nodejs-client uploads in parts with an upload token, and a deleted token is refused',
        row: 'An upload with a delegated token may name its file part',
        run: async () => {
          const token = await uploadToken();
          const session = client.videos.createUploadWithUploadTokenProgressiveSession(token);
          const { videoId } = await withFile(partBytes, (file) => session.uploadPart(file));
          videos.add(videoId);
          const last = await withFile(mebibyte, (file) => session.uploadLastPart(file));
          expectThat('both parts belong to one container', last.videoId === videoId);
          await received(videoId, partBytes + mebibyte);
          await client.uploadTokens.deleteToken(token);
          const late = client.videos.createUploadWithUploadTokenProgressiveSession(token);
          const refused = await withFile(1, (file) => late.uploadLastPart(file)).catch(({ code }) => code);
          expectThat(`a deleted token is answered with ${refused}`, refused === 401 || refused === 404);
        },
      },
      {
        title:
          '@api.video/video-uploader fills a container in parts with an upload token, and a wrong token is refused',
        run: async () => {
          const videoId = await container('browser');
          const uploader = await progressiveUploader(url, { uploadToken: await uploadToken(), videoId });
          await uploader.uploadPart(new Blob([new Uint8Array(partBytes)]));
          const last = await uploader.uploadLastPart(new Blob([new Uint8Array(mebibyte)]));
          expectThat('both parts belong to the container', last.videoId === videoId);
          await received(videoId, partBytes + mebibyte);
          const stranger = await progressiveUploader(url, { uploadToken: 'to_wrong' });
          const refused = await stranger.uploadLastPart(new Blob(['x'])).then(
            () => undefined,
            ({ status }) => status,
          );
          expectThat(`a wrong token is answered with ${refused}`, refused === 401 || refused === 404);
        },
      },
    ],
    cleanUp: async () => {
      const left: string[] = [];
      const remove = (what: string, removed: Promise<unknown>) =>
        removed.catch(({ code }) => (code === 404 ? undefined : left.push(what)));
      for (const videoId of videos) await remove(`video ${videoId}`, client.videos.delete(videoId));
      for (const token of tokens) await remove('an upload token', client.uploadTokens.deleteToken(token));
      return left;
    },
  };
}

async function withFile<T>(bytes: number, use: (file: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(path.join(tmpdir(), 'gr-contract-video-'));
  try {
    const file = path.join(dir, 'recording.webm');
    writeFileSync(file, new Uint8Array(bytes));
    return await use(file);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function progressiveUploader(url: string, by: { uploadToken: string; videoId?: string }) {
  const apiHost = new URL(url).host;
  Object.assign(globalThis, { window: { XMLHttpRequest: createXhr(apiHost, url) } });
  const { default: uploaders } = await import('@api.video/video-uploader');
  return new uploaders.ProgressiveUploader({ ...by, apiHost, retryStrategy: () => null });
}
