import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { Recording, RecordingSnapshot } from '../src/recording-types.ts';
import type { Interview } from '../src/types.ts';
import { useInterview, useMessages, useStatus } from './hooks.ts';
import type { RecorderStatus } from './messages.ts';
import type { PartProps } from './parts.tsx';

/** The recording of each interview. Its code is loaded with the first part that shows a camera. */
const recordings = new WeakMap<Interview, Promise<Recording>>();

/** Uses this recording for the interview. For fixtures. */
export const provideRecording = (interview: Interview, recording: Recording) =>
  void recordings.set(interview, Promise.resolve(recording));

function recordingOf(interview: Interview): Promise<Recording> {
  const known = recordings.get(interview);
  if (known) return known;
  const made = import('../src/recording.ts').then(({ createRecording }) => createRecording(interview));
  recordings.set(interview, made);
  made.catch(() => recordings.delete(interview));
  return made;
}

/** Uploads what earlier pages recorded and could not upload, if this browser has such recordings. */
export function useEarlierRecordings(): void {
  useEffect(() => {
    const upload = async () => {
      const databases = (await globalThis.indexedDB?.databases?.()) ?? [];
      if (!databases.some(({ name }) => name === 'greenroom-video')) return;
      await (await import('../src/recording.ts')).uploadEarlierRecordings();
    };
    upload().catch(() => undefined);
  }, []);
}

const notLoaded: RecordingSnapshot = Object.freeze<RecordingSnapshot>({
  ...{ state: 'off', problem: null, videoId: null, url: null, storage: 'memory' },
  ...{ pendingBytes: 0, uploadedBytes: 0 },
});

/** The camera's recording and its state. The recording is null until its code is loaded. */
export function useRecording(): { recording: Recording | null; snapshot: RecordingSnapshot } {
  const interview = useInterview();
  const [recording, setRecording] = useState<Recording | null>(null);
  useEffect(() => {
    let current = true;
    recordingOf(interview).then(
      (made) => current && setRecording(made),
      // Without its code there is no recording; the interview goes on.
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [interview]);
  const read = () => recording?.snapshot ?? notLoaded;
  const snapshot = useSyncExternalStore(recording?.subscribe ?? none, read, read);
  return { recording, snapshot };
}
const none = () => () => undefined;

/** A recording that ran out of space or lost its camera is `completed`: what was recorded before is stored. */
export function recorderStatusOf({ state, problem }: RecordingSnapshot): RecorderStatus {
  if (state === 'failed') return 'error';
  if (state === 'off') return problem === null ? 'initializing' : 'error';
  return state === 'uploading' || state === 'stopped' ? 'completed' : state;
}

/** The camera's picture as in a mirror. */
export function CameraPicture({ className, stream }: PartProps & { stream: MediaStream }) {
  const messages = useMessages();
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = stream;
  }, [stream]);
  return (
    <video
      ref={video}
      className={className}
      data-part="camera-picture"
      aria-label={messages.cameraPicture}
      muted
      playsInline
      autoPlay
    />
  );
}

/** Turns the camera on and off before the interview. Nothing of it is recorded. */
export function CameraCheck({ className }: PartProps) {
  const messages = useMessages();
  const { recording, snapshot } = useRecording();
  const isOn = snapshot.state === 'ready';
  return (
    <div className={className} data-part="camera-check" data-state={snapshot.state}>
      <p>{messages.cameraAbout}</p>
      {isOn && recording?.stream && <CameraPicture stream={recording.stream} />}
      <p role="status">
        {snapshot.problem ? messages.recordingProblems[snapshot.problem] : isOn ? messages.recorder.ready : ''}
      </p>
      {snapshot.problem !== 'unsupported' && (
        <button type="button" disabled={!recording} onClick={() => void (isOn ? recording?.stop() : recording?.open())}>
          {isOn ? messages.cameraOff : messages.cameraOn}
        </button>
      )}
    </div>
  );
}

export interface RecordingUpdate {
  status: RecorderStatus;
  /** The recording's id at the video provider. Null before it begins. */
  recordingId: string | null;
  /** The recording's player. It is private: playing needs a token, which the API gives. Null until it is uploaded. */
  url: string | null;
}

export interface VideoRecorderProps extends PartProps {
  onRecordingUpdate?(update: RecordingUpdate): void;
  /** Seconds that are counted down before recording. Default 3. */
  countdown?: number;
  /** Records an open camera as soon as the interview is live, instead of at a press. Default false. */
  autoStart?: boolean;
}

/** Records the candidate's camera, without sound, during the interview around it. Its failure never stops the interview. */
export function VideoRecorder({ className, onRecordingUpdate, countdown = 3, autoStart = false }: VideoRecorderProps) {
  const messages = useMessages();
  const isLive = useStatus().name === 'live';
  const { recording, snapshot } = useRecording();
  const status = recorderStatusOf(snapshot);
  const { videoId, url, problem, state } = snapshot;
  useEffect(
    () => onRecordingUpdate?.({ status, recordingId: videoId, url }),
    [status, videoId, url, onRecordingUpdate],
  );

  const [left, setLeft] = useState<number | null>(null);
  const mayStart = state === 'ready' && isLive;
  useEffect(() => {
    if (mayStart && autoStart) setLeft(countdown);
    if (!mayStart) setLeft(null);
  }, [mayStart, autoStart, countdown]);
  useEffect(() => {
    if (left === null) return;
    if (left <= 0) {
      void recording?.start();
      return;
    }
    const timer = setTimeout(() => setLeft(left - 1), 1_000);
    return () => clearTimeout(timer);
  }, [left, recording]);

  const isCounting = left !== null && left > 0;
  const text = problem ? messages.recordingProblems[problem] : messages.recorder[status];
  return (
    <section className={className} data-part="video-recorder" data-state={status} aria-label={messages.cameraPicture}>
      {recording?.stream && <CameraPicture stream={recording.stream} />}
      <p role="status">{isCounting ? messages.recordSoon : text}</p>
      {isCounting && (
        <span data-part="countdown" aria-hidden="true">
          {left}
        </span>
      )}
      {state === 'off' && problem !== 'unsupported' && (
        <button type="button" disabled={!recording} onClick={() => void recording?.open()}>
          {messages.cameraOn}
        </button>
      )}
      {mayStart && !autoStart && !isCounting && (
        <button type="button" onClick={() => setLeft(countdown)}>
          {messages.recordStart}
        </button>
      )}
      {(state === 'recording' || isCounting) && (
        <button type="button" onClick={() => void recording?.stop()}>
          {messages.recordStop}
        </button>
      )}
    </section>
  );
}

/** After the end: whether the page is still needed for the recording. */
export function RecordingState({ className }: PartProps) {
  const messages = useMessages();
  const { snapshot } = useRecording();
  return (
    <p className={className} data-part="recording-state" role="status">
      {snapshot.state === 'uploading' ? messages.recordUploading : ''}
    </p>
  );
}
