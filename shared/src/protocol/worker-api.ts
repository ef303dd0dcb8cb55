import * as z from 'zod';
import { deadlines, jwks, outcome, sessionReason, text, uuid } from './common.ts';

/**
 * The worker API, `/worker/v1`: what a worker and an orchestrator say to each other.
 * `claim` is authorised by the machine's OIDC token, everything else by the worker token that the claim returned.
 */

/** Asked of a worker: go on, or end with this ending. `fenced`: another machine serves the session; exit, hang up nothing. */
export const directive = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('continue') }),
  z.object({ kind: z.literal('end'), outcome, reason: sessionReason }),
  z.object({ kind: z.literal('fenced') }),
]);
export type Directive = z.output<typeof directive>;

export const claimRequest = z.strictObject({
  /** Made once per boot: the same nonce again gets the same answer, another is refused. */
  boot_nonce: text(128).regex(/^[\x21-\x7e]{16,128}$/, 'must be 16–128 printable ASCII characters'),
});

/** A realtime call that a replacement worker takes over. */
export const openCall = z.object({
  ordinal: z.number().int(),
  call_id: z.string().nullable(),
  /** The credential that created the call: the only one that can observe it and hang it up. */
  credential: z.string(),
  /** Its session as we made it: set again by whoever takes the call over. */
  session: z.record(z.string(), z.unknown()).optional(),
});

export const workerToken = z.object({
  /** JWT for Supabase (role session_worker) and for this API. */
  token: z.string(),
  /** Unix ms. A fresh one comes with a heartbeat before this. */
  expires_at: z.number(),
});

export const claimResponse = z.object({
  machine_id: uuid,
  session: z.object({
    id: uuid,
    tenant_id: uuid,
    epoch: z.number().int(),
    status: z.string(),
    max_duration_ms: z.number().int(),
    /** Unix ms of the first SDP answer, or null. */
    started_at: z.number().nullable(),
    simulated: z.boolean(),
    /** Origins from which a browser may connect; empty: any. */
    allowed_origins: z.array(z.string()),
  }),
  worker_token: workerToken,
  supabase: z.object({ url: z.string(), publishable_key: z.string() }),
  /** Checks join, reconnect and replay tokens. */
  join_keys: jwks,
  join_issuer: z.string(),
  /** Handed to the browser in `session_ready`. */
  reconnect_token: z.string(),
  /** Handed to the browser too: for uploading what could not be sent over the socket. */
  transcript_token: z.string().optional(),
  /** Where to upload it. */
  transcript_url: z.string().optional(),
  realtime: z.object({
    /** `https://api.openai.com/v1`: calls, hang-up and (as wss) the sideband live below it. */
    base_url: z.string(),
    webrtc_filter: z.boolean(),
  }),
  open_call: openCall.nullable(),
  /** The call to be opened next, after `open_call` when there is one: all before it have taken place. */
  next_ordinal: z.number().int().min(1).default(1),
  deadlines,
  directive,
});
export type ClaimResponse = z.output<typeof claimResponse>;

export const heartbeatRequest = z.strictObject({
  presence: z.enum(['absent', 'present', 'lost']),
  /** Entries not yet stored: an operator sees a worker that cannot write. */
  unsaved_entries: z.number().int().min(0).max(1_000_000),
  rss_bytes: z.number().int().min(0).optional(),
  /** Which recording the browser needs now: 1 is made unasked; a page that begins anew needs the next (at most 20). */
  video_ordinal: z.number().int().min(1).max(20).optional(),
});
export type HeartbeatRequest = z.output<typeof heartbeatRequest>;

/** Where the browser may upload the candidate's video. Always with `video_id`: an upload without it would be public. */
export const videoOffer = z.object({
  ordinal: z.number().int(),
  /** api.video's upload token. */
  token: z.string(),
  /** The private container; it takes one source only. */
  video_id: z.string(),
  /** Unix ms. */
  expires_at: z.number(),
});
export type VideoOffer = z.output<typeof videoOffer>;
export const heartbeatResponse = z.object({
  /** The lease now lasts this long, on the worker's own clock. */
  lease_ms: z.number().int(),
  directive,
  worker_token: workerToken.optional(),
  /** The session's newest open recording, in every answer while there is one: hand it on when it has changed. */
  video: videoOffer.optional(),
});

export const openCallRequest = z.strictObject({
  /** The ordinal the worker means to open; the next one after the last. A repeat gets a fresh credential for the same row. */
  ordinal: z.number().int().min(1).max(1_000),
});
export const openCallResponse = z.object({
  ordinal: z.number().int(),
  /** Ephemeral: starts calls until it expires, observes and hangs up the one it created. */
  credential: z.object({ value: z.string(), expires_at: z.number() }),
  /**
   * `raw`: the offer goes out as it is; the session came with the credential. `multipart`: offer and session together, with a
   * standing key (only where that was accepted).
   */
  form: z.enum(['raw', 'multipart']).default('raw'),
  /** Echoed by the worker in its own `session.update`, which proves the sideband. */
  session: z.record(z.string(), z.unknown()),
});
/** Beside the code `conflict`: the ordinal that the session's next call has. */
export const wrongOrdinal = z.object({ next_ordinal: z.number().int().min(1) });
export type OpenCallResponse = z.output<typeof openCallResponse>;
export type CallForm = OpenCallResponse['form'];

export const updateCallRequest = z.union([
  z.strictObject({ call_id: text(256).regex(/^[\x21-\x7e]{1,256}$/, 'must be 1–256 printable ASCII characters') }),
  z.strictObject({ hung_up: z.literal(true) }),
]);

export const finishRequest = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('ended'),
    outcome,
    reason: sessionReason,
    /** False when entries could not be stored before the teardown's limit. */
    transcript_complete: z.boolean(),
  }),
  /** The session goes on elsewhere (SIGTERM without an `end` directive). */
  z.strictObject({ kind: z.literal('draining') }),
]);
export type FinishRequest = z.output<typeof finishRequest>;
