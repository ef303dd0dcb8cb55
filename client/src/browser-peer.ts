import type { CallPeer } from './peer.ts';

/** How long candidates are gathered before the offer goes out, ms. The provider needs none of them. */
const gatherMs = 500;

/** Waits for ICE gathering to be complete, or for `gatherMs`. */
function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, gatherMs);
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState === 'complete') resolve();
    });
  });
}

export interface BrowserPeerOptions {
  /** The microphone; asked for by the page, stopped by the page. */
  microphone: MediaStream;
  /** The interviewer's voice is played here. */
  audio: HTMLAudioElement;
}

/** A peer on the browser's own WebRTC. One RTCPeerConnection makes the offer and carries the call. */
export function createBrowserPeer({ microphone, audio }: BrowserPeerOptions): CallPeer {
  const connection = new RTCPeerConnection();
  const channel = connection.createDataChannel('oai-events');
  for (const track of microphone.getAudioTracks()) connection.addTrack(track, microphone);
  connection.addEventListener('track', ({ streams }) => {
    audio.srcObject = streams[0] ?? null;
    audio.play().catch(() => undefined);
  });
  return {
    offer: async () => {
      await connection.setLocalDescription(await connection.createOffer());
      await gathered(connection);
      return connection.localDescription?.sdp ?? '';
    },
    accept: (sdp) => connection.setRemoteDescription({ type: 'answer', sdp }),
    onEvent: (listener) =>
      channel.addEventListener('message', ({ data }) => listener(JSON.parse(String(data)) as Record<string, unknown>)),
    onState: (listener) => {
      // The data channel opens last: audio flows by then.
      channel.addEventListener('open', () => listener('connected'));
      connection.addEventListener('connectionstatechange', () => {
        if (connection.connectionState === 'failed') listener('failed');
      });
    },
    close: () => connection.close(),
  };
}
