/**
 * Real Opus at low cost: a speech-like phrase is encoded once per process and played in a loop; incoming
 * frames are decoded at 8 kHz, only to measure their loudness.
 */
import { Decoder, Encoder } from '@evan/opus';

export const frameMs = 20;
export const samplesPerFrame = 960;
/** What Opus sends for silence under DTX: one table-of-contents byte and nothing to decode. */
export const silentFrame = Buffer.from([0xf8, 0xff, 0xfe]);

const phraseFrames = 50;
const cache = new Map<number, Buffer[]>();

/**
 * One second of voice as 20 ms Opus frames, 48 kHz mono.
 * @param pitchHz the pitch of the voice; each pitch is encoded once.
 */
export function voiceFrames(pitchHz: number): Buffer[] {
  const known = cache.get(pitchHz);
  if (known) return known;
  const encoder = new Encoder({ channels: 1, sample_rate: 48_000, application: 'voip' });
  encoder.bitrate = 24_000;
  const frames = Array.from({ length: phraseFrames }, (_, n) => Buffer.from(encoder.encode(frameOf(pitchHz, n))));
  cache.set(pitchHz, frames);
  return frames;
}

// A few harmonics that rise and fall four times a second, like syllables, but never to zero.
function frameOf(pitchHz: number, frame: number): Int16Array {
  return Int16Array.from({ length: samplesPerFrame }, (_, i) => {
    const t = (frame * samplesPerFrame + i) / 48_000;
    const swell = 0.65 + 0.35 * Math.sin(2 * Math.PI * 4 * t);
    const tone = [1, 0.6, 0.35, 0.2].reduce((sum, a, h) => sum + a * Math.sin(2 * Math.PI * pitchHz * (h + 1) * t), 0);
    return Math.round(tone * swell * 5000);
  });
}

/**
 * Measures the loudness of Opus frames: the root mean square of their 16-bit samples; 0 for silence and
 * invalid frames.
 */
export function createLoudness(): (frame: Buffer) => number {
  const decoder = new Decoder({ channels: 1, sample_rate: 8000 });
  return (frame) => {
    if (frame.length <= silentFrame.length) return 0;
    try {
      const bytes = decoder.decode(frame);
      return rootMeanSquare(new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
    } catch {
      return 0;
    }
  };
}

function rootMeanSquare(samples: Int16Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length === 0 ? 0 : Math.sqrt(sum / samples.length);
}
