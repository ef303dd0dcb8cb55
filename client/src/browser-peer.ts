import type { Microphone } from './microphone.ts';
import { objectIn } from './object-in.ts';
import type { CallPeer, IceServer } from './types.ts';

export interface BrowserPeerOptions {
  /** Opened and closed by the caller. Its track may change during the call. */
  microphone: Microphone;
  /** Relays for networks that let no UDP through. The provider needs none. */
  iceServers: readonly IceServer[];
  /** The interviewer's voice. */
  onVoice(stream: MediaStream): void;
}

/** Creates a peer with the browser's WebRTC: one RTCPeerConnection. */
export function createBrowserPeer({ microphone, iceServers, onVoice }: BrowserPeerOptions): CallPeer {
  const connection = new RTCPeerConnection({ iceServers: [...iceServers] as RTCIceServer[] });
  const channel = connection.createDataChannel('oai-events');
  const { sender } = connection.addTransceiver(microphone.track ?? 'audio', { direction: 'sendrecv' });
  const forget = microphone.onTrack((track) => void sender.replaceTrack(track).catch(() => undefined));
  connection.addEventListener('track', ({ streams, track }) => onVoice(streams[0] ?? new MediaStream([track])));
  return {
    // Sent without candidates: the provider answers checks that it did not expect, and gathering takes a tenth of a second or,
    // with a relay, much longer.
    offer: async () => {
      const offer = await connection.createOffer();
      await connection.setLocalDescription(offer);
      return offer.sdp ?? '';
    },
    accept: (sdp) => connection.setRemoteDescription({ type: 'answer', sdp }),
    onEvent: (listener) =>
      channel.addEventListener('message', ({ data }) => {
        const event = objectIn(data);
        if (event) listener(event);
      }),
    onState: (listener) => {
      // The data channel opens last; audio already flows then.
      channel.addEventListener('open', () => listener('connected'));
      connection.addEventListener('connectionstatechange', () => {
        const { connectionState } = connection;
        if (connectionState === 'failed') listener('failed');
        if (connectionState === 'disconnected') listener('interrupted');
        if (connectionState === 'connected' && channel.readyState === 'open') listener('connected');
      });
    },
    stats: async () => (await connection.getStats()).values() as Iterable<Record<string, unknown>>,
    close: () => {
      forget();
      connection.close();
    },
  };
}
