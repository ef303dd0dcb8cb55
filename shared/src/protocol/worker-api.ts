import * as z from 'zod';
import { deadlines, iceServer, jwks, outcome, sessionReason, text, uuid } from './common.ts';
import { type CloseCode, callReasons, closeCodes, networkQualities, problemCodes } from './socket-values.ts';

/**
 * The worker API, `/worker/v1`, between a worker and an orchestrator. `claim` is authorised by the machine's
 * OIDC token, everything else by the worker token that the claim returned.
 */

/**
 * What the worker must do: continue, or end with this ending. `fenced`: another machine serves the session;
 * exit without hanging up.
 */
export const directive = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('continue') }),
  z.object({ kind: z.literal('end'), outcome, reason: sessionReason }),
  z.object({ kind: z.literal('fenced') }),
]);
export type Directive = z.output<typeof directive>;

/** Milliseconds; at most ten years. */
const ageMs = z.number().min(0).max(315_360_000_000);

export const claimRequest = z.strictObject({
  /** Generated once per boot. The same nonce gets the same answer again; another one is refused. */
  boot_nonce: text(128).regex(/^[\x21-\x7e]{16,128}$/, 'must be 16–128 printable ASCII characters'),
  /** For how long the VM has run, and the worker's process in it, ms. */
  vm_ms: ageMs.optional(),
  process_ms: ageMs.optional(),
  /** Of a hot worker: answer when there is a session, or after `hold_ms`. Default: answer at once. */
  hold: z.boolean().optional(),
});

/** Answered with 202 to a hot worker: its machine has no session yet. It claims again, with `hold`. */
export const claimPending = z.object({
  /** How long the next claim may be held, ms. */
  hold_ms: z.number().int().positive(),
});
export type ClaimPending = z.output<typeof claimPending>;

/** What a call is made, observed and hung up with. */
export const callCredential = z.object({
  value: z.string(),
  /** Where it is valid: base of the routes for calls, hang-up and (as wss) the sideband, `https://api.openai.com/v1`. */
  base_url: z.string(),
});
export type CallCredential = z.output<typeof callCredential>;

/** A realtime call that a replacement worker takes over. */
export const openCall = z.object({
  ordinal: z.number().int(),
  call_id: z.string().nullable(),
  /** The credential that created the call. */
  credential: callCredential,
  /** The session configuration as we made it; the worker that takes the call over sets it again. */
  session: z.record(z.string(), z.unknown()).optional(),
});

export const workerToken = z.object({
  /** JWT for Supabase (role session_worker) and for this API. */
  token: z.string(),
  /** Unix ms. A heartbeat returns a new token before this. */
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
  /** The orchestrator's time, Unix ms: tokens are checked by it, because the clock of a VM may jump. */
  now: z.number().optional(),
  supabase: z.object({ url: z.string(), publishable_key: z.string() }),
  /** Keys to verify join, reconnect and replay tokens. */
  join_keys: jwks,
  join_issuer: z.string(),
  /** Passed to the browser in `session_ready`. */
  reconnect_token: z.string(),
  /** Passed to the browser: uploads entries that could not be sent over the socket. */
  transcript_token: z.string().optional(),
  /** Where to upload them. */
  transcript_url: z.string().optional(),
  /** Passed to the browser: relays for networks that let no UDP through. */
  ice_servers: z.array(iceServer).optional(),
  realtime: z.object({
    /** Who speaks: a voice provider, or (`scripted`) the synthetic interviewer of a test session. */
    adapter: z.enum(['openai', 'scripted']).default('openai'),
    /** Whether to use Azure's filter for what the browser may send over its data channel. */
    webrtc_filter: z.boolean(),
  }),
  open_call: openCall.nullable(),
  /**
   * Ordinal of the next call to open, after `open_call` if there is one. All earlier ones have taken place.
   */
  next_ordinal: z.number().int().min(1).default(1),
  deadlines,
  directive,
  /** The trace in which the session runs. */
  trace: z
    .object({
      /** W3C trace context. */
      traceparent: z.string(),
      /** Whether the worker's spans are wanted (`POST traces`). */
      wanted: z.boolean(),
    })
    .optional(),
});
export type ClaimResponse = z.output<typeof claimResponse>;

/** Close codes that a worker counts by themselves: ours, and those of a browser, a network or a server that goes away. */
export const countedCloseCodes = [
  ...(Object.values(closeCodes).map(String) as `${CloseCode}`[]),
  ...(['1001', '1005', '1006', '1011', 'other'] as const),
] as const;
/** What the browser gets when no call can be opened. Other codes are counted as `other`. */
export const callFailureCodes = [
  'provider_auth_failed',
  'provider_rate_limited',
  'provider_unavailable',
  'internal_error',
  'other',
] as const;

/**
 * What a worker counted since it claimed its session, for the metrics. It reports the counts of its whole life each time, so a
 * report that is lost or arrives twice changes nothing.
 */
const counted = z.number().int().min(0).max(100_000_000);
export const workerCounts = z.strictObject({
  /** Times the candidate's browser connected. */
  sockets: z.number().int().min(0).max(1_000_000),
  /** Messages of the candidate's browser. */
  messages: z.number().int().min(0).max(100_000_000),
  /** Transcript entries that Postgres has committed. */
  entries_acknowledged: z.number().int().min(0).max(1_000_000),
  /** Transcript entries that Postgres refused. */
  entries_refused: z.number().int().min(0).max(1_000_000),
  /** Turns of the candidate that the voice provider could not transcribe. */
  transcriptions_failed: z.number().int().min(0).max(1_000_000).default(0),
  /** How long the candidate's closed sockets were open, ms. */
  candidate_socket_ms: counted.optional(),
  /** From when the stored entries reached the worker until Postgres had committed them, added up, ms. */
  transcript_storing_ms: counted.optional(),
  /** Closed sockets of the candidate, by close code; codes that are not ours or of the protocol are `other`. */
  candidate_socket_closes: z.partialRecord(z.enum(countedCloseCodes), counted).optional(),
  /** Reports of the candidate's browser about its connection, by quality. */
  candidate_network_reports: z.partialRecord(z.enum(networkQualities), counted).optional(),
  /** Reports in which the candidate's page showed a problem, by its code. */
  candidate_problems: z.partialRecord(z.enum([...problemCodes, 'other']), counted).optional(),
  /** Stored transcript entries, by speaker. */
  transcript_entries: z.partialRecord(z.enum(['ai', 'candidate']), counted).optional(),
  /** Calls that the browser had to open after the first one, by reason. */
  call_replacements: z.partialRecord(z.enum(callReasons), counted).optional(),
  /** Calls that could not be opened, by the code that the browser got. */
  call_failures: z.partialRecord(z.enum(callFailureCodes), counted).optional(),
});
export type WorkerCounts = z.output<typeof workerCounts>;

/**
 * When the steps of the session's first call took place: for each step, how many ms ago it was. A worker repeats a step until an
 * answer shows that it was stored; the first report of a step counts.
 */
export const workerPhases = z.strictObject({
  /** How long the edge held the socket, ms. */
  edge_wait: z.number().int().min(0).max(3_600_000).optional(),
  /** The candidate's first socket arrived. */
  socket: ageMs.optional(),
  /** The browser sent its first SDP offer. */
  offered: ageMs.optional(),
  /** The worker had a credential for the call. */
  credential: ageMs.optional(),
  /** The offer was answered. */
  answered: ageMs.optional(),
  /** The browser reported that the call is connected. */
  connected: ageMs.optional(),
  /** The interviewer's first words arrived. */
  spoke: ageMs.optional(),
});
export type WorkerPhases = z.output<typeof workerPhases>;

export const heartbeatRequest = z.strictObject({
  presence: z.enum(['absent', 'present', 'lost']),
  /** Number of entries that are not stored yet. Operators see from it that a worker cannot write. */
  unsaved_entries: z.number().int().min(0).max(1_000_000),
  rss_bytes: z.number().int().min(0).optional(),
  counts: workerCounts.optional(),
  phases: workerPhases.optional(),
  /**
   * Which recording the browser needs. The first is made without asking; a new page needs the next one (at
   * most 20).
   */
  video_ordinal: z.number().int().min(1).max(20).optional(),
});
export type HeartbeatRequest = z.output<typeof heartbeatRequest>;

/**
 * Where the browser may upload the candidate's video. Always with `video_id`: an upload without it would be
 * public.
 */
export const videoOffer = z.object({
  ordinal: z.number().int(),
  /** api.video's upload token. */
  token: z.string(),
  /** The private container; it accepts one source only. */
  video_id: z.string(),
  /** Unix ms. */
  expires_at: z.number(),
  /** Base URL of api.video or its sandbox. */
  upload_url: z.string().optional(),
});
export type VideoOffer = z.output<typeof videoOffer>;
export const heartbeatResponse = z.object({
  /** Duration of the lease from now, on the worker's own clock. */
  lease_ms: z.number().int(),
  directive,
  /** The orchestrator's time, Unix ms. */
  now: z.number().optional(),
  worker_token: workerToken.optional(),
  /**
   * The session's newest open recording, in every answer while there is one. Pass it to the browser when it
   * has changed.
   */
  video: videoOffer.optional(),
});

export const openCallRequest = z.strictObject({
  /**
   * The ordinal to open: the one after the last. A repeated request gets a new credential for the same row.
   */
  ordinal: z.number().int().min(1).max(1_000),
});
export const openCallResponse = z.object({
  ordinal: z.number().int(),
  /** Ephemeral: starts calls until it expires; observes and hangs up the call it created. */
  credential: callCredential.extend({ expires_at: z.number() }),
  /**
   * `raw`: the offer is sent as it is, and the session belongs to the credential. `multipart`: offer and
   * session together, with a standing key (only where the operator allows that).
   */
  form: z.enum(['raw', 'multipart']).default('raw'),
  /** The worker sends it in its own `session.update`; the answer shows that the sideband works. */
  session: z.record(z.string(), z.unknown()),
  /** How long the session may last now: a change of browsers is not at the candidate's expense. */
  max_duration_ms: z.number().int().optional(),
});
/** Sent with the code `conflict`: the ordinal of the session's next call. */
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
    /** False when entries could not be stored within the teardown's limit. */
    transcript_complete: z.boolean(),
    counts: workerCounts.optional(),
    phases: workerPhases.optional(),
  }),
  /** The session continues on another machine (SIGTERM without an `end` directive). */
  z.strictObject({
    kind: z.literal('draining'),
    counts: workerCounts.optional(),
    phases: workerPhases.optional(),
  }),
]);
export type FinishRequest = z.output<typeof finishRequest>;
