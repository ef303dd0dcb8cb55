/**
 * A candidate without a browser: a WebRTC peer with a microphone (encoded as Opus) and the `oai-events`
 * channel. It creates an offer, accepts an answer and speaks. The caller transports both descriptions.
 *
 * - While silent it sends one silent frame every 400 ms, as Opus does under DTX.
 * - With `autoAnswer` it speaks after a short pause whenever the interviewer's audio has stopped, and again after
 *   two seconds without a reaction, as a person would: on a busy machine the provider may hear too little.
 */
import { type Clock, systemClock, type Timer } from '@greenroom/shared/runtime/clock.ts';
import { MediaStreamTrack, type RTCDataChannel, RTCPeerConnection } from 'werift';
import { createLoudness } from '../voice/opus.ts';
import { peerConfig } from '../voice/peer.ts';
import { createRtpVoice } from '../voice/rtp-voice.ts';
import { voiceLevel } from '../voice/voice-activity.ts';
import { parseEvent, type WireEvent } from '../voice/wire.ts';

export interface CandidatePeerOptions {
  /** Every event that arrives on the data channel. */
  onEvent?: (event: WireEvent) => void;
  /** Answer each turn of the interviewer by speaking. Default false. */
  autoAnswer?: boolean;
  /** How long an automatic answer lasts, milliseconds. Default 300. */
  answerMs?: number;
  /** From the end of the interviewer's audio to the automatic answer, milliseconds. Default 50. */
  answerDelayMs?: number;
  clock?: Clock;
}

export interface CandidateStats {
  packetsSent: number;
  packetsReceived: number;
  /** Number of received packets with voice, found by decoding them. */
  voicePacketsReceived: number;
}

export interface CandidatePeer {
  /** The offer, with all ICE candidates. Call once. */
  offer(): Promise<string>;
  accept(answerSdp: string): Promise<void>;
  /** Resolves when media and data channel are connected. Rejects if the connection fails or is closed before that. */
  readonly connected: Promise<void>;
  /** Resolves when the other side has disconnected or `close` was called. */
  readonly closed: Promise<void>;
  /** Speaks for this long, milliseconds. */
  speak(durationMs: number): void;
  /** Sends an event over the data channel, as a browser could. Throws while it is not open. */
  send(event: WireEvent): void;
  readonly stats: CandidateStats;
  close(): Promise<void>;
}

const candidatePitchHz = 210;
const dtxIntervalMs = 400;
/** How long an automatic answer waits for a reaction before it is repeated. */
const patienceMs = 2_000;
const reactions = new Set(['input_audio_buffer.speech_started', 'output_audio_buffer.started']);

export function createCandidatePeer(options: CandidatePeerOptions = {}): CandidatePeer {
  const clock = options.clock ?? systemClock;
  const connection = new RTCPeerConnection(peerConfig);
  const track = new MediaStreamTrack({ kind: 'audio' });
  connection.addTransceiver(track, { direction: 'sendrecv' });
  const channel = connection.createDataChannel('oai-events');
  const connected = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  // Avoids an unhandled rejection if the caller never awaits it.
  connected.promise.catch(() => undefined);
  const received = countReceived(connection);
  const timers = new Set<Timer>();
  let voice: ReturnType<typeof createRtpVoice> | undefined;
  let reactionCount = 0;

  function after(delayMs: number, work: () => void) {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      work();
    }, delayMs);
    timers.add(timer);
  }
  function speak(durationMs: number) {
    voice?.speak();
    after(durationMs, () => voice?.quiet());
  }
  function answer() {
    const answerMs = options.answerMs ?? 300;
    const before = reactionCount;
    speak(answerMs);
    after(answerMs + patienceMs, () => {
      if (reactionCount === before) answer();
    });
  }
  function onEvent(event: WireEvent) {
    options.onEvent?.(event);
    if (!options.autoAnswer) return;
    if (reactions.has(event.type)) reactionCount += 1;
    if (event.type === 'output_audio_buffer.stopped') after(options.answerDelayMs ?? 50, answer);
  }
  function onUp() {
    if (connection.connectionState !== 'connected' || channel.readyState !== 'open') return;
    voice ??= createRtpVoice({ clock, track, pitchHz: candidatePitchHz, silenceEveryMs: dtxIntervalMs });
    connected.resolve();
  }
  function onDown() {
    voice?.stop();
    for (const timer of timers) timer.cancel();
    connected.reject(new Error('the candidate’s connection was closed'));
    closed.resolve();
  }
  watch(connection, channel, { onUp, onDown, onEvent });

  return {
    offer: async () => {
      await connection.setLocalDescription(await connection.createOffer());
      return connection.localDescription?.sdp ?? '';
    },
    accept: (sdp) => connection.setRemoteDescription({ type: 'answer', sdp }),
    connected: connected.promise,
    closed: closed.promise,
    speak,
    send: (event) => channel.send(JSON.stringify(event)),
    get stats() {
      return { packetsSent: voice?.packetsSent ?? 0, ...received };
    },
    close: async () => {
      onDown();
      channel.close();
      await connection.close();
    },
  };
}

interface Watchers {
  onUp(): void;
  onDown(): void;
  onEvent(event: WireEvent): void;
}

function watch(connection: RTCPeerConnection, channel: RTCDataChannel, { onUp, onDown, onEvent }: Watchers): void {
  connection.connectionStateChange.subscribe((state) => {
    if (state === 'connected') onUp();
    if (state === 'failed' || state === 'closed') onDown();
  });
  channel.stateChanged.subscribe((state) => {
    if (state === 'open') onUp();
    if (state === 'closed') onDown();
  });
  channel.onMessage.subscribe((message) => {
    const event = parseEvent(String(message));
    if (event) onEvent(event);
  });
}

function countReceived(connection: RTCPeerConnection) {
  const received = { packetsReceived: 0, voicePacketsReceived: 0 };
  const loudnessOf = createLoudness();
  connection.onTrack.subscribe((track) => {
    track.onReceiveRtp.subscribe((packet) => {
      received.packetsReceived += 1;
      if (loudnessOf(packet.payload) >= voiceLevel) received.voicePacketsReceived += 1;
    });
  });
  return received;
}
