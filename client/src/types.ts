import type { NetworkQuality } from '@greenroom/shared/protocol/socket-values.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { ProblemCode } from './problems.ts';

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

export interface TranscriptLine extends TranscriptEntry {
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
