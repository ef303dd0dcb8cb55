import {
  type CandidatePeer,
  type CandidatePeerOptions,
  createCandidatePeer,
} from '@greenroom/local-cloud/candidate/candidate-peer.ts';
import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { createInterview, type Ended, type Interview, type PeerFactory } from '../../client/src/index.ts';

/**
 * One candidate in one interview: the product's headless client with a real WebRTC peer in Node. It sends real audio and
 * answers when the interviewer has finished speaking.
 */
export interface CandidateOptions {
  websocketUrl: string;
  joinToken: string;
  /** Something happened on the candidate's side, e.g. `socket_open`, `sdp_answered`, `said`. */
  onStep?(step: string, detail: string): void;
  onMessage?(message: ServerMessage): void;
  /** Events of the voice provider's data channel. */
  onProviderEvent?(event: Record<string, unknown>): void;
  /** How the candidate behaves in the call. */
  peer?: CandidatePeerOptions;
  /** Receives the peer of each call, for tests that misuse it as the owner of a browser could. */
  onPeer?(peer: CandidatePeer): void;
  /** Default: `nodePeer` with `peer` and `onPeer`. */
  createPeer?: PeerFactory;
  /** Called once the transcript is stored, or can no longer be stored. */
  onDelivered?(left: number): void;
}

export interface CandidateInterview {
  client: Interview;
  /** Cuts the socket, as a bad network would; the client connects again by itself. */
  dropSocket(): void;
  /** Resolves when the interview is over. */
  ended: Promise<Ended>;
}

/** A peer for `createInterview` made of the local cloud's headless candidate. */
export const nodePeer = (
  options: CandidatePeerOptions = {},
  onPeer: (peer: CandidatePeer) => void = () => undefined,
): PeerFactory => {
  return () => {
    const listeners: Array<(event: Record<string, unknown>) => void> = [];
    const peer = createCandidatePeer({
      autoAnswer: true,
      ...options,
      onEvent: (event) => {
        for (const listener of listeners) listener(event);
      },
    });
    onPeer(peer);
    return {
      offer: () => peer.offer(),
      accept: (sdp) => peer.accept(sdp),
      onEvent: (listener) => void listeners.push(listener),
      onState: (listener) => {
        peer.connected.then(
          () => listener('connected'),
          () => listener('failed'),
        );
      },
      close: () => void peer.close(),
    };
  };
};

export function startCandidate(options: CandidateOptions): CandidateInterview {
  const step = options.onStep ?? (() => undefined);
  // An entry is reported again when it changes, for example when it gets its end time.
  const shown = new Set<string>();
  let socket: WebSocket | undefined;
  class WatchedSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      socket = this;
    }
  }
  const client = createInterview({
    link: { websocketUrl: options.websocketUrl, joinToken: options.joinToken },
    createPeer: options.createPeer ?? nodePeer(options.peer, options.onPeer),
    WebSocket: WatchedSocket,
  });
  // A status is announced again when one of its fields changes, such as the time that is left.
  let status = '';
  client.on('status', ({ name }) => {
    if (name !== status) step(`client_${name}`, '');
    status = name;
  });
  client.on('problem', (code) => step('problem', `${code}: `));
  client.on('trouble', ({ code, message }) => step('problem', `${code}: ${message}`));
  client.on('provider', (event) => options.onProviderEvent?.(event));
  client.on('delivered', ({ left }) => options.onDelivered?.(left));
  client.on('message', (told) => {
    const message = told as ServerMessage;
    options.onMessage?.(message);
    if (message.type === 'session_ready') step('socket_open', `epoch ${message.epoch}`);
    if (message.type === 'sdp_answer') step('sdp_answered', `call ${message.ordinal}`);
  });
  client.on('entry', ({ entry, final }) => {
    if (!final || entry.text === '' || shown.has(entry.item_id)) return;
    shown.add(entry.item_id);
    step('said', `${entry.speaker === 'ai' ? 'Interviewer' : 'Candidate'}: ${entry.text}`);
  });
  const ended = new Promise<Ended>((resolve) => client.on('ended', resolve));
  // How it ended is told by `ended`.
  client.join().catch(() => undefined);
  return { client, ended, dropSocket: () => socket?.close(3_000, 'dropped') };
}
