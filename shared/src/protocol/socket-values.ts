/**
 * The constants of the candidate's socket, without the schemas: what a browser bundles must not bring zod along.
 * `socket.ts` has the messages, and these as well.
 *
 * The browser offers the subprotocols `greenroom.v1` and `greenroom.token.<join or reconnect token>`, or gives the token
 * as `?token=`.
 */
export const subprotocol = 'greenroom.v1';
export const tokenSubprotocolPrefix = 'greenroom.token.';

/** The largest frame a client may send, bytes. An SDP offer is a few KiB; a resend of a transcript is the largest. */
export const maxFrameBytes = 262_144;
/** The largest SDP offer, characters. */
export const maxSdpLength = 65_536;
/** More messages than this in one second (after a burst of twice as many) close the socket with 4429. */
export const maxMessagesPerSecond = 50;
export const maxEntriesPerUpdate = 200;
/** The longest text of one entry of the transcript, characters. */
export const maxEntryText = 20_000;
/** The longest typed answer, characters. */
export const maxTypedAnswer = 4_000;

/** Why a socket was closed. A browser never sees an HTTP status on a failed upgrade, so every refusal is a close code. */
export const closeCodes = {
  /** The session has ended; do not come back. */
  normal: 1000,
  tooLarge: 1009,
  /** Token missing, expired, forged or of another session. Ask the platform for a new link. */
  token: 4401,
  /** No such session. */
  unknown: 4404,
  /** The session moved to another machine, or this one hands it over: connect again to the same URL. */
  moved: 4409,
  /** The session has ended; do not come back. */
  ended: 4410,
  /** The interview was opened in another tab or device; do not come back by yourself. */
  replaced: 4412,
  /** Too many messages or connections. */
  tooMany: 4429,
  /** Not ready in time, or the way to the machine failed: connect again after a moment. */
  notReady: 4503,
} as const;
export type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/** What a candidate may ask of the interviewer by a press. `moment` begins a pause, `go_on` ends it. */
export const candidateRequests = ['repeat', 'slower', 'moment', 'go_on'] as const;
export type CandidateRequest = (typeof candidateRequests)[number];

/** How well the call is carried, as the browser judges it. */
export const networkQualities = ['good', 'fair', 'poor', 'unknown'] as const;
export type NetworkQuality = (typeof networkQualities)[number];
