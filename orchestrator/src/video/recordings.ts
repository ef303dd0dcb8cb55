import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { RecordingView } from '@greenroom/shared/protocol/platform-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { RecordingRow, VideoStore } from '../database/video-store.ts';
import type { TenantVideoClient, VideoClient } from './client.ts';

/**
 * The recordings of a session, with links to watch them.
 *
 * Recordings are private: the player needs a token that works once. So no link is stored; it is requested from
 * api.video each time.
 *
 * A session may have more recordings than may be asked for at once (budgets.ts). They are asked for one after the other, and those
 * after the first wait for their turn.
 */
export interface Recordings {
  /**
   * Throws AppError `rate_limited` if the limit for watching is reached (budgets.ts) or api.video answers 429.
   * @param tenantId null for an operator
   */
  of(sessionId: string, tenantId: string | null): Promise<RecordingView[]>;
  /** Removes a recording at once; api.video is asked to delete it until it has. */
  delete: VideoStore['deleteRecording'];
}

export interface RecordingsDeps {
  videos: Pick<VideoStore, 'recordings' | 'deleteRecording'>;
  client: Pick<VideoClient, 'of'>;
  clock: Pick<Clock, 'sleep'>;
}

/** How long the recordings after the first may wait in one answer, ms. */
const patienceMs = 10_000;

export function createRecordings({ videos, client, clock }: RecordingsDeps): Recordings {
  const viewAll = async (api: TenantVideoClient, rows: RecordingRow[]): Promise<RecordingView[]> => {
    const views: RecordingView[] = [];
    let leftMs = 0;
    for (const { video_id, playable, ...shown } of rows) {
      const ask = () => (playable ? api.watchUrl(video_id) : undefined);
      let answer = await ask();
      while (answer?.kind === 'rateLimited') {
        leftMs -= answer.retryAfterMs;
        if (leftMs < 0)
          throw new AppError('rate_limited', { retryAfterS: Math.max(1, Math.ceil(answer.retryAfterMs / 1_000)) });
        await clock.sleep(answer.retryAfterMs);
        answer = await ask();
      }
      views.push({ video_id, watch_url: answer?.kind === 'done' ? answer.value : null, ...shown });
      if (views.length === 1) leftMs = patienceMs;
    }
    return views;
  };
  return {
    delete: videos.deleteRecording,
    of: async (sessionId, tenantId) => viewAll(client.of(tenantId ?? undefined), await videos.recordings(sessionId)),
  };
}
