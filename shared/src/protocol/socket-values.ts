/**
 * The constants of the candidate's socket without the schemas, so that a browser bundle does not contain zod.
 * `socket.ts` has the messages and exports these constants too.
 *
 * The browser offers the subprotocols `greenroom.v1` and `greenroom.token.<join or reconnect token>`, or
 * sends the token as `?token=`.
 */
export const subprotocol = 'greenroom.v1';
export const tokenSubprotocolPrefix = 'greenroom.token.';

/**
 * Largest frame that a client may send, bytes. An SDP offer has a few KiB; the largest frame resends a
 * transcript.
 */
export const maxFrameBytes = 262_144;
/** Largest SDP offer, characters. */
export const maxSdpLength = 65_536;
/** More messages than this per second (after a burst of twice as many) close the socket with 4429. */
export const maxMessagesPerSecond = 50;
export const maxEntriesPerUpdate = 200;
/** Longest text of one transcript entry, characters. */
export const maxEntryText = 20_000;
/** Longest correction of an entry by its candidate, characters. */
export const maxCorrection = 2_000;
/** Longest typed answer, characters. */
export const maxTypedAnswer = 4_000;

/**
 * Close codes. A browser never sees the HTTP status of a failed upgrade, so every refusal is a close code.
 */
export const closeCodes = {
  /** The session has ended; do not reconnect. */
  normal: 1000,
  tooLarge: 1009,
  /** The token is missing, expired, forged or for another session. Ask the platform for a new link. */
  token: 4401,
  /** No such session. */
  unknown: 4404,
  /** The session has moved to another machine, or is about to: connect again to the same URL. */
  moved: 4409,
  /** The session has ended; do not reconnect. */
  ended: 4410,
  /** The interview was opened in another tab or device; do not reconnect automatically. */
  replaced: 4412,
  /** Too many messages or connections. */
  tooMany: 4429,
  /** The machine was not ready in time or could not be reached: connect again after a short wait. */
  notReady: 4503,
} as const;
export type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/**
 * What the candidate can request from the interviewer with a button. `moment` begins a pause, `go_on` ends
 * it.
 */
export const candidateRequests = ['repeat', 'slower', 'moment', 'go_on'] as const;
export type CandidateRequest = (typeof candidateRequests)[number];

/** Quality of the connection, as judged by the browser. */
export const networkQualities = ['good', 'fair', 'poor', 'unknown'] as const;
export type NetworkQuality = (typeof networkQualities)[number];

/** A candidate's problems as the browser reports them: the list in client/src/problems.ts, which a test compares. */
export const problemCodes = [
  'unsupported',
  'link_incomplete',
  'link_dead',
  'used_elsewhere',
  'session_over',
  'consent_required',
  'too_early',
  'microphone_denied',
  'microphone_missing',
  'microphone_busy',
  'audio_blocked',
  'call_blocked',
  'voice_missing',
  'not_heard',
  'call_failed',
  'microphone_lost',
  'microphone_muted',
  'service_unavailable',
  'socket_lost',
  'network_weak',
  'storage_blocked',
] as const;

/** Why the browser must open a further call: the call or its sideband is gone, or it is old. */
export const callReasons = ['call_lost', 'rollover', 'sideband_lost'] as const;
