import type { Problems } from './problems.ts';

/**
 * Plays the interviewer's voice on the candidate's loudspeaker.
 *
 * - If the browser refuses to play, the problem `audio_blocked` is raised, and each press on the page tries
 *   again.
 * - All calls of a session use the same element, because a permission given by a press belongs to the element.
 * - Playback that the system paused (a phone call, a headset) is started again.
 */
export interface Playback {
  play(stream: MediaStream): void;
  /** Tries to play again. Call it from a user gesture. */
  resume(): Promise<void>;
  stop(): void;
}

export interface PlaybackDeps {
  problems: Problems;
  audio: HTMLAudioElement;
  /** Where presses are observed. Default: the document. */
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
      // If a newer stream has replaced this one, only the newer attempt counts.
      if (stopped || audio.srcObject !== stream || (error as DOMException).name === 'AbortError') return;
      problems.raise('audio_blocked');
      return;
    }
    problems.settle('audio_blocked');
  };
  const onPress = () => {
    if (problems.has('audio_blocked')) void resume();
  };
  const onPause = () => void resume();
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
