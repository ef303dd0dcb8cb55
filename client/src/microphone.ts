import { InterviewError, type ProblemCode, type Problems } from './problems.ts';

/**
 * The candidate's microphone: asked for once, replaced when it goes away.
 *
 * M1  A track that ended (unplugged, taken by the system) is replaced by the default microphone. While there is none, each
 *     change of devices, and each return to the page, is a reason to try again.
 * M2  A track that the system muted for longer than `mutedMs` (a phone call, a screen lock) is asked for anew: some
 *     systems never unmute it.
 * M3  What comes of an older request, or of a track that was replaced, changes nothing; a late stream is stopped.
 */
export interface Microphone {
  /** Asks for the microphone. Rejects with an `InterviewError`, and may be called again. */
  open(deviceId?: string): Promise<void>;
  readonly track: MediaStreamTrack | undefined;
  /** Silences the track, and each later one; it stays open. */
  setMuted(muted: boolean): void;
  /** Asks again, where that may help. */
  retry(): void;
  /** Each new track, for whoever sends it. @returns how to stop listening */
  onTrack(listener: (track: MediaStreamTrack) => void): () => void;
  /** Stops the track and listens no more. */
  close(): void;
}

export interface MicrophoneDeps {
  problems: Problems;
  /** Default: the browser's. Undefined where a browser has none, or the page is not served by HTTPS. */
  devices?: Pick<MediaDevices, 'getUserMedia' | 'addEventListener' | 'removeEventListener'> | undefined;
  /** Tells when the page is shown again. Default: the document. */
  page?: Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>;
}

/** M2. */
const mutedMs = 2_000;

const codes: Record<string, ProblemCode> = {
  NotAllowedError: 'microphone_denied',
  SecurityError: 'microphone_denied',
  NotFoundError: 'microphone_missing',
  OverconstrainedError: 'microphone_missing',
  NotReadableError: 'microphone_busy',
  AbortError: 'microphone_busy',
};
const askingProblems: ProblemCode[] = ['unsupported', 'microphone_denied', 'microphone_missing', 'microphone_busy'];

export function createMicrophone(deps: MicrophoneDeps): Microphone {
  const { problems, page = document } = deps;
  const devices = 'devices' in deps ? deps.devices : (navigator.mediaDevices as MediaDevices | undefined);
  const listeners = new Set<(track: MediaStreamTrack) => void>();
  let track: MediaStreamTrack | undefined;
  let request = 0;
  let lost = false;
  let closed = false;
  let silenced = false;
  let mutedTimer: ReturnType<typeof setTimeout> | undefined;

  const ask = async (deviceId?: string): Promise<MediaStreamTrack> => {
    if (!devices) throw new InterviewError('unsupported');
    const audio = {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...(deviceId === undefined ? {} : { deviceId: { exact: deviceId } }),
    };
    const stream = await devices.getUserMedia({ audio }).catch((error: DOMException) => {
      throw new InterviewError(codes[error.name] ?? 'unsupported', { cause: error });
    });
    const [got] = stream.getAudioTracks();
    if (!got) throw new InterviewError('microphone_missing');
    return got;
  };

  const take = (next: MediaStreamTrack) => {
    const old = track;
    track = next;
    lost = false;
    clearTimeout(mutedTimer);
    old?.stop();
    next.enabled = !silenced;
    next.addEventListener('ended', () => next === track && onLost());
    next.addEventListener('mute', () => next === track && onMuted());
    next.addEventListener('unmute', () => next === track && onUnmuted());
    problems.settle(...askingProblems, 'microphone_lost', 'microphone_muted');
    for (const listener of listeners) listener(next);
  };
  const open = async (deviceId?: string) => {
    request += 1;
    const mine = request;
    try {
      const got = await ask(deviceId);
      if (mine !== request || closed) return got.stop(); // M3
      take(got);
    } catch (error) {
      if (mine !== request || closed) return;
      throw error;
    }
  };

  const replace = () => void open().catch(() => undefined);
  const onLost = () => {
    lost = true;
    problems.raise('microphone_lost');
    replace();
  };
  const onMuted = () => {
    problems.raise('microphone_muted');
    clearTimeout(mutedTimer);
    mutedTimer = setTimeout(replace, mutedMs);
  };
  const onUnmuted = () => {
    clearTimeout(mutedTimer);
    problems.settle('microphone_muted');
  };
  const retry = () => {
    if (lost || track?.muted) replace();
  };
  const onVisible = () => {
    if (page.visibilityState === 'visible') retry();
  };
  devices?.addEventListener('devicechange', retry);
  page.addEventListener('visibilitychange', onVisible);

  return {
    open: async (deviceId) => {
      await open(deviceId).catch((error: InterviewError) => {
        problems.settle(...askingProblems);
        problems.raise(error.code);
        throw error;
      });
    },
    get track() {
      return track;
    },
    setMuted: (muted) => {
      silenced = muted;
      if (track) track.enabled = !muted;
    },
    retry,
    onTrack: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: () => {
      closed = true;
      clearTimeout(mutedTimer);
      devices?.removeEventListener('devicechange', retry);
      page.removeEventListener('visibilitychange', onVisible);
      listeners.clear();
      track?.stop();
      track = undefined;
    },
  };
}
