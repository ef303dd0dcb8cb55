/** Plays and records on this device alone. Without `blob:` URLs, which a strict policy would refuse. */
export interface Sounds {
  /** Resolves when the tone is over. */
  tone(): Promise<void>;
  record(track: MediaStreamTrack, ms: number): Promise<ArrayBuffer>;
  /** Resolves when the recording has been played. */
  play(recording: ArrayBuffer): Promise<void>;
  /** Stops what is under way and forgets it. */
  close(): void;
}

const toneS = 0.8;
const toneHz = 523;

export function createSounds(): Sounds {
  const context = new AudioContext();
  let recorder: MediaRecorder | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const untilEnded = (source: AudioScheduledSourceNode) =>
    new Promise<void>((resolve) => {
      source.onended = () => resolve();
    });
  return {
    tone: async () => {
      await context.resume();
      const oscillator = context.createOscillator();
      const gain = context.createGain();
      oscillator.frequency.value = toneHz;
      const begin = context.currentTime;
      // Without a slope at both ends it clicks.
      gain.gain.setValueAtTime(0, begin);
      gain.gain.linearRampToValueAtTime(0.3, begin + 0.05);
      gain.gain.linearRampToValueAtTime(0, begin + toneS);
      oscillator.connect(gain).connect(context.destination);
      oscillator.start(begin);
      oscillator.stop(begin + toneS);
      await untilEnded(oscillator);
    },
    record: (track, ms) =>
      new Promise((resolve, reject) => {
        const parts: Blob[] = [];
        const mine = new MediaRecorder(new MediaStream([track]));
        recorder = mine;
        mine.ondataavailable = ({ data }) => parts.push(data);
        mine.onerror = () => reject(new Error('the browser could not record'));
        mine.onstop = () => resolve(new Blob(parts).arrayBuffer());
        mine.start();
        timer = setTimeout(() => {
          if (mine.state !== 'inactive') mine.stop();
        }, ms);
      }),
    play: async (recording) => {
      await context.resume();
      const source = context.createBufferSource();
      source.buffer = await context.decodeAudioData(recording);
      source.connect(context.destination);
      source.start();
      await untilEnded(source);
    },
    close: () => {
      clearTimeout(timer);
      if (recorder && recorder.state !== 'inactive') recorder.stop();
      void context.close().catch(() => undefined);
    },
  };
}
