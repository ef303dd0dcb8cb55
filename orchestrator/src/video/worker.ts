import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import PQueue from 'p-queue';
import type { TakenVideo, VideoStore } from '../database/video-store.ts';
import type { VideoClient } from './client.ts';

/**
 * Does what is due at api.video: steps of recordings, and deletions that are owed. What waits, waits in the database.
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
  /** Default 6. */
  concurrency?: number;
}

const brokenOffMs = 60_000;

export function createVideoWorker(deps: VideoWorkerDeps): VideoWorker {
  const { videos, client, step, requestMs, graceMs, logger, onChange, concurrency = 6 } = deps;
  const queue = new PQueue({ concurrency });
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

  const deleteOwed = async (videoId: string): Promise<void> => {
    try {
      const answer = await client.deleteVideo(videoId);
      const isGone = answer.kind === 'done' || answer.kind === 'gone';
      await videos.recordDeleted(videoId, isGone ? null : answer.kind);
    } catch (error) {
      logger.warn({ error }, 'a deletion that is owed broke off');
    }
  };

  return {
    run: async () => {
      const free = concurrency - queue.pending - queue.size;
      if (free <= 0 || stopped) return;
      const jobs = await videos.take(requestMs * 6, graceMs, free);
      for (const job of jobs) void queue.add(() => attempt(job));
      if (jobs.length >= free) return;
      for (const { video_id } of await videos.takeDeletions(free - jobs.length))
        void queue.add(() => deleteOwed(video_id));
    },
    idle: () => queue.onIdle(),
    stop: async () => {
      stopped = true;
      await queue.onIdle();
    },
  };
}
