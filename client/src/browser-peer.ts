import type { Microphone } from './microphone.ts';
import { objectIn } from './object-in.ts';
import type { CallPeer, IceServer } from './types.ts';

/** Longest wait for ICE candidates before the offer is sent, ms. The provider does not need them. */
const gatherMs = 500;

/** Waits for ICE gathering to be complete, or for `gatherMs`. */
function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, gatherMs);
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState !== 'complete') return;
      clearTimeout(timer);
      resolve();
    });
  });
}

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
    offer: async () => {
      await connection.setLocalDescription(await connection.createOffer());
      await gathered(connection);
      return connection.localDescription?.sdp ?? '';
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
