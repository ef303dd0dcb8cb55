import * as z from 'zod';
import { errorCodeNames } from '../errors/codes.ts';
import { outcome, plainText, sessionReason, text, uuid } from './common.ts';
import {
  candidateRequests,
  maxEntriesPerUpdate,
  maxSdpLength,
  maxTypedAnswer,
  networkQualities,
} from './socket-values.ts';
import { itemId, transcriptEntry, transcriptEntryInput } from './transcript.ts';

/**
 * The candidate's socket: JSON text frames, one message each, in both directions. An unknown or invalid message is answered
 * with `error` and the socket lives. The constants are in `socket-values.ts`.
 */
export * from './socket-values.ts';

const version = z.literal(1).optional();

export const clientMessage = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('init_session'),
    v: version,
    session_id: uuid.optional(),
    /** The first of this page: it has neither a call nor a recording yet. A reconnect leaves it out. */
    fresh: z.boolean().optional(),
  }),
  z.strictObject({
    type: z.literal('sdp_offer'),
    v: version,
    sdp: text(maxSdpLength),
    /** The ordinal asked for by `call_required`; absent for the first call. */
    ordinal: z.number().int().min(1).max(1_000).optional(),
  }),
  z.strictObject({
    type: z.literal('call_connected'),
    v: version,
    /** The call whose audio and data channel are up: the interviewer may begin, the candidate hears it. */
    ordinal: z.number().int().min(1).max(1_000),
  }),
  z.strictObject({
    type: z.literal('voice_blocked'),
    v: version,
    /**
     * The browser will not play this call's audio until the candidate clicks. The interviewer waits until `call_connected`
     * says that the audio plays. A client that cannot tell leaves this message out.
     */
    ordinal: z.number().int().min(1).max(1_000),
  }),
  z.strictObject({
    type: z.literal('transcript_update'),
    v: version,
    entries: z.array(transcriptEntryInput).min(1).max(maxEntriesPerUpdate),
  }),
  z.strictObject({ type: z.literal('candidate_request'), v: version, what: z.enum(candidateRequests) }),
  z.strictObject({
    type: z.literal('typed_answer'),
    v: version,
    /** Made by the browser, so that an answer sent again after a reconnection is asked only once. The entry's item id is `typed_<id>`. */
    id: text(24).regex(/^[\w-]{8,24}$/, 'must be 8–24 characters of base64url'),
    text: plainText(maxTypedAnswer).min(1),
  }),
  z.strictObject({
    type: z.literal('client_stats'),
    v: version,
    quality: z.enum(networkQualities),
    /** Round trip to the voice provider, ms. */
    rtt_ms: z.number().min(0).max(600_000).nullable(),
    /** Of the interviewer's audio, since the last of these messages. */
    loss_percent: z.number().min(0).max(100).nullable(),
    jitter_ms: z.number().min(0).max(600_000).nullable(),
    /** True when the audio goes through a TURN relay. */
    relayed: z.boolean().nullable(),
    /** The problem the candidate is shown, by its code. */
    problem: text(64)
      .regex(/^[a-z_]+$/)
      .nullable(),
  }),
  z.strictObject({
    type: z.literal('end_session'),
    v: version,
    /** Answered with `recording_url_refused`, and not kept; the session ends all the same. */
    recording_url: text(2_048)
      .check(z.url({ protocol: /^https$/ }))
      .optional(),
    final_transcript: z.array(transcriptEntryInput).max(maxEntriesPerUpdate).optional(),
  }),
  z.strictObject({ type: z.literal('ping'), v: version, id: text(64).optional() }),
]);
export type ClientMessage = z.output<typeof clientMessage>;
export const clientMessageTypes = [
  'init_session',
  'sdp_offer',
  'call_connected',
  'voice_blocked',
  'transcript_update',
  'candidate_request',
  'typed_answer',
  'client_stats',
  'end_session',
  'ping',
] as const;

export const serverMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('session_ready'),
    v: z.literal(1),
    session_id: uuid,
    epoch: z.number().int(),
    /** Use it instead of the join token from now on; it lives as long as the session. */
    reconnect_token: z.string(),
    /**
     * `transcript:append`: uploads entries that could not be sent over this socket to the Edge Function
     * interview-transcript, until a day after the session's end.
     */
    transcript_token: z.string().optional(),
    /** Where to upload them: `POST {entries}` with the token as bearer. */
    transcript_url: z.string().optional(),
    /** Item ids of this session that are stored: need not be sent again. */
    acked: z.array(itemId),
    /** The call that is under way, or the one to be offered next. */
    ordinal: z.number().int(),
    /**
     * True when a call is under way or being opened: keep its peer connection and do not send an offer. A page that has
     * none for this ordinal (it was reloaded) offers `ordinal` + 1: the call under way is then hung up.
     */
    call_active: z.boolean(),
    /** True when the local voice provider speaks instead of a real one. */
    simulated: z.boolean(),
    /** Unix ms when the interview must be over, once it has started. */
    ends_at: z.number().nullable(),
  }),
  z.object({ type: z.literal('sdp_answer'), sdp: z.string(), ordinal: z.number().int() }),
  z.object({
    type: z.literal('call_required'),
    ordinal: z.number().int(),
    reason: z.enum(['call_lost', 'rollover', 'sideband_lost']),
    /** Unix ms by which the offer must have come. */
    deadline: z.number(),
  }),
  z.object({ type: z.literal('video_token'), token: z.string(), video_id: z.string(), expires_at: z.string() }),
  z.object({ type: z.literal('transcript_entry'), entry: transcriptEntry, final: z.boolean() }),
  z.object({ type: z.literal('transcript_ack'), item_ids: z.array(itemId) }),
  z.object({ type: z.literal('session_warning'), code: z.enum(['time_limit']), ends_at: z.number() }),
  z.object({ type: z.literal('moved') }),
  z.object({ type: z.literal('session_ended'), outcome, reason: sessionReason }),
  z.object({
    type: z.literal('error'),
    code: z.enum(errorCodeNames),
    message: z.string(),
    retryable: z.boolean(),
    fields: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  }),
  z.object({ type: z.literal('pong'), id: z.string().optional() }),
]);
export type ServerMessage = z.output<typeof serverMessage>;
