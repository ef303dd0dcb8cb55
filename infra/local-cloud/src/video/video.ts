/**
 * api.video on loopback: upload tokens, videos, delegated upload (whole or in parts), webhooks. Plain http.
 *
 * Fault points: `auth`, `upload_tokens.create|list|get|delete`, `videos.create|list|get|status|delete`, `videos.upload`
 * (both ways of uploading), `webhooks.create|list|get|delete`, `webhooks.deliver`.
 */
import { type Clock, systemClock } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { createFaults, type Faults } from '../faults.ts';
import { createFaultyRoute, type WireReply, type Work } from '../faulty-route.ts';
import { createVideoAuth } from './auth.ts';
import { problem, problemBody } from './problem.ts';
import { createRateLimiter, productionLimits, type RateLimits, type RequestKind } from './rate-limit.ts';
import { createUploadTokens, type UploadToken } from './upload-tokens.ts';
import { createVideoRoutes } from './video-routes.ts';
import { createVideos, type VideoSnapshot } from './videos.ts';
import { createWebhooks, type Delivery } from './webhooks.ts';

export interface VideoOptions {
  /** Default 0: any free port. */
  port?: number;
  /** Default: a random one. */
  apiKey?: string;
  /** Requests per minute. Default: the documented production limits. */
  limits?: RateLimits;
  /** Time from the last part until the video is playable, milliseconds. Default 200. */
  encodingMs?: number;
  /** Smallest size of a part other than the last. Default 5 MiB. */
  minPartBytes?: number;
  /** Keep what is uploaded in memory, to compare it. Default false. */
  keepSources?: boolean;
  faults?: Faults;
  clock?: Clock;
}

export interface VideoSnapshots {
  tokens: UploadToken[];
  videos: VideoSnapshot[];
  deliveries: readonly Delivery[];
}

export interface VideoProvider {
  readonly url: string;
  readonly apiKey: string;
  readonly faults: Faults;
  snapshots(): VideoSnapshots;
  /** The assembled source of a video. Undefined unless `keepSources` is set. */
  source(videoId: string): Buffer | undefined;
  health(): { ok: boolean; url: string; videos: number; tokens: number };
  stop(): Promise<void>;
}

const fiveMiB = 5 * 1024 * 1024;

export async function startVideo(options: VideoOptions = {}): Promise<VideoProvider> {
  const clock = options.clock ?? systemClock;
  const faults = options.faults ?? createFaults();
  const apiKey = options.apiKey ?? newSecret(24);
  const auth = createVideoAuth(apiKey, clock);
  const tokens = createUploadTokens(clock);
  const webhooks = createWebhooks(faults);
  let url = '';
  const videos = createVideos({
    clock,
    url: () => url,
    encodingMs: options.encodingMs ?? 200,
    keepSources: options.keepSources ?? false,
    onEncoded: (videoId, quality) => webhooks.publish(encodedEvent(videoId, quality, clock)),
  });
  const minPartBytes = options.minPartBytes ?? fiveMiB;
  const routes = createVideoRoutes({ auth, tokens, videos, webhooks, clock, minPartBytes });
  const limiter = createRateLimiter(options.limits ?? productionLimits, clock);
  const route = createFaultyRoute({ faults, clock, bodyFor: (status) => problemBody(status) });

  /** Counts the request against its limit, then authenticates it. */
  const guarded = (kind: RequestKind, work: Work, open = false): Work => {
    return async (request, cue) => {
      const { allowed, headers } = limiter(kind);
      const refused = allowed ? problem(401) : problem(429);
      const known = open || auth.accepts(request.headers.authorization);
      const reply: WireReply = allowed && known ? await work(request, cue) : refused;
      return { ...reply, headers: { ...headers, ...reply.headers } };
    };
  };
  const app = createApp();
  app.post('/auth/api-key', route('auth', guarded('writes', routes.authenticate, true)));
  app.post('/auth/refresh', route('auth', guarded('writes', routes.refresh, true)));
  app.post('/upload-tokens', route('upload_tokens.create', guarded('writes', routes.createToken)));
  app.get('/upload-tokens', route('upload_tokens.list', guarded('reads', routes.listTokens)));
  app.get('/upload-tokens/:token', route('upload_tokens.get', guarded('reads', routes.getToken)));
  app.delete('/upload-tokens/:token', route('upload_tokens.delete', guarded('writes', routes.deleteToken)));
  app.post('/upload', route('videos.upload', guarded('uploads', routes.delegatedUpload, true)));
  app.post('/videos', route('videos.create', guarded('writes', routes.createVideo)));
  app.get('/videos', route('videos.list', guarded('reads', routes.listVideos)));
  app.get('/videos/:videoId', route('videos.get', guarded('reads', routes.getVideo)));
  app.get('/videos/:videoId/status', route('videos.status', guarded('reads', routes.getStatus)));
  app.delete('/videos/:videoId', route('videos.delete', guarded('writes', routes.deleteVideo)));
  app.post('/videos/:videoId/source', route('videos.upload', guarded('uploads', routes.uploadSource)));
  app.post('/webhooks', route('webhooks.create', guarded('writes', routes.createWebhook)));
  app.get('/webhooks', route('webhooks.list', guarded('reads', routes.listWebhooks)));
  app.get('/webhooks/:webhookId', route('webhooks.get', guarded('reads', routes.getWebhook)));
  app.delete('/webhooks/:webhookId', route('webhooks.delete', guarded('writes', routes.deleteWebhook)));
  url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });

  const snapshots = () => ({ tokens: tokens.all(), videos: videos.snapshots(), deliveries: webhooks.deliveries });
  return {
    url,
    apiKey,
    faults,
    snapshots,
    source: videos.source,
    health: () => ({
      ok: app.server.listening,
      url,
      videos: videos.snapshots().length,
      tokens: tokens.all().length,
    }),
    stop: async () => {
      videos.stop();
      await webhooks.stop();
      await app.close();
    },
  };
}

const encodedEvent = (videoId: string, quality: string, clock: Clock) => ({
  type: 'video.encoding.quality.completed',
  emittedAt: new Date(clock.now()).toISOString(),
  videoId,
  encoding: 'hls',
  quality,
});

function createApp() {
  // One part with its form.
  const app = fastify({ forceCloseConnections: true, bodyLimit: 130 * 1024 * 1024 });
  app.addContentTypeParser(/^multipart\/form-data/, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  // Browsers upload directly from a page of another origin.
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    reply.headers({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': '*',
      'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
      'access-control-expose-headers': 'x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-retry-after',
    });
    if (request.method === 'OPTIONS') return reply.status(204).send();
    return undefined;
  });
  // api.video sends no charset, and its own client cannot read an answer with one.
  app.addHook('onSend', async (_request, reply) => {
    if (`${reply.getHeader('content-type')}`.startsWith('application/json'))
      reply.header('content-type', 'application/json');
  });
  app.setNotFoundHandler((_request, reply) => reply.status(404).send(problemBody(404)));
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    return reply.status(status).send(problemBody(status, error.message));
  });
  return app;
}
