import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';
import type { Speaker, TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { CallCredential, CallForm, ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';

/**
 * The border between a session's conversation and a voice provider. An adapter (openai/ is one) makes calls,
 * receives their events and speaks in them; the conversation decides when, and uses no name of a provider's
 * API.
 *
 * - The adapter owns everything specific to the provider: its HTTP routes, its events, how its model is made
 *   to begin, to continue after a failure and to say goodbye, and what browsers can tamper with.
 * - The conversation owns everything specific to the session: which call is current, when the interviewer may
 *   begin, what is stored, when a call is replaced, and how the session ends.
 * - An adapter needs neither WebRTC nor a network: offer and answer are texts that only the adapter and the
 *   browser understand.
 */
export interface Voice {
  /**
   * What is wrong with a browser's offer, as readable text; undefined when nothing is. Never contains any
   * part of the offer.
   */
  offerProblem(offer: string): string | undefined;
  /** Creates a call from a browser's offer. Retries temporary failures. */
  createCall(offer: VoiceOffer, signal?: AbortSignal): Promise<CreatedCall>;
  /** Listens to a call and speaks in it. Calls `hear` only after it has returned. */
  attend(call: AttendedCall, hear: (event: VoiceEvent) => void): VoiceCall;
  /** True when the call is over. Tries until the signal aborts. */
  hangUp(callId: string, credential: CallCredential, signal?: AbortSignal): Promise<boolean>;
}

/** Creates the voice of one session. */
export type VoiceFactory = (options: {
  realtime: ClaimResponse['realtime'];
  deadlines: Deadlines;
  log: Logger;
  /**
   * Everything that is said in a call goes through this. While it is unclear whether the session is still
   * ours, it waits.
   */
  say<T>(what: T, how: (what: T) => boolean): boolean;
  /**
   * Whether the interviewer may end the interview now. False while the candidate is away: the call may have
   * lost the candidate with the socket.
   */
  mayFinish(): boolean;
}) => Voice;

export interface VoiceOffer {
  offer: string;
  form: CallForm;
  session: Record<string, unknown>;
  /** Minted for this call; also used to observe it and to hang it up. */
  credential: CallCredential;
}

export type VoiceFailure = { kind: 'failed'; code: ErrorCode; reason: SessionReason; status: number };
export type CreatedCall = { kind: 'created'; callId: string; answer: string } | VoiceFailure;

export interface AttendedCall {
  ordinal: number;
  callId: string;
  credential: CallCredential;
  session: Record<string, unknown>;
  /** True for a call just created here, false for one taken over from another machine. */
  isNew: boolean;
}

export interface VoiceCall {
  /** `degraded` when the call could not be attached within `limitMs`; attaching continues then. */
  ready(limitMs: number): Promise<'ready' | 'degraded'>;
  /** Whether events of the call are received and can be sent. */
  readonly attached: boolean;
  readonly log: SpokenLog;
  /** Makes the interviewer begin. `recap`: what was said before, when this call continues an interview. */
  begin(recap?: string): void;
  /** The candidate was away and is back. */
  returned(): void;
  /**
   * Tells the interviewer something; with `answer` it replies. False when that is not possible at the moment.
   */
  tell(note: string, answer: boolean): boolean;
  /**
   * Inserts what the candidate typed and makes the interviewer reply. False when that is not possible at the
   * moment.
   */
  type(itemId: string, text: string): boolean;
  /** Says nothing more in this call; its events are still received. */
  silence(): void;
  /** The call is being hung up: says nothing more, and does not repair a loss. */
  expectEnd(): void;
  close(): void;
}

/** The transcript of one call, as the provider reports it. */
export interface SpokenLog {
  /** All final entries, in no particular order. */
  entries(): TranscriptEntry[];
  /** Whether this item's final text is known. */
  knows(itemId: string): boolean;
  /** Number of items whose text is still to come. Default: of both speakers. */
  awaited(speaker?: Speaker): number;
  /** Stops waiting for texts. @returns the entries that are final now. */
  settle(): TranscriptEntry[];
}

export type VoiceEvent =
  /** Events can be received and sent. `speakable`: for the first time, in a call created here. */
  | { type: 'attached'; speakable: boolean }
  /** Events can neither be received nor sent at the moment. */
  | { type: 'missing' }
  /** The provider says that the call does not exist. */
  | { type: 'gone' }
  /** Entries that are new or have changed. */
  | { type: 'said'; entries: TranscriptEntry[] }
  /** An entry that is still being spoken or transcribed. */
  | { type: 'saying'; entry: TranscriptEntry }
  /** What the candidate said in a turn could not be transcribed. */
  | { type: 'untranscribed' }
  /** The candidate has begun to speak. */
  | { type: 'candidate_heard' }
  /** The interviewer's turn was played to its end. */
  | { type: 'turn_over' }
  /** The interviewer has ended the interview and said goodbye. */
  | { type: 'finished' }
  /** The interviewer can no longer be made to speak. */
  | { type: 'failed'; reason: SessionReason }
  /** The browser did something in the call that neither we nor the provider asked for. */
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
