/**
 * Videos: containers, the one source that each accepts (whole or in parts), and the encoding that follows.
 *
 * - A container accepts one source. Its parts may arrive in any order and repeatedly; it is complete when all
 *   have arrived.
 * - Bytes are counted and, unless `keepSources` is set, dropped: this stand-in cannot play a video.
 */
import { randomUUID } from 'node:crypto';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { newWireId } from '../voice/wire.ts';

export interface VideoFields {
  title: string;
  description?: string;
  public?: boolean;
  metadata?: Array<{ key: string; value: string }>;
  tags?: string[];
  mp4Support?: boolean;
}

/** A part of the source. `total` is unknown until the last part arrives. */
export interface Part {
  /** A repeated part has the same key. */
  key: string;
  /** The unit of `total`. */
  unit: 'parts' | 'bytes';
  total: number | undefined;
  /** Place in the source: number of the part, or its first byte. */
  at: number;
  content: Buffer;
}

export type Ingest = 'none' | 'uploading' | 'uploaded';
export type Stored = 'stored' | 'unknown_video' | 'has_source';

interface Video {
  videoId: string;
  fields: VideoFields;
  createdAt: string;
  parts: Map<string, { at: number; bytes: number; content: Buffer | undefined }>;
  total: number | undefined;
  ingest: Ingest;
  playable: boolean;
  timer: Timer | undefined;
  uploadToken: string | undefined;
}

export interface VideoSnapshot {
  videoId: string;
  title: string;
  public: boolean;
  metadata: Array<{ key: string; value: string }>;
  tags: string[];
  ingest: Ingest;
  playable: boolean;
  /** Bytes received. */
  bytes: number;
  parts: number;
  uploadToken: string | undefined;
}

export interface Videos {
  create(fields: VideoFields): string;
  receive(videoId: string, part: Part, uploadToken: string | undefined): Stored;
  remove(videoId: string): boolean;
  /** As the API shows it. */
  describe(videoId: string): object | undefined;
  status(videoId: string): object | undefined;
  snapshots(): VideoSnapshot[];
  /** The assembled source of the video. Undefined unless `keepSources` is set. */
  source(videoId: string): Buffer | undefined;
  stop(): void;
}

export interface VideosDeps {
  clock: Clock;
  url(): string;
  /** Time from the last part until the video is playable, milliseconds. */
  encodingMs: number;
  keepSources: boolean;
  /** Called once per quality, when it is ready. */
  onEncoded(videoId: string, quality: string): void;
}

export const qualities = ['240p', '360p', '720p'];
const wholeBytes = (video: Video) => [...video.parts.values()].reduce((sum, { bytes }) => sum + bytes, 0);

export function createVideos({ clock, url, encodingMs, keepSources, onEncoded }: VideosDeps): Videos {
  const videos = new Map<string, Video>();
  const now = () => new Date(clock.now()).toISOString();

  function encode(video: Video) {
    video.ingest = 'uploaded';
    video.timer = clock.setTimer(() => {
      video.playable = true;
      for (const quality of qualities) onEncoded(video.videoId, quality);
    }, encodingMs);
  }
  return {
    create: (fields) => {
      const videoId = newWireId('vi').replace('_', '');
      videos.set(videoId, {
        videoId,
        fields,
        createdAt: now(),
        parts: new Map(),
        total: undefined,
        ingest: 'none',
        playable: false,
        timer: undefined,
        uploadToken: undefined,
      });
      return videoId;
    },
    receive: (videoId, part, uploadToken) => {
      const video = videos.get(videoId);
      if (!video) return 'unknown_video';
      if (video.ingest === 'uploaded') return 'has_source';
      video.ingest = 'uploading';
      video.uploadToken = uploadToken;
      const { key, at, content } = part;
      video.parts.set(key, { at, bytes: content.length, content: keepSources ? content : undefined });
      video.total = part.total ?? video.total;
      const received = part.unit === 'parts' ? video.parts.size : wholeBytes(video);
      if (video.total !== undefined && received >= video.total) encode(video);
      return 'stored';
    },
    remove: (videoId) => {
      videos.get(videoId)?.timer?.cancel();
      return videos.delete(videoId);
    },
    describe: (videoId) => {
      const video = videos.get(videoId);
      return video && describe(video, url());
    },
    status: (videoId) => {
      const video = videos.get(videoId);
      return video && statusOf(video);
    },
    snapshots: () => [...videos.values()].map(snapshotOf),
    source: (videoId) => {
      const parts = [...(videos.get(videoId)?.parts.values() ?? [])].sort((a, b) => a.at - b.at);
      const contents = parts.flatMap(({ content }) => content ?? []);
      return contents.length > 0 ? Buffer.concat(contents) : undefined;
    },
    stop: () => {
      for (const video of videos.values()) video.timer?.cancel();
    },
  };
}

const snapshotOf = (video: Video): VideoSnapshot => ({
  videoId: video.videoId,
  title: video.fields.title,
  public: video.fields.public ?? true,
  metadata: video.fields.metadata ?? [],
  tags: video.fields.tags ?? [],
  ingest: video.ingest,
  playable: video.playable,
  bytes: wholeBytes(video),
  parts: video.parts.size,
  uploadToken: video.uploadToken,
});

/** The player of a private video needs a token that works once. Each read returns a new one. */
function describe({ videoId, fields, createdAt }: Video, url: string): object {
  const token = fields.public === false ? `?token=${randomUUID()}` : '';
  const assets = {
    iframe: `<iframe src="${url}/embed/${videoId}${token}"></iframe>`,
    player: `${url}/embed/${videoId}${token}`,
    hls: `${url}/vod/${videoId}/hls/manifest.m3u8`,
    thumbnail: `${url}/vod/${videoId}/thumbnail.jpg`,
    mp4: `${url}/vod/${videoId}/mp4/source.mp4`,
  };
  return {
    videoId,
    description: '',
    public: true,
    panoramic: false,
    mp4Support: true,
    tags: [],
    metadata: [],
    ...fields,
    createdAt,
    publishedAt: createdAt,
    updatedAt: createdAt,
    source: { uri: `/videos/${videoId}/source` },
    assets,
  };
}

function statusOf(video: Video): object {
  const receivedParts = [...video.parts.keys()].map((_key, index) => index + 1);
  const bytes = wholeBytes(video);
  const ingest = video.playable ? 'ingested' : video.ingest;
  return {
    ingest: {
      status: ingest === 'none' ? 'missing' : ingest,
      filesize: ingest === 'none' ? null : bytes,
      receivedBytes: ingest === 'none' ? [] : [{ to: Math.max(0, bytes - 1), from: 0, total: bytes }],
      receivedParts: { parts: receivedParts, total: video.total ?? null },
    },
    encoding: {
      playable: video.playable,
      qualities: qualities.map((quality) => ({
        type: 'hls',
        quality,
        status: video.playable ? 'encoded' : 'waiting',
      })),
    },
  };
}
