import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import type { ActBy } from './audit-store.ts';
import { createBatcher } from './batch.ts';

/** Recordings: the queue of work at api.video and its results. Throws DatabaseError. */

export const videoFailures = [
  'auth_failed',
  'rate_limited',
  'unavailable',
  'rejected',
  'not_found',
  'never_playable',
  'internal_error',
] as const;
export type VideoFailure = (typeof videoFailures)[number];

const takenVideo = z.object({
  session_id: z.string(),
  tenant_id: z.string(),
  ordinal: z.number().int(),
  /** Fencing number. */
  take: z.number().int(),
  /** Attempts at the current step, 1 for the first. */
  attempt: z.number().int(),
  state: z.enum(['wanted', 'closing', 'processing']),
  video_id: z.string().nullable(),
  token_ciphertext: z.string().nullable(),
  /** The token has expired by itself. */
  token_over: z.boolean(),
  /** The session's recordings were erased: whatever exists at api.video must be deleted. */
  erased: z.boolean(),
  /** The candidate's browser said that it began to record. */
  started: z.boolean(),
  max_duration_ms: z.number().int(),
  traceparent: z.string().nullable(),
});
export type TakenVideo = z.output<typeof takenVideo>;

export type VideoOf = Pick<TakenVideo, 'session_id' | 'ordinal' | 'take'>;

const offerRow = z.object({
  session_id: z.string(),
  /** Whether the session is recorded. Never changes. */
  records: z.boolean(),
  offer: z
    .object({
      ordinal: z.number().int(),
      video_id: z.string(),
      token_ciphertext: z.string(),
      expires_at_ms: z.number(),
    })
    .nullable(),
});
export type OfferRow = z.output<typeof offerRow>;

const deletionRow = z.object({
  video_id: z.string(),
  tenant_id: z.string(),
  attempts: z.number().int(),
  last_error: z.string().nullable(),
});
export type OwedDeletion = z.output<typeof deletionRow>;

const recordingRow = z.object({
  video_id: z.string(),
  playable: z.boolean(),
  created_at: z.string(),
  started_at: z.string().nullable(),
  calls: z.array(z.object({ ordinal: z.number().int(), begins_ms: z.number().int() })),
});
export type RecordingRow = z.output<typeof recordingRow>;

export interface VideosWanted {
  takenMs: number;
  /** Time after the session's end at which a token is deleted, ms. */
  graceMs: number;
  limit: number;
  /** Maximum number of running steps per tenant in this process. */
  perTenant: number;
  /** Number of running steps by tenant. */
  underWay: Record<string, number>;
}

export interface SharedLimit {
  scope: string;
  perMinute: number;
  burst: number;
}

export type VideoStore = ReturnType<typeof createVideoStore>;

export function createVideoStore(database: Database) {
  const call = callerOf(database);
  const rowOf = ({ session_id, ordinal }: Omit<VideoOf, 'take'>) => ({ p_session_id: session_id, p_ordinal: ordinal });
  const keyOf = (of: VideoOf) => ({ ...rowOf(of), p_take: of.take });

  const offer = createBatcher<string, OfferRow | undefined>({
    run: async (ids) => {
      const rows = await call('video_offers', { p_session_ids: [...new Set(ids)] }, z.array(offerRow));
      return ids.map((id) => rows.find((row) => row.session_id === id));
    },
    maxBatch: 500,
  });

  return {
    /** Takes due recordings for one attempt each, in turn by tenant. */
    take: ({ takenMs, graceMs, limit, perTenant, underWay }: VideosWanted): Promise<TakenVideo[]> =>
      call(
        'take_video_jobs',
        {
          ...{ p_taken_ms: takenMs, p_grace_ms: graceMs, p_limit: limit },
          ...{ p_per_tenant: perTenant, p_under_way: underWay },
        },
        z.array(takenVideo),
      ),
    /** Returns the container that counts and the state of the recording; nulls if the recording is gone. */
    recordContainer: (of: VideoOf, videoId: string) =>
      call(
        'record_video_container',
        { ...rowOf(of), p_video_id: videoId },
        z.object({ video_id: z.string().nullable(), state: z.string().nullable() }),
      ),
    /** False: the token is no longer wanted. */
    recordToken: (of: VideoOf, ciphertext: string, lifeMs: number): Promise<boolean> =>
      call('record_video_token', { ...rowOf(of), p_ciphertext: ciphertext, p_life_ms: lifeMs }, z.boolean()),
    /** @param found the container found at api.video; deleted, like the stored one, if nothing was uploaded. */
    recordClosed: (of: VideoOf, uploaded: boolean, found?: string): Promise<boolean> =>
      call('record_video_closed', { ...keyOf(of), p_uploaded: uploaded, p_video_id: found }, z.boolean()),
    recordDone: (of: VideoOf, url: string | null): Promise<boolean> =>
      call('record_video_done', { ...keyOf(of), p_url: url }, z.boolean()),
    /** @param retryMs null: no further try. @param failure null: no failure, the step is only not finished yet. */
    postpone: (of: VideoOf, retryMs: number | null, failure: VideoFailure | null): Promise<boolean> =>
      call('postpone_video', { ...keyOf(of), p_retry_ms: retryMs, p_failure: failure }, z.boolean()),
    /** The newest open recording of a session; batched. */
    offer,
    /** Oldest first. */
    recordings: (sessionId: string): Promise<RecordingRow[]> =>
      call('recordings_of', { p_session_id: sessionId }, z.array(recordingRow)),
    /** `deleted` also when it was deleted before. @param tenantId null for an operator */
    deleteRecording: (sessionId: string, tenantId: string | null, videoId: string, by: ActBy) =>
      call(
        'delete_recording',
        { p_session_id: sessionId, p_tenant_id: tenantId, p_video_id: videoId, p_by: by },
        z.enum(['deleted', 'not_found', 'no_session']),
      ),
    /** Requests another container for a reloaded page. False if it cannot have one. */
    want: (sessionId: string, ordinal: number): Promise<boolean> =>
      call('want_video', { p_session_id: sessionId, p_ordinal: ordinal }, z.boolean()),
    recordEvent: (bodyHash: string, videoId: string, type: string) =>
      call(
        'record_video_event',
        { p_body_hash: bodyHash, p_video_id: videoId, p_type: type },
        z.enum(['recorded', 'repeated', 'unknown']),
      ),
    /** Takes recordings to delete for one try. */
    takeDeletions: (limit: number) => call('videos_to_delete', { p_limit: limit }, z.array(deletionRow)),
    recordDeleted: (videoId: string, error: string | null) =>
      call('record_video_deleted', { p_video_id: videoId, p_error: error }, z.undefined()),
    /** Draws one request from all of these limits or from none. Returns the wait, ms; 0: send now. */
    drawLimits: async (shared: SharedLimit[]): Promise<number> => {
      const limits = shared.map(({ scope, perMinute, burst }) => ({ scope, per_minute: perMinute, burst }));
      return call('draw_rate_limits', { p_limits: limits }, z.number());
    },
  };
}
