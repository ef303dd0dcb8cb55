import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { TakenVideo, VideoFailure, VideoStore } from '../database/video-store.ts';
import type { Vault } from '../tokens/vault.ts';
import type { VideoClient, VideoRefusal } from './client.ts';

/**
 * Does the next step of one recording: `wanted` → `open` → `closing` → `processing` → `done`, or `empty`, or
 * given up.
 *
 * - The id of a new container is stored before its upload token is created. A second attempt finds a container
 *   whose id was not stored.
 * - After the session's end the token is kept until the browser has uploaded what it recorded, for ten minutes at most: a
 *   recording without its last part can never be played.
 * - If the session ended while a step created a token, the same step deletes the token.
 * - An empty container, or a second one for the same recording, is added to `video_deletions` and stays there
 *   until api.video has deleted it.
 */
export interface StepDeps {
  videos: Pick<VideoStore, 'recordContainer' | 'recordToken' | 'recordClosed' | 'recordDone' | 'postpone'>;
  client: Pick<VideoClient, 'of'>;
  vault: Vault;
  /** Added to the session's maximum duration to get the life of an upload token, ms. */
  tokenSlackMs: number;
  logger: Logger;
}

/** The context of an upload token in the vault. */
export const tokenContext = (sessionId: string, ordinal: number): string => `video:${sessionId}:${ordinal}`;

/** Thrown inside a step when api.video refuses a request; caught where the step is run. */
class Refused extends Error {
  readonly refusal: VideoRefusal;
  constructor(refusal: VideoRefusal) {
    super(refusal.kind);
    this.refusal = refusal;
  }
}

const failures = {
  authFailed: 'auth_failed',
  rateLimited: 'rate_limited',
  unavailable: 'unavailable',
  rejected: 'rejected',
  gone: 'not_found',
} as const satisfies Record<VideoRefusal['kind'], VideoFailure>;

/** Attempts per state. A recording of a live session is retried until the session ends; the others for about a day. */
const mostAttempts = { wanted: Number.POSITIVE_INFINITY, closing: 120, processing: 150 };

/**
 * A 404 for a container that we created is believed from this attempt on, about a minute after the first.
 * Before that, api.video may read a replica that does not have the container yet, and a recording given up too
 * soon is lost.
 */
const attemptsBeforeGone = 7;

/** @returns ms until the next attempt, or null if the step is given up */
export function videoRetryMs({ state, attempt }: Pick<TakenVideo, 'state' | 'attempt'>, refusal: VideoRefusal) {
  if (refusal.kind === 'rejected' || attempt >= mostAttempts[state]) return null;
  if (refusal.kind === 'gone' && attempt >= attemptsBeforeGone) return null;
  if (refusal.kind === 'rateLimited') return refusal.retryAfterMs;
  if (refusal.kind === 'authFailed') return 300_000;
  return 1_000 + backoffMs(attempt, { baseMs: 1_000, maxMs: state === 'wanted' ? 30_000 : 900_000 });
}

/** How often, and how long in between, a closing waits for the rest of an upload. */
const upload = { mostWaits: 20, waitMs: 30_000 };

/** Wait between checks of the encoding, which takes about as long as the video. @returns null if it is given up */
export const pollMs = (attempt: number): number | null =>
  attempt >= mostAttempts.processing ? null : Math.min(600_000, 5_000 * 1.5 ** Math.min(attempt, 20));

export function createVideoStep({ videos, client, vault, tokenSlackMs, logger }: StepDeps) {
  const apiOf = ({ tenant_id }: TakenVideo) => client.of(tenant_id);
  const must = async <T>(answer: Promise<{ kind: 'done'; value: T } | VideoRefusal>): Promise<T> => {
    const got = await answer;
    if (got.kind === 'done') return got.value;
    throw new Refused(got);
  };
  /** Deletes an upload token. A 404 counts as done: even if it is false, the token expires by itself. */
  const removeToken = async (answer: Promise<{ kind: 'done' } | VideoRefusal>): Promise<void> => {
    const got = await answer;
    if (got.kind !== 'done' && got.kind !== 'gone') throw new Refused(got);
  };

  /** The id of the recording's container, or undefined if the recording is no longer wanted. */
  const containerOf = async (job: TakenVideo): Promise<string | undefined> => {
    if (job.video_id !== null) return job.video_id;
    const { session_id, ordinal } = job;
    const api = apiOf(job);
    const made = job.attempt > 1 ? await must(api.findVideo(session_id, ordinal)) : undefined;
    const mine = made ?? (await must(api.createVideo(session_id, ordinal)));
    const { video_id, state } = await videos.recordContainer(job, mine);
    return state === 'wanted' ? (video_id ?? undefined) : undefined;
  };

  const open = async (job: TakenVideo): Promise<void> => {
    if ((await containerOf(job)) === undefined) return;
    const lifeMs = job.max_duration_ms + tokenSlackMs;
    const token = await must(apiOf(job).createToken(lifeMs));
    const ciphertext = vault.seal(token, tokenContext(job.session_id, job.ordinal));
    if (!(await videos.recordToken(job, ciphertext, lifeMs))) await removeToken(apiOf(job).deleteToken(token));
  };

  const tokenOf = (job: TakenVideo): string | undefined => {
    if (job.token_ciphertext === null || job.token_over) return undefined;
    try {
      return vault.open(job.token_ciphertext, tokenContext(job.session_id, job.ordinal));
    } catch (error) {
      // Encrypted with a key that no longer exists. The token expires by itself.
      logger.error({ session_id: job.session_id, ordinal: job.ordinal, error }, 'could not decrypt an upload token');
      return undefined;
    }
  };

  /** Whether the browser uploaded anything that must be kept. */
  const isKept = async (job: TakenVideo, videoId: string): Promise<boolean> => {
    if (job.video_id === null || job.erased) return false;
    const status = await apiOf(job).status(videoId);
    if (status.kind === 'gone' && job.attempt >= attemptsBeforeGone) return false;
    return (await must(Promise.resolve(status))).uploaded;
  };

  /** Whether the browser is still uploading what it recorded. */
  const isUploading = async (job: TakenVideo): Promise<boolean> => {
    if (!job.started || job.erased || job.video_id === null || job.attempt > upload.mostWaits) return false;
    const status = await apiOf(job).status(job.video_id);
    return status.kind === 'done' && status.value.partial;
  };

  const close = async (job: TakenVideo): Promise<void> => {
    if (await isUploading(job)) {
      await videos.postpone(job, upload.waitMs, null);
      return;
    }
    const token = tokenOf(job);
    if (token !== undefined) await removeToken(apiOf(job).deleteToken(token));
    const videoId = job.video_id ?? (await must(apiOf(job).findVideo(job.session_id, job.ordinal)));
    await videos.recordClosed(job, videoId !== undefined && (await isKept(job, videoId)), videoId);
  };

  const process = async (job: TakenVideo): Promise<void> => {
    const videoId = job.video_id as string;
    if (job.erased) {
      await videos.recordDone(job, null);
      return;
    }
    const api = apiOf(job);
    const { playable } = await must(api.status(videoId));
    if (playable) {
      await videos.recordDone(job, await must(api.playerUrl(videoId)));
      return;
    }
    const retryMs = pollMs(job.attempt);
    await videos.postpone(job, retryMs, retryMs === null ? 'never_playable' : null);
  };

  const steps = { wanted: open, closing: close, processing: process };

  /** Throws only errors that are not refusals of api.video, such as those of the database. */
  return async (job: TakenVideo): Promise<void> => {
    try {
      await steps[job.state](job);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const retryMs = videoRetryMs(job, error.refusal);
      const failure = failures[error.refusal.kind];
      await videos.postpone(job, retryMs, failure);
      const fields = { session_id: job.session_id, ordinal: job.ordinal, state: job.state, reason: failure };
      logger.warn({ ...fields, attempt: job.attempt, delay_ms: retryMs }, 'recording step failed');
    }
  };
}
