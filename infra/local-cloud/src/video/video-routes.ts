/** Handlers of the api.video requests. `video.ts` adds authentication and faults. */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyRequest } from 'fastify';
import type { WireReply } from '../faulty-route.ts';
import type { VideoAuth } from './auth.ts';
import { problem } from './problem.ts';
import { readUpload } from './upload-body.ts';
import type { UploadTokens } from './upload-tokens.ts';
import type { VideoFields, VideoSnapshot, Videos } from './videos.ts';
import type { Webhooks } from './webhooks.ts';

export interface VideoRouteDeps {
  auth: VideoAuth;
  tokens: UploadTokens;
  videos: Videos;
  webhooks: Webhooks;
  clock: Clock;
  minPartBytes: number;
}

type Route = (request: FastifyRequest) => WireReply | Promise<WireReply>;

const bodyOf = (request: FastifyRequest) => (request.body ?? {}) as Record<string, unknown>;
const paramOf = (request: FastifyRequest, name: string) => (request.params as Record<string, string>)[name] ?? '';
const found = (body: object | undefined): WireReply => (body ? { status: 200, body } : problem(404));
const removed = (existed: boolean): WireReply => (existed ? { status: 204 } : problem(404));

const page = (request: FastifyRequest, data: object[]): WireReply => {
  const query = request.query as { currentPage?: string; pageSize?: string };
  const currentPage = Number(query.currentPage ?? 1);
  const pageSize = Number(query.pageSize ?? 25);
  const shown = data.slice((currentPage - 1) * pageSize, currentPage * pageSize);
  const pagesTotal = Math.max(1, Math.ceil(data.length / pageSize));
  const pagination = {
    currentPage,
    pageSize,
    pagesTotal,
    itemsTotal: data.length,
    currentPageItems: shown.length,
    links: [],
  };
  return { status: 200, body: { data: shown, pagination } };
};

export function createVideoRoutes(deps: VideoRouteDeps) {
  return { ...authRoutes(deps), ...tokenRoutes(deps), ...videoRoutes(deps), ...webhookRoutes(deps) };
}

const authRoutes = ({ auth }: VideoRouteDeps) => ({
  authenticate: ((request) => {
    const body = auth.exchange(bodyOf(request).apiKey);
    return body ? { status: 200, body } : problem(401);
  }) satisfies Route,
  refresh: ((request) => {
    const body = auth.refresh(bodyOf(request).refreshToken);
    return body ? { status: 200, body } : problem(401);
  }) satisfies Route,
});

const tokenRoutes = ({ tokens }: VideoRouteDeps) => ({
  createToken: ((request) => {
    const ttl = bodyOf(request).ttl ?? 0;
    if (typeof ttl !== 'number' || ttl < 0 || !Number.isInteger(ttl)) return problem(400, 'The ttl is invalid.', 'ttl');
    return { status: 200, body: tokens.create(ttl) };
  }) satisfies Route,
  listTokens: ((request) => page(request, tokens.all())) satisfies Route,
  getToken: ((request) => found(tokens.get(paramOf(request, 'token')))) satisfies Route,
  deleteToken: ((request) => removed(tokens.remove(paramOf(request, 'token')))) satisfies Route,
});

/** True for the videos that match every filter of `GET /videos`. */
function filterOf(query: Record<string, string | string[]>): (video: VideoSnapshot) => boolean {
  const title = [query.title ?? []].flat()[0];
  const tags = [query['tags[]'] ?? []].flat();
  const metadata = Object.entries(query).flatMap(([name, value]) => {
    const key = /^metadata\[(.+)\]$/.exec(name)?.[1];
    return key === undefined ? [] : [{ key, value: [value].flat()[0] }];
  });
  return (video) =>
    (title === undefined || video.title.includes(title)) &&
    tags.every((tag) => video.tags.includes(tag)) &&
    metadata.every(({ key, value }) => video.metadata.some((pair) => pair.key === key && pair.value === value));
}

function videoRoutes(deps: VideoRouteDeps) {
  const { videos, tokens } = deps;
  const idOf = (request: FastifyRequest) => paramOf(request, 'videoId');
  return {
    createVideo: ((request) => {
      const fields = bodyOf(request) as Partial<VideoFields>;
      if (typeof fields.title !== 'string' || fields.title === '')
        return problem(400, 'The title is required.', 'title');
      return { status: 201, body: videos.describe(videos.create({ ...fields, title: fields.title })) };
    }) satisfies Route,
    listVideos: ((request) => {
      const wanted = filterOf(request.query as Record<string, string | string[]>);
      const found = videos.snapshots().filter(wanted);
      return page(
        request,
        found.flatMap(({ videoId }) => videos.describe(videoId) ?? []),
      );
    }) satisfies Route,
    getVideo: ((request) => found(videos.describe(idOf(request)))) satisfies Route,
    getStatus: ((request) => found(videos.status(idOf(request)))) satisfies Route,
    deleteVideo: ((request) => removed(videos.remove(idOf(request)))) satisfies Route,
    uploadSource: ((request) => receive(deps, request, { videoId: idOf(request) })) satisfies Route,
    /**
     * Authorised by the token in the query instead of a header. Its expiry is checked when a part arrives.
     */
    delegatedUpload: ((request) => {
      const { token = '' } = request.query as { token?: string };
      return tokens.isValid(token) ? receive(deps, request, { token }) : problem(401, 'The upload token is invalid.');
    }) satisfies Route,
  };
}

async function receive(
  { videos, minPartBytes }: VideoRouteDeps,
  request: FastifyRequest,
  by: { token?: string; videoId?: string },
): Promise<WireReply> {
  const { 'content-type': type = '', 'content-range': range } = request.headers;
  if (!Buffer.isBuffer(request.body)) return problem(400, 'The upload must be multipart/form-data.', 'file');
  const upload = await readUpload(request.body, type, range, minPartBytes);
  if (typeof upload === 'string') return problem(400, upload, 'file');
  const videoId = by.videoId ?? upload.videoId ?? videos.create({ title: upload.fileName });
  const stored = videos.receive(videoId, upload.part, by.token);
  if (stored === 'unknown_video') return problem(404, 'The video does not exist.', 'videoId');
  if (stored === 'has_source') return problem(400, 'The source of the video is already uploaded.', 'videoId');
  return { status: 201, body: videos.describe(videoId) };
}

const webhookRoutes = ({ webhooks, clock }: VideoRouteDeps) => ({
  createWebhook: ((request) => {
    const { events, url } = bodyOf(request);
    if (!Array.isArray(events) || events.length === 0) return problem(400, 'The events are required.', 'events');
    if (typeof url !== 'string' || !URL.canParse(url)) return problem(400, 'The url is invalid.', 'url');
    const createdAt = new Date(clock.now()).toISOString();
    return { status: 201, body: webhooks.create(events.map(String), url, createdAt) };
  }) satisfies Route,
  listWebhooks: ((request) => page(request, webhooks.all())) satisfies Route,
  getWebhook: ((request) => found(webhooks.get(paramOf(request, 'webhookId')))) satisfies Route,
  deleteWebhook: ((request) => removed(webhooks.remove(paramOf(request, 'webhookId')))) satisfies Route,
});
