import { InterviewError, type ProblemCode, type Problems } from './problems.ts';

/**
 * The candidate's microphone. It is replaced when its track ends.
 *
 * - A track that ended (unplugged, taken by the system) is replaced by the default microphone. While there is
 *   none, it is tried again on each change of devices and each return to the page.
 * - A track that the system mutes for longer than `mutedMs` (a phone call, a screen lock) is replaced, because
 *   some systems never unmute it.
 * - Events of a replaced track are ignored. The stream of an outdated request is stopped.
 */
export interface Microphone {
  /** Opens the microphone. Rejects with an `InterviewError`; it can then be called again. */
  open(deviceId?: string): Promise<void>;
  readonly track: MediaStreamTrack | undefined;
  /** Silences the track and each later one. The microphone stays open. */
  setMuted(muted: boolean): void;
  /** Opens the microphone again if its track ended or is muted by the system. */
  retry(): void;
  /** Calls the listener with each new track. @returns a function that removes the listener */
  onTrack(listener: (track: MediaStreamTrack) => void): () => void;
  /** Stops the track and removes all listeners. */
  close(): void;
}

export interface MicrophoneDeps {
  problems: Problems;
  /** Default: `navigator.mediaDevices`. Undefined in browsers without it and on pages without HTTPS. */
  devices?: Pick<MediaDevices, 'getUserMedia' | 'addEventListener' | 'removeEventListener'> | undefined;
  /** Reports when the page is shown again. Default: the document. */
  page?: Pick<Document, 'addEventListener' | 'removeEventListener' | 'visibilityState'>;
}

/** How long a track may be muted by the system before it is replaced, ms. */
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
      if (mine !== request || closed) return got.stop();
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
