import {
  type CandidatePeer,
  type CandidatePeerOptions,
  createCandidatePeer,
} from '@greenroom/local-cloud/candidate/candidate-peer.ts';
import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { createInterviewClient, type InterviewClient, type InterviewEnd } from '../../client/src/interview-client.ts';
import type { PeerFactory } from '../../client/src/peer.ts';

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
  client: InterviewClient;
  /** Resolves when the interview is over. */
  ended: Promise<InterviewEnd>;
}

/** A peer for `createInterviewClient` made of the local cloud's headless candidate. */
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
  let client: InterviewClient | undefined;
  // An entry is reported again when it changes, for example when it gets its end time.
  const shown = new Set<string>();
  const ended = new Promise<InterviewEnd>((resolve) => {
    client = createInterviewClient({
      websocketUrl: options.websocketUrl,
      joinToken: options.joinToken,
      createPeer: options.createPeer ?? nodePeer(options.peer, options.onPeer),
      ...(options.onProviderEvent ? { onProviderEvent: options.onProviderEvent } : {}),
      ...(options.onDelivered ? { onDelivered: options.onDelivered } : {}),
      onState: (state) => step(`client_${state}`, ''),
      onProblem: (code, message) => step('problem', `${code}: ${message}`),
      onMessage: (message) => {
        options.onMessage?.(message);
        if (message.type === 'session_ready') step('socket_open', `epoch ${message.epoch}`);
        if (message.type === 'sdp_answer') step('sdp_answered', `call ${message.ordinal}`);
        if (
          message.type === 'transcript_entry' &&
          message.final &&
          message.entry.text !== '' &&
          !shown.has(message.entry.item_id)
        ) {
          shown.add(message.entry.item_id);
          step('said', `${message.entry.speaker === 'ai' ? 'Interviewer' : 'Candidate'}: ${message.entry.text}`);
        }
      },
      onEnd: resolve,
    });
    client.connect();
  });
  return { client: client as unknown as InterviewClient, ended };
}
