import type { Problems } from './problems.ts';

/**
 * The interviewer's voice on the candidate's loudspeaker.
 *
 * P1  A browser that refuses to play is a problem the candidate can solve by one press: it is raised as `audio_blocked`,
 *     and each press on the page tries again.
 * P2  One element for all calls of a session: the permission that a press gave it stays with it.
 * P3  A sound that the system paused (a phone call, a headset) is played again.
 */
export interface Playback {
  play(stream: MediaStream): void;
  /** Tries again; call it from a press. */
  resume(): Promise<void>;
  stop(): void;
}

export interface PlaybackDeps {
  problems: Problems;
  audio: HTMLAudioElement;
  /** Where presses are seen. Default: the document. */
  page?: Pick<Document, 'addEventListener' | 'removeEventListener'>;
}

const presses = ['pointerdown', 'keydown'] as const;

export function createPlayback({ problems, audio, page = document }: PlaybackDeps): Playback {
  let stopped = false;
  const resume = async () => {
    const stream = audio.srcObject;
    if (stopped || !stream) return;
    try {
      await audio.play();
    } catch (error) {
      // A newer stream took this one's place: its own attempt says how it went.
      if (stopped || audio.srcObject !== stream || (error as DOMException).name === 'AbortError') return;
      problems.raise('audio_blocked');
      return;
    }
    problems.settle('audio_blocked');
  };
  const onPress = () => {
    if (problems.has('audio_blocked')) void resume();
  };
  const onPause = () => void resume(); // P3
  for (const press of presses) page.addEventListener(press, onPress);
  audio.addEventListener('pause', onPause);

  return {
    play: (stream) => {
      if (stopped) return;
      audio.srcObject = stream;
      void resume();
    },
    resume,
    stop: () => {
      stopped = true;
      for (const press of presses) page.removeEventListener(press, onPress);
      audio.removeEventListener('pause', onPause);
      audio.pause();
      audio.srcObject = null;
      problems.settle('audio_blocked');
    },
  };
}
