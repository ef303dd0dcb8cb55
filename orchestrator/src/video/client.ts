import { plainText } from '@greenroom/shared/protocol/common.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import { z } from 'zod';
import type { SharedLimit } from '../database/video-store.ts';
import { createJsonClient, type JsonAnswer } from '../net/json-client.ts';
import { createVideoBudgets, type Purpose } from './budgets.ts';

/**
 * Client of api.video. All requests to api.video go through it.
 *
 * - It never retries: the steps of a recording are stored in the database and have their own retry schedule.
 * - Requests count against limits that all orchestrators share (budgets.ts). A 429 is returned with the wait
 *   that it names.
 * - Video containers are private, and their metadata names the session and the recording, so that a container
 *   whose create was never answered can be found.
 * - An upload token always expires: a `ttl` of 0 would mean never.
 * - An answer is believed only if api.video wrote it: a success has the shape of its resource, a deletion is
 *   204, an error is a problem document. Anything else (a proxy's page) counts as `unavailable`, because a
 *   false 404 or an empty status would delete a recording.
 */
export type VideoRefusal =
  | { kind: 'gone' }
  | { kind: 'authFailed' }
  | { kind: 'rateLimited'; retryAfterMs: number }
  | { kind: 'unavailable' }
  | { kind: 'rejected' };

export type VideoAnswer<T> = { kind: 'done'; value: T } | VideoRefusal;

export interface VideoStatus {
  /** api.video received at least a part of the recording. */
  uploaded: boolean;
  /** Parts are missing, or everything. */
  partial: boolean;
  playable: boolean;
}

export interface VideoClientOptions {
  /** `https://ws.api.video` or `https://sandbox.api.video` */
  url: string;
  apiKey: string;
  /** Limit of one request, ms. */
  requestMs: number;
  /** Counts a request against these limits. Returns 0 if it may be sent now, else how long to wait, ms. */
  draw: (limits: SharedLimit[]) => Promise<number>;
  logger: Logger;
  /** Observes each request that is sent. @default nothing */
  observe?: ObserveVideo;
}

export type ObserveVideo = <T extends { status: number }>(action: string, exchange: () => Promise<T>) => Promise<T>;

export type VideoClient = ReturnType<typeof createVideoClient>;
export type TenantVideoClient = ReturnType<VideoClient['of']>;

interface Call<T extends z.ZodType> {
  /** What is asked for, in a word or two. */
  action: string;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
  answer: T;
  /** @default reads for GET, writes otherwise */
  purpose?: Purpose;
}

/** The body of an answer that has none. */
const nothing = z.literal('');
/** A video id, limited to what the database stores. */
const id = plainText(200).min(1);
const metadata = z.array(z.object({ key: z.string(), value: z.string() })).default([]);
const video = z.object({
  videoId: id,
  metadata,
  assets: z.object({ player: z.string().optional() }).default({}),
});
const videoList = z.object({ data: z.array(video) });
const uploadToken = z.object({ token: z.string().min(1) });
const videoStatus = z.object({
  ingest: z.object({ status: z.string().nullish(), filesize: z.number().nullish() }).nullable(),
  encoding: z.object({ playable: z.boolean().nullish() }),
});
type Ingest = z.output<typeof videoStatus>['ingest'];

/** An empty container has no status or `missing`. An unknown status counts as uploaded, so that nothing is deleted. */
const wasUploaded = (ingest: Ingest): boolean =>
  (ingest?.filesize ?? 0) > 0 || (ingest?.status ?? 'missing') !== 'missing';

const problem = z.looseObject({ title: z.string() });

type Headers = JsonAnswer['headers'];

/** The wait in ms, at least one second. */
const waitOf = (header: Headers[string]): number | undefined => {
  const ms = readRetryAfter(header);
  return ms === undefined ? undefined : Math.max(1_000, ms);
};

/** Classifies an answer that is not a success. Status 0 means that no answer came. */
export function classifyRefusal(status: number, headers: Headers, body: unknown): VideoRefusal {
  if (status < 300 || (status !== 429 && !problem.safeParse(body).success)) return { kind: 'unavailable' };
  if (status === 404) return { kind: 'gone' };
  if (status === 401 || status === 403) return { kind: 'authFailed' };
  if (status === 429) {
    const retryAfterMs = waitOf(headers['retry-after']) ?? waitOf(headers['x-ratelimit-retry-after']) ?? 60_000;
    return { kind: 'rateLimited', retryAfterMs };
  }
  return status === 0 || status >= 500 || status === 408 ? { kind: 'unavailable' } : { kind: 'rejected' };
}

/** Removes the token from the asset URL of a private video: it works once, so a stored URL does not need it. */
export function withoutToken(url: string): string {
  const clean = new URL(url);
  clean.searchParams.delete('token');
  clean.pathname = clean.pathname.replace(/\/token\/[^/]+/, '');
  return clean.toString();
}

const nameOf = (sessionId: string, ordinal: number): string => `${sessionId}:${ordinal}`;
/** Metadata key that names the session and ordinal of a recording. */
const key = 'greenroom_recording';

export function createVideoClient({ url, apiKey, requestMs, draw, logger, ...options }: VideoClientOptions) {
  const { observe = (_action, exchange) => exchange() } = options;
  const client = createJsonClient({ connections: 8, requestMs });
  const authorization = `Basic ${Buffer.from(`${apiKey}:`).toString('base64')}`;
  const budgets = createVideoBudgets(url);

  const send = async <T extends z.ZodType>(
    call: Call<T>,
    tenantId: string | undefined,
  ): Promise<VideoAnswer<z.output<T>>> => {
    const { method, path, body: sent, purpose = method === 'GET' ? 'reads' : 'writes' } = call;
    const waitMs = await draw(budgets.of(purpose, tenantId));
    if (waitMs > 0) return { kind: 'rateLimited', retryAfterMs: waitMs };
    const exchange = (): Promise<Pick<JsonAnswer, 'status' | 'headers' | 'body'>> =>
      client.ask({ method, url: `${url}${path}`, headers: { authorization }, body: sent }).catch((error: unknown) => {
        logger.warn({ error, method }, 'request to api.video failed');
        return { status: 0, headers: {}, body: undefined };
      });
    const { status, headers, body } = await observe(call.action, exchange);
    const isSuccess = method === 'DELETE' ? status === 204 : status >= 200 && status < 300;
    const parsed = isSuccess ? call.answer.safeParse(body) : undefined;
    if (parsed?.success) return { kind: 'done', value: parsed.data };
    const refusal = classifyRefusal(status, headers, body);
    if (refusal.kind !== 'gone')
      logger.warn(
        { method, status_code: status, kind: refusal.kind },
        'api.video refused the request or sent an unexpected answer',
      );
    return refusal;
  };

  const done = async <T, U>(answer: Promise<VideoAnswer<T>>, map: (value: T) => U): Promise<VideoAnswer<U>> => {
    const got = await answer;
    return got.kind === 'done' ? { kind: 'done', value: map(got.value) } : got;
  };

  const methodsFor = (tenantId: string | undefined) => {
    const ask = <T extends z.ZodType>(call: Call<T>) => send(call, tenantId);
    return {
      /** Creates the private container of one recording. */
      createVideo: (sessionId: string, ordinal: number): Promise<VideoAnswer<string>> => {
        const name = nameOf(sessionId, ordinal);
        const body = { title: `Interview ${name}`, public: false, mp4Support: false, metadata: [{ key, value: name }] };
        return done(
          ask({ action: 'create', method: 'POST', path: '/videos', body, answer: video }),
          ({ videoId }) => videoId,
        );
      },
      /** The container that an earlier attempt created, if there is one. */
      findVideo: (sessionId: string, ordinal: number): Promise<VideoAnswer<string | undefined>> => {
        const name = nameOf(sessionId, ordinal);
        const path = `/videos?pageSize=100&metadata%5B${key}%5D=${encodeURIComponent(name)}`;
        return done(
          ask({ action: 'find', method: 'GET', path, answer: videoList }),
          ({ data }) =>
            data.find((one) => one.metadata.some((pair) => pair.key === key && pair.value === name))?.videoId,
        );
      },
      /** Creates an upload token. @param lifeMs rounded up to seconds, at least one */
      createToken: (lifeMs: number): Promise<VideoAnswer<string>> => {
        const body = { ttl: Math.max(1, Math.ceil(lifeMs / 1_000)) };
        return done(
          ask({ action: 'create token', method: 'POST', path: '/upload-tokens', body, answer: uploadToken }),
          ({ token }) => token,
        );
      },
      deleteToken: (token: string) =>
        ask({
          action: 'delete token',
          method: 'DELETE',
          path: `/upload-tokens/${encodeURIComponent(token)}`,
          answer: nothing,
        }),
      status: (videoId: string): Promise<VideoAnswer<VideoStatus>> =>
        done(
          ask({
            action: 'status',
            method: 'GET',
            path: `/videos/${encodeURIComponent(videoId)}/status`,
            answer: videoStatus,
          }),
          ({ ingest, encoding }) => ({
            uploaded: wasUploaded(ingest),
            partial: !wasUploaded(ingest) || ingest?.status === 'uploading',
            playable: encoding.playable === true,
          }),
        ),
      /** The player's URL without its token, or null if api.video names none. */
      playerUrl: (videoId: string): Promise<VideoAnswer<string | null>> =>
        done(
          ask({ action: 'get', method: 'GET', path: `/videos/${encodeURIComponent(videoId)}`, answer: video }),
          ({ assets: { player } }) => (player !== undefined && URL.canParse(player) ? withoutToken(player) : null),
        ),
      /** The player's URL with a token that opens it once, or null if api.video names none. */
      watchUrl: (videoId: string): Promise<VideoAnswer<string | null>> =>
        done(
          ask({
            action: 'watch',
            method: 'GET',
            path: `/videos/${encodeURIComponent(videoId)}`,
            answer: video,
            purpose: 'watching',
          }),
          ({ assets: { player } }) => (player !== undefined && URL.canParse(player) ? player : null),
        ),
      deleteVideo: (videoId: string) =>
        ask({ action: 'delete', method: 'DELETE', path: `/videos/${encodeURIComponent(videoId)}`, answer: nothing }),
    };
  };

  return {
    ...methodsFor(undefined),
    /** The same methods; their requests also count against the tenant's share of the limits. */
    of: methodsFor,
    close: client.close,
  };
}
