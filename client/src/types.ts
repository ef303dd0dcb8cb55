import type { ProblemCode } from './problems.ts';

/**
 * The public types of the package. They use no type of another package, so that users need none;
 * `types.test.ts` checks that they equal the types of the protocol.
 */

/** What a candidate can request with a button. `moment` begins a pause, `go_on` ends it. */
export type CandidateRequest = 'repeat' | 'slower' | 'moment' | 'go_on';

export type NetworkQuality = 'good' | 'fair' | 'poor' | 'unknown';

/** An entry of the transcript. `ai` is the interviewer. Times are milliseconds since the start of the call's audio. */
export interface SpokenEntry {
  readonly ordinal: number;
  readonly item_id: string;
  readonly previous_item_id: string | null;
  readonly speaker: 'ai' | 'candidate';
  readonly text: string;
  readonly confidence: number | null;
  readonly start_ms: number | null;
  readonly end_ms: number | null;
  /** True if the candidate interrupted it and did not hear its end. */
  readonly interrupted: boolean;
  /** False if it is known only from the browser. */
  readonly verified: boolean;
}

/** Whose turn it is, from the events of the voice provider. `hearing`: the candidate is speaking. */
export type Turn = 'listening' | 'hearing' | 'thinking' | 'speaking' | 'paused';

/** The status of the interview. All times are Unix milliseconds of this device. */
export type Status =
  | { readonly name: 'idle' }
  | { readonly name: 'joining'; readonly since: number }
  | { readonly name: 'waiting'; readonly for: 'start_time' | 'machine' | 'service'; readonly since: number }
  | { readonly name: 'connecting'; readonly step: 'socket' | 'offer' | 'audio'; readonly since: number }
  | { readonly name: 'live'; readonly turn: Turn; readonly since: number }
  /** No audio is transmitted. If only the socket is lost, the status stays `live` and `saving` is `behind`. */
  | { readonly name: 'reconnecting'; readonly lost: 'audio' | 'both'; readonly since: number }
  | { readonly name: 'ending'; readonly since: number }
  | ({ readonly name: 'ended'; readonly at: number } & Ended);

export interface Ended {
  readonly outcome: string;
  readonly reason: string;
}

export interface Saving {
  /** `behind`: the socket is lost, and entries are kept on this device. */
  readonly state: 'saved' | 'saving' | 'behind';
  /** Everything said until this time is stored. Null before the first acknowledgement. */
  readonly savedUpTo: number | null;
  /** Number of entries that are not acknowledged yet. */
  readonly pending: number;
}

export interface Device {
  readonly kind: 'microphone' | 'speaker';
  readonly id: string;
  readonly label: string;
}

export interface Devices {
  readonly microphone: Device | null;
  /** Null: the system's default. */
  readonly speaker: Device | null;
  readonly all: readonly Device[];
  readonly muted: boolean;
}

export interface Network {
  readonly quality: NetworkQuality;
  readonly rttMs: number | null;
  readonly lossPercent: number | null;
  readonly relayed: boolean | null;
}

export interface TranscriptLine extends SpokenEntry {
  /** False while it is still being spoken. */
  readonly final: boolean;
  /** What the candidate says they really said. */
  readonly correction?: string | null;
}

/** A TURN or STUN server. */
export interface IceServer {
  urls: string | string[];
  username?: string | undefined;
  credential?: string | undefined;
}

/** What follows when the candidate withdraws consent. `review`: the organiser decides. */
export type WithdrawalEffect = 'erase_interview' | 'erase_candidate' | 'review';

/** The interview that a link invites to. Times are Unix milliseconds. */
export interface Invitation {
  /** The session's status, as in the API. */
  readonly status: string;
  /** The start time, or null if the interview can start at once. */
  readonly startsAt: number | null;
  readonly joinable: boolean;
  readonly organiser: string;
  readonly position: string;
  readonly candidate: string;
  /** The maximum duration in minutes. */
  readonly minutes: number;
  readonly recordsVideo: boolean;
  readonly simulated: boolean;
  /** The text that the candidate must agree to. `text` is null if it is kept elsewhere. Null: no consent is needed. */
  readonly consent: {
    readonly textVersion: string;
    readonly text: string | null;
    readonly isGiven: boolean;
    readonly isWithdrawn: boolean;
    readonly onWithdrawal: WithdrawalEffect;
  } | null;
  /** How the interview ended; null if it has not. */
  readonly ending: Ended | null;
  /** What was agreed for this candidate. The extra time is part of `minutes`. */
  readonly adjustments: { readonly extraMinutes: number; readonly slower: boolean; readonly typing: boolean };
  /** `elsewhere`: another browser has joined. */
  readonly bound: 'no' | 'here' | 'elsewhere';
}

/** The public state. It is frozen; the snapshot and each of its parts stay the same object until they change. */
export interface Snapshot {
  readonly status: Status;
  readonly saving: Saving;
  readonly devices: Devices;
  readonly network: Network;
  readonly clock: { readonly startedAt: number | null; readonly endsAt: number | null };
  readonly transcript: readonly TranscriptLine[];
  /** The most important open problem. */
  readonly problem: ProblemCode | null;
  /** `memory`: a reload would lose the entries that are not stored yet. */
  readonly storage: 'indexeddb' | 'memory';
  /** True if a simulated voice provider is used. */
  readonly simulated: boolean;
  /** The candidate has withdrawn consent. */
  readonly withdrawn: boolean;
}

/** An entry that the browser keeps until the service has stored it. */
export interface KeptEntry {
  ordinal: number;
  item_id: string;
  previous_item_id?: string | null | undefined;
  speaker: 'ai' | 'candidate';
  text: string;
  start_ms?: number | null | undefined;
  end_ms?: number | null | undefined;
}

/**
 * Where entries are kept until the service has stored them. In IndexedDB they survive a reload; each entry is a
 * record of its own, so that two tabs of one session do not overwrite or delete each other's entries. If the
 * browser blocks IndexedDB, they are kept in memory.
 */
export interface EntryStore {
  readonly kind: 'indexeddb' | 'memory';
  read(sessionId: string): Promise<Kept>;
  put(sessionId: string, entry: KeptEntry): Promise<unknown>;
  remove(sessionId: string, entry: KeptEntry): Promise<unknown>;
  /** Sets where entries of the session can be uploaded. Undefined removes it, when no entry is left. */
  setUpload(sessionId: string, target: UploadTarget | undefined): Promise<unknown>;
  /** Ids of the sessions with an upload target. */
  sessions(): Promise<string[]>;
}

export interface Kept {
  entries: KeptEntry[];
  upload: UploadTarget | undefined;
}

export interface UploadTarget {
  url: string;
  /** Token with scope `transcript:append` for one session. */
  token: string;
}

export interface UploadOptions {
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch;
  /** Tries per chunk of entries. Default 8: about a minute. */
  tries?: number;
  /** The first wait between two tries, ms. It doubles each time, up to 15 s. Default 500. */
  waitMs?: number;
}

/**
 * The WebRTC peer of a realtime call. In the browser `createBrowserPeer` creates it; tests and the demo use one
 * that runs in Node.
 */
export interface CallPeer {
  /** Creates the SDP offer with one audio track and the data channel `oai-events`. Call it once. */
  offer(): Promise<string>;
  /** Applies the provider's answer. */
  accept(answerSdp: string): Promise<void>;
  /** Calls the listener with each parsed event of the provider's data channel. */
  onEvent(listener: (event: Record<string, unknown>) => void): void;
  /**
   * `connected` when media flows and the data channel is open, also after an interruption; `interrupted` when
   * no media gets through; `failed` when the connection is lost permanently.
   */
  onState(listener: (state: 'connected' | 'interrupted' | 'failed') => void): void;
  /** The browser's WebRTC statistics, from which the network quality is computed. */
  stats?(): Promise<Iterable<Record<string, unknown>>>;
  close(): void;
}

export type PeerFactory = () => CallPeer | Promise<CallPeer>;

export interface InterviewOptions {
  /** The join link of an invitation, or URL and token from the answer to `POST /api/sessions`. */
  link: string | { websocketUrl: string; joinToken: string };
  /** Element that plays the interviewer's voice. Default: a new element. */
  audio?: HTMLAudioElement;
  /** Where entries are kept. Default: IndexedDB, or memory if the browser blocks it. */
  store?: EntryStore;
  /** When aborted, leaves without ending the interview. */
  signal?: AbortSignal;
  /** Creates the peer of each call. The SDK then uses no microphone and plays nothing. Default: the browser's WebRTC. */
  createPeer?: PeerFactory;
  upload?: UploadOptions;
  /** How long to try to reopen a lost socket, ms. Default 5 min, which is longer than the service's grace period. */
  giveUpMs?: number;
  /** Replacements of the platform's functions, for tests. */
  WebSocket?: typeof WebSocket;
  fetch?: typeof fetch;
  now?: () => number;
  random?: () => number;
}

/** Where the camera's recording is uploaded. A container takes one recording, without a reload in between. */
export interface VideoOffer {
  readonly token: string;
  readonly video_id: string;
  readonly expires_at: string;
  /** Base URL of the video provider. */
  readonly upload_url?: string | undefined;
  /** Tells the service that this recording begins now. */
  started(): void;
}

export interface Interview {
  readonly snapshot: Snapshot;
  /** The newest upload token of a session that records video, for `createRecording()`. */
  readonly videoOffer: VideoOffer | null;
  /** @returns a function that removes the listener */
  subscribe(listener: () => void): () => void;
  on<E extends keyof InterviewEvents>(event: E, listener: (detail: InterviewEvents[E]) => void): () => void;
  /** Sound levels of candidate (`input`) and interviewer (`output`), 0–1. Read them in an animation frame. */
  readonly level: { input(): number; output(): number };
  /**
   * Returns what the link invites to. It does not bind the link, which can still be joined on another device. If the
   * interview is over, its status becomes `ended`.
   */
  look(): Promise<Invitation>;
  /** Records that the candidate agrees to the text from `look()`. Without it `join()` fails with `consent_required`. */
  consent(textVersion: string): Promise<void>;
  /** Records that the candidate does not agree to the text from `look()`. The interview ends as `consent_declined`. */
  decline(): Promise<void>;
  /**
   * Withdraws the consent, during the interview or after it, in the browser that joined. The interview ends as
   * `consent_withdrawn` if it has not ended, and entries kept on this device are dropped. False: not possible now.
   */
  withdraw(): Promise<boolean>;
  /**
   * After the interview, in the browser that joined: puts everything that is stored into `snapshot.transcript`, also what was
   * said before this page was opened. Needs the join link. False if it could not be read.
   */
  readTranscript(): Promise<boolean>;
  /**
   * After the interview: notes what the candidate really said in one of their own entries, beside its text. At most 2,000
   * characters; null removes the note. Needs the join link. False if it could not be stored.
   */
  correct(entry: { readonly ordinal: number; readonly item_id: string }, correction: string | null): Promise<boolean>;
  /** In the browser that joined: returns a short code with which the candidate can continue in another browser. */
  handover(): Promise<{ code: string; expiresAt: number }>;
  /** In another browser, after `used_elsewhere`: binds the link to this browser, which can then join. False: wrong code. */
  continueHere(handoverCode: string): Promise<boolean>;
  /** Opens the microphone before joining, so that the candidate can see its level. */
  checkMicrophone(): Promise<void>;
  /** Once it was asked for. It changes with the device. */
  readonly microphoneTrack: MediaStreamTrack | undefined;
  /** Resolves when the interview is live. Rejects with an `InterviewError`; it can then be called again. */
  join(): Promise<void>;
  /** Tries again what has failed or is waiting. Call it from a user gesture. */
  retry(): void;
  setMuted(muted: boolean): void;
  setDevice(kind: 'microphone' | 'speaker', deviceId: string): Promise<void>;
  /** Sends a request to the interviewer. `moment` mutes the microphone until `go_on`. False if it cannot be sent now. */
  request(what: CandidateRequest): boolean;
  /** Sends a typed answer. It is sent again until it is stored. */
  say(text: string): void;
  /** Ends the interview. Resolves when it has ended, even if that needs a reconnection. */
  end(): Promise<Ended>;
  /** Closes everything on this device without ending the interview. */
  leave(): void;
}

export interface InterviewEvents {
  status: Status;
  /** An entry of the transcript. `final` is false while it is being spoken. */
  entry: { entry: SpokenEntry; final: boolean };
  /** Ids of entries that are now stored. */
  saved: readonly string[];
  problem: ProblemCode;
  problem_over: ProblemCode;
  turn: Turn;
  quality: Network;
  /** The time limit is near. */
  warning: { endsAt: number };
  ended: Ended;
  /** Sent after `ended`, once uploading is over. `left`: number of entries that could not be uploaded and stay on this device. */
  delivered: { left: number };
  /** For developers: an error from the service with its code, or a peer that could not be created. */
  trouble: { code: string; message: string };
  /** For developers: each message of the service (`message`) and each event of the voice provider (`provider`). */
  message: Readonly<Record<string, unknown>> & { readonly type: string };
  provider: Record<string, unknown>;
}
