import type {
  KeptRecording,
  RecordedInterview,
  Recording,
  RecordingOptions,
  RecordingProblem,
  RecordingSnapshot,
  SegmentStore,
} from './recording-types.ts';
import { openSegmentStore } from './segment-store.ts';
import { createVideoUpload, type UploadOutcome, type VideoUpload } from './video-upload.ts';

export type {
  KeptRecording,
  RecordedInterview,
  Recording,
  RecordingOptions,
  RecordingProblem,
  RecordingSnapshot,
  Segment,
  SegmentStore,
} from './recording-types.ts';

/**
 * Records the candidate's camera and uploads it to api.video. It is loaded only when a session records video.
 *
 * - The recorder's segments go to IndexedDB first and are uploaded from there, so that an outage or a reload loses at most
 *   the last two seconds. The file of a page that is gone is completed by the next page, with its own token.
 * - A recording begins when the interview is live, never before. It has no sound: the conversation is the voice provider's.
 * - Whatever fails here, the interview goes on: no method rejects.
 */
const segmentMs = 2_000;
const types = [
  'video/mp4;codecs=avc1.42E01E',
  'video/mp4',
  'video/webm;codecs=vp9',
  'video/webm;codecs=vp8',
  'video/webm',
];
const limits = { indexeddb: 200_000_000, memory: 50_000_000 };
/** This long after its token expired, a recording is removed without asking api.video, ms. */
const longDeadMs = 86_400_000;

const problems: Record<string, RecordingProblem> = {
  NotAllowedError: 'camera_denied',
  SecurityError: 'camera_denied',
  NotFoundError: 'camera_missing',
  OverconstrainedError: 'camera_missing',
  NotReadableError: 'camera_busy',
  AbortError: 'camera_busy',
};

/** Containers that this page has recorded into: each takes one recording. */
const used = new Set<string>();

/** Runs the work as soon as no other page of this browser works on the same recording. The end of a page ends its work. */
async function alone(videoId: string, work: () => Promise<unknown>): Promise<void> {
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (!locks) await work();
  else await locks.request(`greenroom-video-${videoId}`, work);
}

type Outside = Required<Pick<RecordingOptions, 'fetch' | 'now'>>;
const outsideOf = (options: RecordingOptions): Outside => ({
  fetch: options.fetch ?? ((...request) => fetch(...request)),
  now: options.now ?? Date.now,
});

/**
 * Uploads what earlier pages have recorded and not uploaded. What another open page records is uploaded by that page, or by
 * this one when that page is closed. Never rejects. Resolves when it is over.
 */
export async function uploadEarlierRecordings(options: RecordingOptions = {}): Promise<void> {
  const store = options.store ?? (await openSegmentStore());
  const { fetch, now } = outsideOf(options);
  const complete = async (recording: KeptRecording) => {
    if (now() > recording.expiresAt + longDeadMs) return store.remove(recording.videoId);
    const upload = createVideoUpload({ recording, store, fetch, now });
    upload.finish();
    return upload.outcome;
  };
  const kept = await store.recordings().catch(() => []);
  await Promise.allSettled(
    // Read again within the lock: another page may have uploaded a part meanwhile.
    kept.map(({ videoId }) =>
      alone(videoId, async () => {
        const newest = (await store.recordings()).find((one) => one.videoId === videoId);
        if (newest) await complete(newest);
      }),
    ),
  );
}

export function createRecording(interview: RecordedInterview, options: RecordingOptions = {}): Recording {
  const outside = outsideOf(options);
  const listeners = new Set<() => void>();
  const opened: Promise<SegmentStore> = options.store ? Promise.resolve(options.store) : openSegmentStore();
  let snapshot: RecordingSnapshot = Object.freeze<RecordingSnapshot>({
    ...{ state: 'off', problem: null, videoId: null, url: null, storage: 'memory' },
    ...{ pendingBytes: 0, uploadedBytes: 0 },
  });
  let stream: MediaStream | null = null;
  let opening: Promise<void> | undefined;
  let begun = false;
  let recorder: MediaRecorder | undefined;
  let upload: VideoUpload | undefined;
  /** The camera was asked for and not closed since. */
  let asked = false;
  let wanted = false;
  let stopped = false;
  /** Resolves when the recording is uploaded or given up. */
  let over: Promise<void> = Promise.resolve();

  const update = (change: Partial<RecordingSnapshot>) => {
    snapshot = Object.freeze({ ...snapshot, ...change });
    for (const listener of [...listeners]) listener();
  };
  const closeCamera = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
  };
  const fail = (problem: RecordingProblem) => {
    closeCamera();
    update({ state: 'failed', problem });
  };

  const ask = async () => {
    update({ problem: null });
    const devices = globalThis.navigator?.mediaDevices as MediaDevices | undefined;
    if (!devices || typeof MediaRecorder === 'undefined') return fail('unsupported');
    const video = options.video ?? { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 24, max: 30 } };
    try {
      const got = await devices.getUserMedia({ video });
      stream = got;
      if (stopped || !asked) return closeCamera();
      got.getVideoTracks()[0]?.addEventListener('ended', () => got === stream && onLost());
      return update({ state: 'ready' });
    } catch (error) {
      return update({ problem: problems[(error as DOMException).name] ?? 'unsupported' });
    }
  };
  const onLost = () => {
    update({ problem: 'camera_lost' });
    // The recorder stops by itself, because its only track has ended.
    closeCamera();
    if (!recorder) update({ state: 'off' });
    else stopRecorder();
  };
  const open = async () => {
    if (stream || stopped || begun) return;
    asked = true;
    opening ??= ask().finally(() => {
      opening = undefined;
    });
    await opening;
  };

  const stopRecorder = () => {
    if (recorder && recorder.state !== 'inactive') recorder.stop();
  };

  /** Keeps each segment, in order. The recorder stops when they can no longer be kept. */
  const keep = (of: MediaRecorder, videoId: string, store: SegmentStore) => {
    const limitBytes = options.limitBytes ?? limits[store.kind];
    let index = 0;
    let writing: Promise<unknown> = Promise.resolve();
    let broken = false;
    const append = async (data: Blob) => {
      if (broken || data.size === 0) return;
      try {
        if (snapshot.pendingBytes + data.size > limitBytes) throw new Error('the limit is reached');
        await store.append(videoId, { index, bytes: await data.arrayBuffer() });
        index += 1;
        update({ pendingBytes: snapshot.pendingBytes + data.size });
        upload?.added();
      } catch {
        broken = true;
        update({ problem: 'storage_full' });
        stopRecorder();
      }
    };
    of.ondataavailable = ({ data }) => {
      writing = writing.then(() => append(data));
    };
    return new Promise<void>((resolve) => {
      of.onerror = stopRecorder;
      of.onstop = () => void writing.then(() => resolve());
    });
  };
  const settle = (outcome: UploadOutcome) => {
    if (outcome.kind === 'uploaded') update({ state: 'stopped', url: outcome.url });
    else if (outcome.kind === 'empty') update({ state: 'stopped' });
    else fail('upload_refused');
    if (outcome.kind !== 'away') update({ pendingBytes: 0 });
  };
  const record = async (camera: MediaStream, offer: NonNullable<RecordedInterview['videoOffer']>) => {
    const store = await opened;
    if (stream !== camera) {
      begun = false;
      return;
    }
    const type = types.find((one) => MediaRecorder.isTypeSupported(one));
    const how = {
      ...(type ? { mimeType: type } : {}),
      videoBitsPerSecond: options.bitsPerSecond ?? 250_000,
      // Chromium completes a piece of an mp4 file only at a key frame. Also, players can jump to key frames alone.
      videoKeyFrameIntervalDuration: segmentMs,
    };
    const mine = new MediaRecorder(camera, how);
    recorder = mine;
    const kept: KeptRecording = {
      ...{ videoId: offer.video_id, token: offer.token, expiresAt: Date.parse(offer.expires_at), sentParts: 0 },
      ...{ uploadUrl: offer.upload_url ?? 'https://ws.api.video', type: mine.mimeType || 'video/webm' },
    };
    await alone(kept.videoId, async () => {
      // Without a place in the store the segments could not be found after a reload, but they can still be uploaded.
      await store.put(kept).catch(() => undefined);
      const ended = keep(mine, kept.videoId, store);
      mine.start(segmentMs);
      offer.started();
      update({ state: 'recording', problem: null, videoId: kept.videoId, storage: store.kind });
      const onPart = (bytes: number) =>
        update({
          uploadedBytes: snapshot.uploadedBytes + bytes,
          pendingBytes: Math.max(0, snapshot.pendingBytes - bytes),
        });
      upload = createVideoUpload({ recording: kept, store, onPart, ...outside });
      // A refusal in the middle ends the recording: its camera must not stay on for nothing.
      const uploaded = upload.outcome.finally(stopRecorder);
      uploaded.catch(() => undefined);
      await ended;
      closeCamera();
      update({ state: 'uploading' });
      upload.finish();
      settle(await uploaded);
    });
  };

  /** Begins when everything is there: the candidate's wish, the camera, a live interview, an upload token. */
  const begin = () => {
    const { videoOffer, snapshot: at } = interview;
    if (!wanted || stopped || begun || !stream || !videoOffer || at.status.name !== 'live') return;
    if (used.has(videoOffer.video_id)) return;
    used.add(videoOffer.video_id);
    begun = true;
    over = record(stream, videoOffer).catch(() => fail('unsupported'));
  };
  const onOnline = () => upload?.hurry();
  const removers = [
    interview.on('status', () => begin()),
    interview.on('message', ({ type }) => {
      if (type === 'video_token') begin();
    }),
    interview.on('ended', () => {
      stopped = true;
      for (const remove of removers) remove();
      void stop();
    }),
  ];
  globalThis.addEventListener?.('online', onOnline);

  const stop = async () => {
    asked = false;
    wanted = false;
    if (recorder) stopRecorder();
    else closeCamera();
    if (snapshot.state === 'ready') update({ state: 'off' });
    await over;
    if (stopped) globalThis.removeEventListener?.('online', onOnline);
  };

  void opened.then((store) => uploadEarlierRecordings({ ...options, store }));
  return {
    get snapshot() {
      return snapshot;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    get stream() {
      return stream;
    },
    open,
    start: async () => {
      wanted = true;
      await open();
      begin();
    },
    stop,
  };
}
