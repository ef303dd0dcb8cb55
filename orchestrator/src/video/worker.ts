import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import PQueue from 'p-queue';
import type { OwedDeletion, TakenVideo, VideoStore } from '../database/video-store.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { VideoClient } from './client.ts';

/**
 * Takes work for api.video that is due from the database and does it: the steps of recordings, and deletions.
 *
 * - Deletions have their own queue, and one tenant gets at most half of the places for steps, so that neither
 *   delays the other.
 * - A step that fails with an internal error is retried after a minute. If the retry cannot be stored, the step
 *   is taken again when its lease has expired.
 */
export interface VideoWorker {
  /** Takes the work that is due and starts it. Does not wait for it to finish. */
  run(): Promise<void>;
  /** Resolves when no work is running. */
  idle(): Promise<void>;
  /** Takes no more work and waits for the running work, which is short. */
  stop(): Promise<void>;
}

export interface VideoWorkerDeps {
  videos: Pick<VideoStore, 'take' | 'postpone' | 'takeDeletions' | 'recordDeleted'>;
  client: Pick<VideoClient, 'deleteVideo'>;
  step: (job: TakenVideo) => Promise<void>;
  /** Limit of one request, ms. The lease of a step is six times as long, because no step makes more requests. */
  requestMs: number;
  /** How long an upload token stays valid after the end of its session, ms. */
  graceMs: number;
  logger: Logger;
  /** Called when something of a session has changed. */
  onChange?: (sessionId: string) => void;
  bounds?: Partial<VideoBounds>;
  tracing: Pick<Tracing, 'forSession' | 'span'>;
}

/** How much work may run at once in this process. */
export interface VideoBounds {
  /** Steps of recordings. Default 6. */
  steps: number;
  /** Steps of one tenant's recordings. Default 3. */
  stepsPerTenant: number;
  /** Deletions. Default 2. */
  deletions: number;
}

export const videoBounds: VideoBounds = { steps: 6, stepsPerTenant: 3, deletions: 2 };

const brokenOffMs = 60_000;

const roomIn = (queue: PQueue, most: number): number => most - queue.pending - queue.size;

export function createVideoWorker(deps: VideoWorkerDeps): VideoWorker {
  const { videos, client, step, requestMs, graceMs, logger, onChange, tracing } = deps;
  const { steps: mostSteps, stepsPerTenant, deletions: mostDeletions } = { ...videoBounds, ...deps.bounds };
  const steps = new PQueue({ concurrency: mostSteps });
  const deletions = new PQueue({ concurrency: mostDeletions });
  /** Number of running steps, by tenant. */
  const underWay = new Map<string, number>();
  let stopped = false;

  const attempt = async (job: TakenVideo): Promise<void> => {
    const { ordinal, attempt: number, state } = job;
    try {
      await tracing.span('recording step', { fields: { ordinal, attempt: number, state } }, () => step(job));
      onChange?.(job.session_id);
    } catch (error) {
      logger.warn(
        { session_id: job.session_id, ordinal: job.ordinal, error },
        'recording step failed with an internal error; will retry',
      );
      await videos.postpone(job, brokenOffMs, 'internal_error').catch(() => undefined);
    }
  };

  const count = (tenantId: string, change: 1 | -1): void => {
    const now = (underWay.get(tenantId) ?? 0) + change;
    if (now > 0) underWay.set(tenantId, now);
    else underWay.delete(tenantId);
  };

  const begin = (job: TakenVideo): void => {
    count(job.tenant_id, 1);
    void steps.add(() => tracing.forSession(job, () => attempt(job))).finally(() => count(job.tenant_id, -1));
  };

  const beginSteps = async (): Promise<void> => {
    const limit = roomIn(steps, mostSteps);
    if (limit <= 0) return;
    const wanted = { takenMs: requestMs * 6, graceMs, limit, perTenant: stepsPerTenant };
    for (const job of await videos.take({ ...wanted, underWay: Object.fromEntries(underWay) })) begin(job);
  };

  const beginDeletions = async (): Promise<void> => {
    const limit = roomIn(deletions, mostDeletions);
    if (limit <= 0) return;
    for (const owed of await videos.takeDeletions(limit)) void deletions.add(() => deleteOwed(owed));
  };

  /** A 404 counts only if the previous attempt, minutes earlier, got one too: replicas of api.video may lag. */
  const deleteOwed = async ({ video_id, tenant_id, last_error }: OwedDeletion): Promise<void> => {
    try {
      const answer = await client.deleteVideo(video_id);
      const isGone = answer.kind === 'done' || (answer.kind === 'gone' && last_error === 'gone');
      await videos.recordDeleted(video_id, isGone ? null : answer.kind);
    } catch (error) {
      logger.warn({ tenant_id, error }, 'could not delete a recording; will retry');
    }
  };

  const idle = async (): Promise<void> => {
    await Promise.all([steps.onIdle(), deletions.onIdle()]);
  };

  return {
    run: async () => {
      if (!stopped) await Promise.all([beginSteps(), beginDeletions()]);
    },
    idle,
    stop: () => {
      stopped = true;
      return idle();
    },
  };
}
