import type { ProblemCode } from './problems.ts';

/**
 * Everything a user of the package sees, without a type of another package: `types.test.ts` compares these with the
 * protocol's own.
 */

/** What a candidate may ask of the interviewer by a press. `moment` begins a pause, `go_on` ends it. */
export type CandidateRequest = 'repeat' | 'slower' | 'moment' | 'go_on';

export type NetworkQuality = 'good' | 'fair' | 'poor' | 'unknown';

/** A piece of the conversation. `ai` is the interviewer; times are milliseconds since the call's audio began. */
export interface SpokenEntry {
  readonly ordinal: number;
  readonly item_id: string;
  readonly previous_item_id: string | null;
  readonly speaker: 'ai' | 'candidate';
  readonly text: string;
  readonly confidence: number | null;
  readonly start_ms: number | null;
  readonly end_ms: number | null;
  /** The candidate spoke over it and did not hear it to its end. */
  readonly interrupted: boolean;
  /** False when it is known only from the browser. */
  readonly verified: boolean;
}

/** Whose turn it is, by the voice provider's own events. `hearing`: the candidate is being heard. */
export type Turn = 'listening' | 'hearing' | 'thinking' | 'speaking' | 'paused';

/** What the interview is doing. All times are Unix milliseconds of this device. */
export type Status =
  | { readonly name: 'idle' }
  | { readonly name: 'joining'; readonly since: number }
  | { readonly name: 'waiting'; readonly for: 'start_time' | 'machine' | 'service'; readonly since: number }
  | { readonly name: 'connecting'; readonly step: 'socket' | 'offer' | 'audio'; readonly since: number }
  | { readonly name: 'live'; readonly turn: Turn; readonly since: number }
  /** The candidate is not heard. A lost socket alone is no such thing: then `saving` is `behind`. */
  | { readonly name: 'reconnecting'; readonly lost: 'audio' | 'both'; readonly since: number }
  | { readonly name: 'ending'; readonly since: number }
  | ({ readonly name: 'ended'; readonly at: number } & Ended);

export interface Ended {
  readonly outcome: string;
  readonly reason: string;
}

export interface Saving {
  /** `behind`: the socket is away, and entries wait on this device. */
  readonly state: 'saved' | 'saving' | 'behind';
  /** Everything said until then is stored; null before the first acknowledgement. */
  readonly savedUpTo: number | null;
  /** Entries that are not acknowledged. */
  readonly pending: number;
}

export interface Device {
  readonly kind: 'microphone' | 'speaker';
  readonly id: string;
  readonly label: string;
}

export interface Devices {
  readonly microphone: Device | null;
  /** Null: the system's own choice. */
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
  /** False while it is still being said. */
  readonly final: boolean;
}

/** What a link invites to. Times are Unix milliseconds. */
export interface Invitation {
  /** The session's status, as in the API. */
  readonly status: string;
  /** When it is due; null: at once. */
  readonly startsAt: number | null;
  readonly joinable: boolean;
  readonly organiser: string;
  readonly position: string;
  readonly candidate: string;
  /** The longest it may last. */
  readonly minutes: number;
  readonly recordsVideo: boolean;
  readonly simulated: boolean;
  /** The text the organiser asks the candidate to agree to; `text` null: kept elsewhere. */
  readonly consent: { readonly textVersion: string; readonly text: string | null; readonly isGiven: boolean } | null;
  /** `elsewhere`: another browser has joined. */
  readonly bound: 'no' | 'here' | 'elsewhere';
}

/** Frozen; the same object until something changed, and so is each of its parts. */
export interface Snapshot {
  readonly status: Status;
  readonly saving: Saving;
  readonly devices: Devices;
  readonly network: Network;
  readonly clock: { readonly startedAt: number | null; readonly endsAt: number | null };
  readonly transcript: readonly TranscriptLine[];
  /** The problem that matters now. */
  readonly problem: ProblemCode | null;
  /** `memory`: a reload would lose what is not stored yet. */
  readonly storage: 'indexeddb' | 'memory';
  /** True when the local voice provider speaks instead of a real one. */
  readonly simulated: boolean;
}

/** An entry as the browser keeps it until it is stored. */
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
 * Where entries survive a reload of the page until they are stored: IndexedDB, one record an entry, so that two tabs of one
 * session neither overwrite nor delete each other's. Where the browser keeps nothing for us: memory.
 */
export interface EntryStore {
  readonly kind: 'indexeddb' | 'memory';
  read(sessionId: string): Promise<Kept>;
  put(sessionId: string, entry: KeptEntry): Promise<unknown>;
  remove(sessionId: string, entry: KeptEntry): Promise<unknown>;
  /** Where entries of the session may be uploaded; undefined: nothing of it is left. */
  setUpload(sessionId: string, target: UploadTarget | undefined): Promise<unknown>;
  /** Sessions that left something here. */
  sessions(): Promise<string[]>;
}

export interface Kept {
  entries: KeptEntry[];
  upload: UploadTarget | undefined;
}

export interface UploadTarget {
  url: string;
  /** `transcript:append` of one session. */
  token: string;
}

export interface UploadOptions {
  /** Replaces the platform's fetch. */
  fetch?: typeof fetch;
  /** Tries per portion. Default 8: about a minute. */
  tries?: number;
  /** The first wait between two, ms; doubled each time up to 15 s. Default 500. */
  waitMs?: number;
}

/**
 * The WebRTC peer of a realtime call, as the SDK needs it. In the browser it is `createBrowserPeer`; tests and the demo
 * bring one that runs in Node.
 */
export interface CallPeer {
  /** Makes the SDP offer: one audio track and the data channel `oai-events`. Call once. */
  offer(): Promise<string>;
  /** Applies the provider's answer. */
  accept(answerSdp: string): Promise<void>;
  /** Events of the provider's data channel, parsed. */
  onEvent(listener: (event: Record<string, unknown>) => void): void;
  /**
   * `connected` once media flows and the data channel is open, and again after an interruption; `interrupted` while no
   * media gets through; `failed` when the connection is lost for good.
   */
  onState(listener: (state: 'connected' | 'interrupted' | 'failed') => void): void;
  /** What the browser measured, for the network's quality. */
  stats?(): Promise<Iterable<Record<string, unknown>>>;
  close(): void;
}

export type PeerFactory = () => CallPeer | Promise<CallPeer>;

export interface InterviewOptions {
  /** The join link of an invitation, or what `POST /api/sessions` answered. */
  link: string | { websocketUrl: string; joinToken: string };
  /** Where the interviewer's voice is played. Default: an element of our own. */
  audio?: HTMLAudioElement;
  /** Where entries survive a reload. Default: IndexedDB, or memory where the browser blocks it. */
  store?: EntryStore;
  /** Leaves without ending the interview. */
  signal?: AbortSignal;
  /** Makes the peer of each call; then the SDK asks for no microphone and plays nothing. Default: the browser's WebRTC. */
  createPeer?: PeerFactory;
  upload?: UploadOptions;
  /** How long a socket that was lost is tried for, ms. Default 5 min: longer than the service's own grace. */
  giveUpMs?: number;
  /** These replace the platform's own, for tests. */
  WebSocket?: typeof WebSocket;
  fetch?: typeof fetch;
  now?: () => number;
  random?: () => number;
}

export interface Interview {
  readonly snapshot: Snapshot;
  /** @returns how to stop listening */
  subscribe(listener: () => void): () => void;
  on<E extends keyof InterviewEvents>(event: E, listener: (detail: InterviewEvents[E]) => void): () => void;
  /** How loud candidate and interviewer are, 0–1: to be read while drawing. */
  readonly level: { input(): number; output(): number };
  /** What the link invites to. Binds nothing: the link may be joined on another device. */
  look(): Promise<Invitation>;
  /** The candidate agrees to the text `look()` showed. Without it `join()` is refused with `consent_required`. */
  consent(textVersion: string): Promise<void>;
  /** In the browser that joined: a short code, shown to the candidate, by which another browser may go on. */
  handover(): Promise<{ code: string; expiresAt: number }>;
  /** In another browser, after `used_elsewhere`: goes on here. False when the code is wrong. `join()` comes next. */
  continueHere(handoverCode: string): Promise<boolean>;
  /** Asks for the microphone before joining, so that the candidate can see its level. */
  checkMicrophone(): Promise<void>;
  /** Resolves when the interview is live. Rejects with an `InterviewError`, and may be called again. */
  join(): Promise<void>;
  /** What the candidate can do about the present problem: tries again whatever waits. Call it from a press. */
  retry(): void;
  setMuted(muted: boolean): void;
  setDevice(kind: 'microphone' | 'speaker', deviceId: string): Promise<void>;
  /** Asks something of the interviewer. `moment` silences the microphone until `go_on`. False when it cannot be sent now. */
  request(what: CandidateRequest): boolean;
  /** A typed answer. Kept until it is stored. */
  say(text: string): void;
  /** Ends the interview. Resolves when it has ended, also after a reconnection. */
  end(): Promise<Ended>;
  /** Closes everything and ends nothing. */
  leave(): void;
}

export interface InterviewEvents {
  status: Status;
  /** A piece of the conversation; `final` is false while it is being said. */
  entry: { entry: SpokenEntry; final: boolean };
  /** These entries are stored. */
  saved: readonly string[];
  problem: ProblemCode;
  problem_over: ProblemCode;
  turn: Turn;
  quality: Network;
  /** The time limit is near. */
  warning: { endsAt: number };
  ended: Ended;
  /** After `ended`: everything that can be done for the transcript is done; `left` entries stay on this device. */
  delivered: { left: number };
  /** For developers: an error the service told, by its code; a peer that could not be made. */
  trouble: { code: string; message: string };
  /** For developers: each message of the service, each event of the voice provider's data channel. */
  message: Readonly<Record<string, unknown>> & { readonly type: string };
  provider: Record<string, unknown>;
}
