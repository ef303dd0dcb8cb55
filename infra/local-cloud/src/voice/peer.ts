/**
 * The provider's end of a call's media: a WebRTC peer that answers one offer.
 *
 * - The answer is complete: it contains all candidates, without trickling and without a STUN or TURN server.
 * - `.local` (mDNS) candidates of a browser are removed before the offer is read: resolving them would send
 *   multicast, and the browser reaches us anyway.
 * - The other side counts as lost when its data channel closes or the transport fails. werift itself detects
 *   a silent loss after about 30 s of unanswered consent checks.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { MediaStreamTrack, type RTCDataChannel, RTCPeerConnection, RTCRtpCodecParameters } from 'werift';
import { type Line, throughLine } from './line.ts';
import { createLoudness } from './opus.ts';
import { createRtpVoice } from './rtp-voice.ts';

export interface PeerHandlers {
  onChannelOpen(): void;
  onMessage(text: string): void;
  onConnected(): void;
  /** Loudness of one frame of the candidate's audio. */
  onLevel(level: number): void;
  onLost(): void;
}

export interface Peer {
  readonly answerSdp: string;
  readonly connected: boolean;
  readonly channelOpen: boolean;
  readonly packetsReceived: number;
  readonly packetsSent: number;
  /** Sends over the data channel; does nothing while it is not open. */
  send(text: string): void;
  speak(): void;
  quiet(): void;
  close(): Promise<void>;
}

const interviewerPitchHz = 140;

export const peerConfig = {
  codecs: { audio: [new RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48_000, channels: 2 })] },
  iceServers: [],
  iceAdditionalHostAddresses: ['127.0.0.1'],
  iceUseIpv6: false,
  bundlePolicy: 'max-bundle' as const,
};

const withoutMulticastNames = (sdp: string) => sdp.replace(/^a=candidate:.*\.local .*(\r?\n)/gm, '');

/** The peer that answers this offer, or undefined if it is not a usable offer. */
export async function answerOffer(
  offer: string,
  { clock, line }: { clock: Clock; line: Line },
  handlers: PeerHandlers,
): Promise<Peer | undefined> {
  if (!/^v=0/.test(offer) || !/^m=audio /m.test(offer)) return undefined;
  const connection = new RTCPeerConnection(peerConfig);
  const track = new MediaStreamTrack({ kind: 'audio' });
  const received = listen(connection, handlers);
  try {
    await connection.setRemoteDescription({ type: 'offer', sdp: withoutMulticastNames(offer) });
    const audio = connection.getTransceivers().find((transceiver) => transceiver.kind === 'audio');
    await audio?.sender.replaceTrack(track);
    audio?.setDirection('sendrecv');
    await connection.setLocalDescription(await connection.createAnswer());
    throughLine(connection, line);
  } catch {
    await connection.close();
    return undefined;
  }
  const voice = createRtpVoice({ clock, track, pitchHz: interviewerPitchHz });
  return {
    answerSdp: connection.localDescription?.sdp ?? '',
    get connected() {
      return connection.connectionState === 'connected';
    },
    get channelOpen() {
      return received.channel?.readyState === 'open';
    },
    get packetsReceived() {
      return received.packets;
    },
    get packetsSent() {
      return voice.packetsSent;
    },
    send: (text) => {
      if (received.channel?.readyState === 'open') received.channel.send(text);
    },
    speak: voice.speak,
    quiet: voice.quiet,
    close: async () => {
      received.closing = true;
      voice.stop();
      received.channel?.close();
      await connection.close();
      line.stop();
    },
  };
}

interface Received {
  channel: RTCDataChannel | undefined;
  packets: number;
  /** True while we end the call ourselves: a connection that closes then is not a loss. */
  closing: boolean;
}

function listen(connection: RTCPeerConnection, handlers: PeerHandlers): Received {
  const received: Received = { channel: undefined, packets: 0, closing: false };
  const loudnessOf = createLoudness();
  const lost = () => {
    if (received.closing) return;
    received.closing = true;
    handlers.onLost();
  };
  connection.connectionStateChange.subscribe((state) => {
    if (state === 'connected') handlers.onConnected();
    if (state === 'failed' || state === 'disconnected' || state === 'closed') lost();
  });
  connection.onTrack.subscribe((track) => {
    track.onReceiveRtp.subscribe((packet) => {
      received.packets += 1;
      handlers.onLevel(loudnessOf(packet.payload));
    });
  });
  connection.onDataChannel.subscribe((channel) => {
    received.channel = channel;
    channel.onMessage.subscribe((message) => handlers.onMessage(String(message)));
    channel.stateChanged.subscribe((state) => {
      if (state === 'open') handlers.onChannelOpen();
      if (state === 'closed') lost();
    });
    if (channel.readyState === 'open') handlers.onChannelOpen();
  });
  return received;
}
