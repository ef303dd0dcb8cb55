/**
 * The sound levels of the candidate and the interviewer, 0–1. A meter reads them in an animation frame. They
 * are not part of the snapshot, so that a new level redraws only the meter. Measured with an AnalyserNode,
 * because a strict content security policy would refuse a worklet.
 */
export interface Levels {
  input(): number;
  output(): number;
  hear(side: 'input' | 'output', stream: MediaStream): void;
  close(): void;
}

const silent = () => 0;
/** Speech at a normal distance has a root mean square of about 0.1. The level is 1 at 0.25. */
export const fullScale = 4;

export function createLevels(createContext: () => AudioContext): Levels {
  let context: AudioContext | undefined;
  const read = { input: silent, output: silent };
  const sources: Partial<Record<'input' | 'output', AudioNode>> = {};
  return {
    input: () => read.input(),
    output: () => read.output(),
    hear: (side, stream) => {
      try {
        context ??= createContext();
        const source = context.createMediaStreamSource(stream);
        const analyser = context.createAnalyser();
        analyser.fftSize = 512;
        source.connect(analyser);
        sources[side]?.disconnect();
        sources[side] = source;
        const samples = new Float32Array(analyser.fftSize);
        read[side] = () => {
          analyser.getFloatTimeDomainData(samples);
          const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
          return Math.min(1, Math.sqrt(power) * fullScale);
        };
        // A context that is created without a user gesture starts suspended.
        if (context.state === 'suspended') void context.resume().catch(() => undefined);
      } catch {
        // Only the level meter does not work then.
      }
    },
    close: () => {
      read.input = silent;
      read.output = silent;
      for (const source of Object.values(sources)) source.disconnect();
      void context?.close().catch(() => undefined);
      context = undefined;
    },
  };
}
