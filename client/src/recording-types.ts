import type { Interview } from './types.ts';

/** The public types of the camera recording. Like types.ts, they use no type of another package. */

/** What prevents the recording. The interview goes on in any case. */
export type RecordingProblem =
  | 'unsupported'
  | 'camera_denied'
  | 'camera_missing'
  | 'camera_busy'
  | 'camera_lost'
  | 'storage_full'
  | 'upload_refused';

/** The public state. It is replaced, never changed. */
export interface RecordingSnapshot {
  /**
   * `off`: the camera is closed. `ready`: it is open, and nothing is recorded. `uploading`: the camera is closed, and the
   * rest is being uploaded. `stopped`: everything is uploaded. `failed`: nothing more is recorded or uploaded.
   */
  readonly state: 'off' | 'ready' | 'recording' | 'uploading' | 'stopped' | 'failed';
  readonly problem: RecordingProblem | null;
  /** The recording's id at api.video, once it has begun. */
  readonly videoId: string | null;
  /** Bytes that are recorded and not uploaded yet. They are kept on this device. */
  readonly pendingBytes: number;
  readonly uploadedBytes: number;
  /** The private recording's player, without the token that playing needs. Null until everything is uploaded. */
  readonly url: string | null;
  /** `memory`: a reload would lose what is not uploaded yet. */
  readonly storage: 'indexeddb' | 'memory';
}

export interface Recording {
  readonly snapshot: RecordingSnapshot;
  /** @returns a function that removes the listener */
  subscribe(listener: () => void): () => void;
  /** The camera's picture, to show it. Nothing of it is recorded before `start()`. */
  readonly stream: MediaStream | null;
  /** Opens the camera. Never rejects: why it could not be opened is in `snapshot.problem`. */
  open(): Promise<void>;
  /** Records from when the interview is live and the service has sent an upload token. Opens the camera if needed. */
  start(): Promise<void>;
  /**
   * Closes the camera. Resolves when everything is uploaded or given up. The end of the interview calls it. A camera that was
   * not recorded yet can be opened again.
   */
  stop(): Promise<void>;
}

export interface RecordingOptions {
  /** Default: at most 640 × 480 at 24 frames a second. */
  video?: MediaTrackConstraints;
  /** Default 250,000. */
  bitsPerSecond?: number;
  /** Most bytes that may wait for upload; the recording stops there. Default 200 MB in IndexedDB, 50 MB in memory. */
  limitBytes?: number;
  /** Where segments are kept. Default: IndexedDB, or memory if the browser blocks it. */
  store?: SegmentStore;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch;
  now?: () => number;
}

export type RecordedInterview = Pick<Interview, 'snapshot' | 'on' | 'videoOffer'>;

/** A recording that is not uploaded completely. */
export interface KeptRecording {
  videoId: string;
  token: string;
  /** Base URL of api.video. */
  uploadUrl: string;
  /** When the token expires, Unix ms. */
  expiresAt: number;
  /** Media type of the file. */
  type: string;
  /** Number of parts that api.video has. */
  sentParts: number;
}

export interface Segment {
  index: number;
  bytes: ArrayBuffer;
}

/** Keeps the segments of recordings until they are uploaded. */
export interface SegmentStore {
  readonly kind: 'indexeddb' | 'memory';
  recordings(): Promise<KeptRecording[]>;
  put(recording: KeptRecording): Promise<unknown>;
  append(videoId: string, segment: Segment): Promise<unknown>;
  /** The oldest segments that together have at least `minBytes`, or all; `more`: others follow. */
  oldest(videoId: string, minBytes: number): Promise<{ segments: Segment[]; more: boolean }>;
  /** Stores that a part is uploaded and removes its segments, in one step. */
  sent(recording: KeptRecording, lastIndex: number): Promise<unknown>;
  /** Removes a recording and its segments. */
  remove(videoId: string): Promise<unknown>;
}
