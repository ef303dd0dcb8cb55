import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import PQueue from 'p-queue';
import type { OwedDeletion, TakenVideo, VideoStore } from '../database/video-store.ts';
import type { VideoClient } from './client.ts';

/**
 * Does what is due at api.video: steps of recordings, and deletions that are owed. What waits, waits in the database.
 * Deletions have room of their own, and one tenant's steps take half of the room at most: so neither waits for the other.
 * A step that breaks off is tried again a minute later; when not even that can be noted, when its lease has passed.
 */
export interface VideoWorker {
  /** One round: takes what is due and begins it. Does not wait for it to be done. */
  run(): Promise<void>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** Takes nothing more and lets what is under way end: each step is short. */
  stop(): Promise<void>;
}

export interface VideoWorkerDeps {
  videos: Pick<VideoStore, 'take' | 'postpone' | 'takeDeletions' | 'recordDeleted'>;
  client: Pick<VideoClient, 'deleteVideo'>;
  step: (job: TakenVideo) => Promise<void>;
  /** Limit of one request, ms; a take lasts six times as long: no step makes more requests. */
  requestMs: number;
  /** How long after its session's end a token lives on, ms. */
  graceMs: number;
  logger: Logger;
  /** A session has news. */
  onChange?: (sessionId: string) => void;
  bounds?: Partial<VideoBounds>;
}

/** How many may be under way at once in this process. */
export interface VideoBounds {
  /** Steps of recordings. Default 6. */
  steps: number;
  /** Of these, steps of one tenant's recordings. Default 3. */
  stepsPerTenant: number;
  /** Deletions that are owed. Default 2. */
  deletions: number;
}

export const videoBounds: VideoBounds = { steps: 6, stepsPerTenant: 3, deletions: 2 };

const brokenOffMs = 60_000;

const roomIn = (queue: PQueue, most: number): number => most - queue.pending - queue.size;

export function createVideoWorker(deps: VideoWorkerDeps): VideoWorker {
  const { videos, client, step, requestMs, graceMs, logger, onChange } = deps;
  const { steps: mostSteps, stepsPerTenant, deletions: mostDeletions } = { ...videoBounds, ...deps.bounds };
  const steps = new PQueue({ concurrency: mostSteps });
  const deletions = new PQueue({ concurrency: mostDeletions });
  /** Steps under way, by tenant. */
  const underWay = new Map<string, number>();
  let stopped = false;

  const attempt = async (job: TakenVideo): Promise<void> => {
    try {
      await step(job);
      onChange?.(job.session_id);
    } catch (error) {
      logger.warn({ session_id: job.session_id, ordinal: job.ordinal, error }, 'a step of a recording broke off');
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
    void steps.add(() => attempt(job)).finally(() => count(job.tenant_id, -1));
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

  /** A 404 proves the deletion only when the attempt before, minutes earlier, had one too: a copy may not have it yet. */
  const deleteOwed = async ({ video_id, last_error }: OwedDeletion): Promise<void> => {
    try {
      const answer = await client.deleteVideo(video_id);
      const isGone = answer.kind === 'done' || (answer.kind === 'gone' && last_error === 'gone');
      await videos.recordDeleted(video_id, isGone ? null : answer.kind);
    } catch (error) {
      logger.warn({ error }, 'could not delete a recording; will retry');
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
