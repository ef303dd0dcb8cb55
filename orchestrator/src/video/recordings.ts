import type { RecordingView } from '@greenroom/shared/protocol/platform-api.ts';
import type { RecordingRow, VideoStore } from '../database/video-store.ts';
import type { createVideoClient } from './client.ts';

/**
 * What can be watched of a session.
 *
 * R1  Recordings are private: their player opens with a token only, which works once. So none is stored; each is asked for
 *     when somebody wants to watch.
 */
export interface Recordings {
  of(sessionId: string): Promise<RecordingView[]>;
}

export interface RecordingsDeps {
  videos: Pick<VideoStore, 'recordings'>;
  client: Pick<ReturnType<typeof createVideoClient>, 'watchUrl'>;
}

export function createRecordings({ videos, client }: RecordingsDeps): Recordings {
  const view = async ({ video_id, playable, created_at }: RecordingRow): Promise<RecordingView> => {
    const answer = playable ? await client.watchUrl(video_id) : undefined;
    return { video_id, watch_url: answer?.kind === 'done' ? answer.value : null, created_at };
  };
  return { of: async (sessionId) => Promise.all((await videos.recordings(sessionId)).map(view)) };
}
