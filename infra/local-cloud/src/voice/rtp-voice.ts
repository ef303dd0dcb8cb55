/**
 * Sends Opus frames as RTP in real time: one timer per sender, 20 ms apart, with late ticks caught up. While
 * silent it sends only an occasional silent frame (if requested), as Opus does under DTX.
 */
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { type MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { frameMs, samplesPerFrame, silentFrame, voiceFrames } from './opus.ts';

export interface RtpVoice {
  readonly packetsSent: number;
  /** Speaks until `quiet` is called. */
  speak(): void;
  quiet(): void;
  stop(): void;
}

export interface RtpVoiceOptions {
  clock: Clock;
  track: MediaStreamTrack;
  pitchHz: number;
  /** Send a silent frame this often while quiet. Default: none. */
  silenceEveryMs?: number;
}

const opusPayloadType = 96; // The sender rewrites it to what the two peers agreed on.
const mostFramesAtOnce = 5;

export function createRtpVoice({ clock, track, pitchHz, silenceEveryMs }: RtpVoiceOptions): RtpVoice {
  const frames = voiceFrames(pitchHz);
  const originMs = clock.monotonicMs();
  let sequenceNumber = Math.floor(Math.random() * 0x8000);
  let packetsSent = 0;
  let nextFrame = 0;
  let speaking = false;
  let newTalkspurt = true;
  let dueMs = originMs;
  let timer: Timer | undefined;

  function send(payload: Buffer, atMs: number) {
    const timestamp = (Math.round((atMs - originMs) / frameMs) * samplesPerFrame) >>> 0;
    sequenceNumber = (sequenceNumber + 1) & 0xffff;
    packetsSent += 1;
    const header = new RtpHeader({
      payloadType: opusPayloadType,
      sequenceNumber,
      timestamp,
      marker: newTalkspurt,
      ssrc: 1, // Rewritten as well.
    });
    newTalkspurt = false;
    track.writeRtp(new RtpPacket(header, payload));
  }
  function tick() {
    const nowMs = clock.monotonicMs();
    const stepMs = speaking ? frameMs : (silenceEveryMs ?? frameMs);
    dueMs = Math.max(dueMs, nowMs - mostFramesAtOnce * frameMs);
    for (; dueMs <= nowMs; dueMs += stepMs) {
      if (speaking) send(frames[nextFrame++ % frames.length] ?? silentFrame, dueMs);
      else if (silenceEveryMs) send(silentFrame, dueMs);
    }
    arm();
  }
  function arm() {
    timer?.cancel();
    const idle = !speaking && silenceEveryMs === undefined;
    timer = idle ? undefined : clock.setTimer(tick, Math.max(0, dueMs - clock.monotonicMs()));
  }
  arm();
  return {
    get packetsSent() {
      return packetsSent;
    },
    speak: () => {
      if (speaking) return;
      speaking = true;
      newTalkspurt = true;
      dueMs = clock.monotonicMs();
      arm();
    },
    quiet: () => {
      speaking = false;
      arm();
    },
    stop: () => {
      speaking = false;
      timer?.cancel();
    },
  };
}
