import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import type { Speaker, TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { CallForm, ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';

/**
 * The border between a session's conversation and a voice provider. An adapter (openai/ is one) makes calls, listens to them
 * and speaks in them; the conversation decides when, and knows no provider's words.
 *
 * - The adapter owns everything that is the provider's: its HTTP routes, its events, how its model is made to begin, to go on
 *   after a failure and to say goodbye, and what its browser peers can tamper with.
 * - The conversation owns what is the session's: which call is the current one, when the interviewer may begin, what is stored,
 *   when a call is replaced, and how the session ends.
 * - An adapter needs neither WebRTC nor a network: an offer and an answer are texts that only it and the browser understand.
 */
export interface Voice {
  /** What is wrong with a browser's offer, for people; undefined when nothing is. Never repeats any of it. */
  offerProblem(offer: string): string | undefined;
  /** Makes a call from a browser's offer. Tries again what may pass. */
  createCall(offer: VoiceOffer, signal?: AbortSignal): Promise<CreatedCall>;
  /** Listens to a call and speaks in it. Never calls `hear` before it has returned. */
  attend(call: AttendedCall, hear: (event: VoiceEvent) => void): VoiceCall;
  /** True when the call is over. Tries until the signal aborts. */
  hangUp(callId: string, credential: string, signal?: AbortSignal): Promise<boolean>;
}

/** Makes the voice of one session. */
export type VoiceFactory = (options: {
  realtime: ClaimResponse['realtime'];
  deadlines: Deadlines;
  log: Logger;
  /** Everything that is said in a call goes through this: it waits, or is dropped, while the session may not be ours. */
  say<T>(what: T, how: (what: T) => boolean): boolean;
}) => Voice;

export interface VoiceOffer {
  offer: string;
  form: CallForm;
  session: Record<string, unknown>;
  /** Made for this call; also observes it and hangs it up. */
  credential: string;
}

export type VoiceFailure = { kind: 'failed'; code: ErrorCode; reason: SessionReason; status: number };
export type CreatedCall = { kind: 'created'; callId: string; answer: string } | VoiceFailure;

export interface AttendedCall {
  ordinal: number;
  callId: string;
  credential: string;
  session: Record<string, unknown>;
  /** True for a call just made here, false for one taken over from another machine. */
  isNew: boolean;
}

export interface VoiceCall {
  /** `degraded` when nothing could be heard or said within `limitMs`; it is tried on then. */
  ready(limitMs: number): Promise<'ready' | 'degraded'>;
  /** Whether the call can be heard and spoken in just now. */
  readonly attached: boolean;
  readonly log: SpokenLog;
  /** The interviewer begins. `recap`: what was said before, when this call continues an interview. */
  begin(recap?: string): void;
  /** Tells the interviewer something; `answer`: and has it speak. False when that is not possible just now. */
  tell(note: string, answer: boolean): boolean;
  /** Puts in what the candidate typed, and has the interviewer answer. False when that is not possible just now. */
  type(itemId: string, text: string): boolean;
  /** From now on nothing is said in this call; it is still listened to. */
  silence(): void;
  /** The call is being hung up: silence, and a loss is not repaired. */
  expectEnd(): void;
  close(): void;
}

/** What was said in one call, as the provider reports it. */
export interface SpokenLog {
  /** All final entries, in no particular order. */
  entries(): TranscriptEntry[];
  /** Whether this item's final text is known. */
  knows(itemId: string): boolean;
  /** Items of a speaker (default: of both) whose text is still to come. */
  awaited(speaker?: Speaker): number;
  /** Gives up waiting. @returns what is final now. */
  settle(): TranscriptEntry[];
}

export type VoiceEvent =
  /** The call can be heard and spoken in. `speakable`: for the first time, in a call made here. */
  | { type: 'attached'; speakable: boolean }
  /** It cannot, just now. */
  | { type: 'missing' }
  /** The provider says that there is no such call. */
  | { type: 'gone' }
  /** Entries that are new or have changed. */
  | { type: 'said'; entries: TranscriptEntry[] }
  /** An entry still being spoken or transcribed. */
  | { type: 'saying'; entry: TranscriptEntry }
  /** The candidate has begun to speak. */
  | { type: 'candidate_heard' }
  /** The interviewer has been heard to the end of its turn. */
  | { type: 'turn_over' }
  /** The interviewer has ended the interview and said goodbye. */
  | { type: 'finished' }
  /** The interviewer cannot be made to speak any more. */
  | { type: 'failed'; reason: SessionReason }
  /** Something in the call came from the browser, not from us or the provider. */
  | { type: 'foreign'; kind: IntegrityKind };

export type IntegrityKind =
  | 'foreign_item'
  | 'foreign_item_delete'
  | 'foreign_session_update'
  | 'foreign_response_create'
  | 'foreign_cancel'
  | 'foreign_truncate'
  | 'foreign_output_clear'
  | 'foreign_audio_clear';
