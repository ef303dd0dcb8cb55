/**
 * How loud the candidate and the interviewer are, 0–1. Read by whoever draws, in an animation frame; never part of the
 * snapshot, so that a level redraws nothing else. By AnalyserNode: no worklet, which a strict policy would refuse.
 */
export interface Levels {
  input(): number;
  output(): number;
  hear(side: 'input' | 'output', stream: MediaStream): void;
  close(): void;
}

const silent = () => 0;
/** Speech at a normal distance has a root mean square of about 0.1; the meter is full at 0.25. */
const fullScale = 4;

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
        // Made outside a press, it is asleep.
        if (context.state === 'suspended') void context.resume().catch(() => undefined);
      } catch {
        // A meter that does not work costs nothing but the meter.
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
