import { plainText } from '@greenroom/shared/protocol/common.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import { z } from 'zod';
import type { SharedLimit } from '../database/video-store.ts';
import { createJsonClient, type JsonAnswer } from '../net/json-client.ts';
import { createVideoBudgets, type Purpose } from './budgets.ts';

/**
 * The one door to api.video.
 *
 * K1  It never retries: the work is durable and has its own schedule.
 * K2  Requests are drawn from limits that all orchestrators share (budgets.ts); after a 429 the time that it names is waited.
 * K3  Containers are private, and name their session in their metadata: a create whose answer was lost is found again.
 * K4  A token always has a life: 0 would mean for ever.
 * K5  An answer counts only if it is api.video's: a success has the shape of its resource, a deletion is 204, an error is one of
 *     its problems. What a proxy answers in its place is no answer: on such a 404 or empty status a recording would be deleted.
 */
export type VideoRefusal =
  | { kind: 'gone' }
  | { kind: 'authFailed' }
  | { kind: 'rateLimited'; retryAfterMs: number }
  | { kind: 'unavailable' }
  | { kind: 'rejected' };

export type VideoAnswer<T> = { kind: 'done'; value: T } | VideoRefusal;

export interface VideoStatus {
  /** Something was received, if not all of it. */
  uploaded: boolean;
  playable: boolean;
}

export interface VideoClientOptions {
  /** `https://ws.api.video` or `https://sandbox.api.video` */
  url: string;
  apiKey: string;
  /** Limit of one request, ms. */
  requestMs: number;
  /** How long to wait for the next request of this kind, ms; 0: it may go. */
  draw: (limits: SharedLimit[]) => Promise<number>;
  logger: Logger;
}

export type VideoClient = ReturnType<typeof createVideoClient>;
export type TenantVideoClient = ReturnType<VideoClient['of']>;

interface Call<T extends z.ZodType> {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: object;
  answer: T;
  /** Default: writes or reads, by the method. */
  purpose?: Purpose;
}

/** The body of an answer without one. */
const nothing = z.literal('');
/** An id of theirs, as the database takes it. */
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

/** A container that nothing came for has no status, or `missing`. A status we do not know is taken for a recording. */
const wasUploaded = (ingest: Ingest): boolean =>
  (ingest?.filesize ?? 0) > 0 || (ingest?.status ?? 'missing') !== 'missing';

const problem = z.looseObject({ title: z.string() });

type Headers = JsonAnswer['headers'];

/** At least a second, so that nothing is asked again at once. */
const waitOf = (header: Headers[string]): number | undefined => {
  const ms = readRetryAfter(header);
  return ms === undefined ? undefined : Math.max(1_000, ms);
};

/** What an answer that is not a success means (K5). Status 0: there was none. */
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

/** A private video's asset URLs carry a token that works once: it is of no use to whoever reads the URL later. */
export function withoutToken(url: string): string {
  const clean = new URL(url);
  clean.searchParams.delete('token');
  clean.pathname = clean.pathname.replace(/\/token\/[^/]+/, '');
  return clean.toString();
}

const nameOf = (sessionId: string, ordinal: number): string => `${sessionId}:${ordinal}`;
/** K3. */
const key = 'greenroom_recording';

export function createVideoClient({ url, apiKey, requestMs, draw, logger }: VideoClientOptions) {
  const client = createJsonClient({ baseUrl: url, connections: 8, requestMs });
  const authorization = `Basic ${Buffer.from(`${apiKey}:`).toString('base64')}`;
  const budgets = createVideoBudgets(url);

  const send = async <T extends z.ZodType>(
    call: Call<T>,
    tenantId: string | undefined,
  ): Promise<VideoAnswer<z.output<T>>> => {
    const { method, path, body: sent, purpose = method === 'GET' ? 'reads' : 'writes' } = call;
    const waitMs = await draw(budgets.of(purpose, tenantId));
    if (waitMs > 0) return { kind: 'rateLimited', retryAfterMs: waitMs };
    const ask = client.ask({ method, path, headers: { authorization }, body: sent });
    const { status, headers, body } = await ask.catch((error: unknown) => {
      logger.warn({ error, method }, 'api.video did not answer');
      return { status: 0, headers: {}, body: undefined };
    });
    const isSuccess = method === 'DELETE' ? status === 204 : status >= 200 && status < 300;
    const parsed = isSuccess ? call.answer.safeParse(body) : undefined;
    if (parsed?.success) return { kind: 'done', value: parsed.data };
    const refusal = classifyRefusal(status, headers, body);
    if (refusal.kind !== 'gone')
      logger.warn({ method, status_code: status, kind: refusal.kind }, 'api.video did not do what was asked');
    return refusal;
  };

  const done = async <T, U>(answer: Promise<VideoAnswer<T>>, map: (value: T) => U): Promise<VideoAnswer<U>> => {
    const got = await answer;
    return got.kind === 'done' ? { kind: 'done', value: map(got.value) } : got;
  };

  const methodsFor = (tenantId: string | undefined) => {
    const ask = <T extends z.ZodType>(call: Call<T>) => send(call, tenantId);
    return {
      /** A private container for one recording (K3). */
      createVideo: (sessionId: string, ordinal: number): Promise<VideoAnswer<string>> => {
        const name = nameOf(sessionId, ordinal);
        const body = { title: `Interview ${name}`, public: false, mp4Support: false, metadata: [{ key, value: name }] };
        return done(ask({ method: 'POST', path: '/videos', body, answer: video }), ({ videoId }) => videoId);
      },
      /** The container an earlier attempt made, if there is one (K3). */
      findVideo: (sessionId: string, ordinal: number): Promise<VideoAnswer<string | undefined>> => {
        const name = nameOf(sessionId, ordinal);
        const path = `/videos?pageSize=100&metadata%5B${key}%5D=${encodeURIComponent(name)}`;
        return done(
          ask({ method: 'GET', path, answer: videoList }),
          ({ data }) =>
            data.find((one) => one.metadata.some((pair) => pair.key === key && pair.value === name))?.videoId,
        );
      },
      /** @param lifeMs at least a second (K4) */
      createToken: (lifeMs: number): Promise<VideoAnswer<string>> => {
        const body = { ttl: Math.max(1, Math.ceil(lifeMs / 1_000)) };
        return done(ask({ method: 'POST', path: '/upload-tokens', body, answer: uploadToken }), ({ token }) => token);
      },
      deleteToken: (token: string) =>
        ask({ method: 'DELETE', path: `/upload-tokens/${encodeURIComponent(token)}`, answer: nothing }),
      status: (videoId: string): Promise<VideoAnswer<VideoStatus>> =>
        done(
          ask({ method: 'GET', path: `/videos/${encodeURIComponent(videoId)}/status`, answer: videoStatus }),
          ({ ingest, encoding }) => ({
            uploaded: wasUploaded(ingest),
            playable: encoding.playable === true,
          }),
        ),
      /** Where it is watched; null when api.video does not say. Without a token: see `withoutToken`. */
      playerUrl: (videoId: string): Promise<VideoAnswer<string | null>> =>
        done(
          ask({ method: 'GET', path: `/videos/${encodeURIComponent(videoId)}`, answer: video }),
          ({ assets: { player } }) => (player !== undefined && URL.canParse(player) ? withoutToken(player) : null),
        ),
      /** The same with a token that opens it once; null when there is nothing to be watched. */
      watchUrl: (videoId: string): Promise<VideoAnswer<string | null>> =>
        done(
          ask({ method: 'GET', path: `/videos/${encodeURIComponent(videoId)}`, answer: video, purpose: 'watching' }),
          ({ assets: { player } }) => (player !== undefined && URL.canParse(player) ? player : null),
        ),
      deleteVideo: (videoId: string) =>
        ask({ method: 'DELETE', path: `/videos/${encodeURIComponent(videoId)}`, answer: nothing }),
    };
  };

  return {
    ...methodsFor(undefined),
    /** The same, drawn from a tenant's own share of the limits too. */
    of: methodsFor,
    close: client.close,
  };
}
