import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { TakenVideo, VideoFailure, VideoStore } from '../database/video-store.ts';
import type { Vault } from '../tokens/vault.ts';
import type { VideoClient, VideoRefusal } from './client.ts';

/**
 * The next step of one recording: `wanted` → `open` → `closing` → `processing` → `done`, or `empty`, or given up.
 *
 * - What was made at api.video is stored before the next thing is made; a second attempt finds what the first one made.
 * - A token that is no longer wanted (the session ended meanwhile) is deleted by the step that made it.
 * - A container that nobody uploaded to, or a second one, is added to `video_deletions`: it stays there until it is deleted.
 */
export interface StepDeps {
  videos: Pick<VideoStore, 'recordContainer' | 'recordToken' | 'recordClosed' | 'recordDone' | 'postpone'>;
  client: Pick<VideoClient, 'of'>;
  vault: Vault;
  /** From the creation of a token until nobody can need it, ms, beside the session's own maximum duration. */
  tokenSlackMs: number;
  logger: Logger;
}

/** The context of an upload token in the vault. */
export const tokenContext = (sessionId: string, ordinal: number): string => `video:${sessionId}:${ordinal}`;

/** Thrown inside a step, caught at its end: api.video did not do it. */
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

/** A live session's recording is tried for as long as the session lives; the rest, for about a day. */
const mostAttempts = { wanted: Number.POSITIVE_INFINITY, closing: 120, processing: 150 };

/**
 * A 404 for a container that we made is believed only at this attempt, about a minute after the first: api.video may answer
 * from a copy that does not have it yet, and a recording given up too soon is lost.
 */
const attemptsBeforeGone = 7;

/** @returns ms until the next attempt, or null when it is given up. */
export function videoRetryMs({ state, attempt }: Pick<TakenVideo, 'state' | 'attempt'>, refusal: VideoRefusal) {
  if (refusal.kind === 'rejected' || attempt >= mostAttempts[state]) return null;
  if (refusal.kind === 'gone' && attempt >= attemptsBeforeGone) return null;
  if (refusal.kind === 'rateLimited') return refusal.retryAfterMs;
  if (refusal.kind === 'authFailed') return 300_000;
  return 1_000 + backoffMs(attempt, { baseMs: 1_000, maxMs: state === 'wanted' ? 30_000 : 900_000 });
}

/** Encoding takes about as long as the video; a webhook makes it due at once. @returns null: it will not be any more. */
export const pollMs = (attempt: number): number | null =>
  attempt >= mostAttempts.processing ? null : Math.min(600_000, 5_000 * 1.5 ** Math.min(attempt, 20));

export function createVideoStep({ videos, client, vault, tokenSlackMs, logger }: StepDeps) {
  const apiOf = ({ tenant_id }: TakenVideo) => client.of(tenant_id);
  const must = async <T>(answer: Promise<{ kind: 'done'; value: T } | VideoRefusal>): Promise<T> => {
    const got = await answer;
    if (got.kind === 'done') return got.value;
    throw new Refused(got);
  };
  /** Deletes an upload token. A 404 counts as done: should it be wrong, the token still expires by itself. */
  const removeToken = async (answer: Promise<{ kind: 'done' } | VideoRefusal>): Promise<void> => {
    const got = await answer;
    if (got.kind !== 'done' && got.kind !== 'gone') throw new Refused(got);
  };

  /** The recording's container; undefined when it is not wanted any more. */
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
      // Sealed with a key we no longer have: it expires by itself.
      logger.error({ session_id: job.session_id, ordinal: job.ordinal, error }, 'an upload token cannot be opened');
      return undefined;
    }
  };

  /** Whether the browser uploaded anything that is to be kept. */
  const isKept = async (job: TakenVideo, videoId: string): Promise<boolean> => {
    if (job.video_id === null || job.erased) return false;
    const status = await apiOf(job).status(videoId);
    if (status.kind === 'gone' && job.attempt >= attemptsBeforeGone) return false;
    return (await must(Promise.resolve(status))).uploaded;
  };

  const close = async (job: TakenVideo): Promise<void> => {
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

  /** Throws when the database, not api.video, did not do it. */
  return async (job: TakenVideo): Promise<void> => {
    try {
      await steps[job.state](job);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const retryMs = videoRetryMs(job, error.refusal);
      const failure = failures[error.refusal.kind];
      await videos.postpone(job, retryMs, failure);
      const fields = { session_id: job.session_id, ordinal: job.ordinal, state: job.state, reason: failure };
      logger.warn({ ...fields, attempt: job.attempt, delay_ms: retryMs }, 'a step of a recording failed');
    }
  };
}
