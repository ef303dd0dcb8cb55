import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { RecordingView } from '@greenroom/shared/protocol/platform-api.ts';
import type { RecordingRow, VideoStore } from '../database/video-store.ts';
import type { TenantVideoClient, VideoClient } from './client.ts';

/**
 * The recordings of a session, with links to watch them.
 *
 * Recordings are private: the player needs a token that works once. So no link is stored; it is requested from
 * api.video each time.
 */
export interface Recordings {
  /**
   * Throws AppError `rate_limited` if the limit for watching is reached (budgets.ts) or api.video answers 429.
   * @param tenantId null for an operator
   */
  of(sessionId: string, tenantId: string | null): Promise<RecordingView[]>;
}

export interface RecordingsDeps {
  videos: Pick<VideoStore, 'recordings'>;
  client: Pick<VideoClient, 'of'>;
}

export function createRecordings({ videos, client }: RecordingsDeps): Recordings {
  const view = async (api: TenantVideoClient, { video_id, playable, created_at }: RecordingRow) => {
    const answer = playable ? await api.watchUrl(video_id) : undefined;
    if (answer?.kind === 'rateLimited')
      throw new AppError('rate_limited', { retryAfterS: Math.ceil(answer.retryAfterMs / 1_000) });
    return { video_id, watch_url: answer?.kind === 'done' ? answer.value : null, created_at };
  };
  return {
    of: async (sessionId, tenantId) => {
      const api = client.of(tenantId ?? undefined);
      return Promise.all((await videos.recordings(sessionId)).map((row) => view(api, row)));
    },
  };
}
