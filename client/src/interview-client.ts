import {
  type ClientMessage,
  closeCodes,
  type ServerMessage,
  subprotocol,
  tokenSubprotocolPrefix,
} from '@greenroom/shared/protocol/socket.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { chunksOf } from './chunks.ts';
import { createEntryCollector } from './entries.ts';
import { createKeptEntries, type KeptEntries } from './kept-entries.ts';
import type { CallPeer, PeerFactory } from './peer.ts';
import { type UploadOptions, uploadKept } from './upload.ts';

/**
 * The headless interview client: one interview, from the first connection to its end, whatever the network does.
 *
 * C1  The URL never changes; after the first `session_ready` the reconnect token takes the join token's place.
 * C2  Every item of both speakers is kept until it is acknowledged by id, and sent again after each reconnection.
 * C3  The peer connection outlives the socket: a reconnect or a new machine does not touch a call that goes on.
 * C4  `session_ended` and the final close codes end it; every other close is followed by another try, until the session
 *     must be over by itself: a worker without its candidate ends it within the reconnect grace.
 * C5  A page that finds a call under way and has no peer for it (it was reloaded), or one that never got its answer, offers
 *     the next call: nobody can join a call that another page has offered.
 * C6  What is not acknowledged when there is no socket any more is uploaded (upload.ts).
 * C7  An end that the candidate asked for is asked for again after a reconnection: nobody presses the button twice.
 * C8  A call whose connection failed, or is not up some time after its answer, is given up for the next one: nobody else
 *     knows that this browser hears nothing. A few times in a row, for each is a call at the provider; a call that was
 *     up for `steadyMs` begins a new row. After the last one the candidate is told (`call_blocked`), and may try again.
 * C9  What comes late, of a socket or peer that was replaced or of an interview that is over, changes nothing, and a peer
 *     that was made too late is closed.
 */
export type InterviewState = 'connecting' | 'ready' | 'calling' | 'live' | 'reconnecting' | 'ended';

export interface InterviewEnd {
  outcome: string;
  reason: string;
}

export interface InterviewEvents {
  /** Each change of state. */
  onState?(state: InterviewState): void;
  /** A piece of the conversation; `final` is false while it is still being said. */
  onEntry?(entry: TranscriptEntry, final: boolean): void;
  /** The time limit is near. */
  onWarning?(endsAt: number): void;
  /** A problem; the interview goes on unless `onEnd` follows. `message` is for developers, not for the candidate. */
  onProblem?(code: string, message: string): void;
  /** A problem of this client's own is over: `microphone`, `call_failed` or `call_blocked`. */
  onProblemOver?(code: string): void;
  /** It is over. Called once. */
  onEnd?(end: InterviewEnd): void;
  /** C6, after `onEnd`: everything that can be done for the transcript is done. `left` entries stay kept. Called once. */
  onDelivered?(left: number): void;
  /** Each message from the server, for whoever wants to watch. */
  onMessage?(message: ServerMessage): void;
  /** Each event of the voice provider's data channel. */
  onProviderEvent?(event: Record<string, unknown>): void;
}

export interface InterviewClientOptions extends InterviewEvents {
  websocketUrl: string;
  joinToken: string;
  /** Makes the peer of each realtime call. */
  createPeer: PeerFactory;
  /** Waits between two tries to connect, ms: doubled each time up to 5 s. Default 250. */
  reconnectMs?: number;
  /** How long a socket that was lost is tried for, ms (C4). Default 5 min: longer than the reconnect grace. */
  giveUpMs?: number;
  /** What is not acknowledged. Default: in memory, gone with the page. */
  kept?: KeptEntries;
  /** C6. */
  upload?: UploadOptions;
  /** Replaces the platform's WebSocket. */
  WebSocket?: typeof WebSocket;
}

export interface InterviewClient {
  connect(): void;
  /** The candidate ends the interview. */
  end(): void;
  /** Offers a call that was refused once more: after `consent_required`, when the consent is recorded. */
  offerAgain(): void;
  /** Tries for another call after `call_blocked`. */
  callAgain(): void;
  /** Drops the socket without ending anything, as a bad network would. */
  dropSocket(): void;
  /** Leaves without a word: closes socket and call. */
  close(): void;
  readonly state: InterviewState;
  /** Items that are not acknowledged yet. */
  readonly unacknowledged: number;
}

/** How long an answer that was under way when the socket dropped is waited for, ms (C5). */
const answerWaitMs = 5_000;
/** C8: how long a connection may take after its answer, ms. */
const connectLimitMs = 10_000;
/** C8: a call that was up for so long is no failure in a row of failures, ms. */
const steadyMs = 10_000;
/** C8: waits before the next call, ms; as many calls may fail in a row. */
const callWaitsMs = [500, 1_000, 2_000, 4_000, 8_000];

const finalCodes: Record<number, InterviewEnd> = {
  [closeCodes.normal]: { outcome: 'completed', reason: 'closed' },
  [closeCodes.token]: { outcome: 'failed', reason: 'token_refused' },
  [closeCodes.unknown]: { outcome: 'failed', reason: 'unknown_session' },
  [closeCodes.ended]: { outcome: 'completed', reason: 'already_ended' },
  [closeCodes.replaced]: { outcome: 'disconnected', reason: 'opened_elsewhere' },
};

const unreachable: InterviewEnd = { outcome: 'disconnected', reason: 'unreachable' };

/** Undefined for what is no message of ours: it says nothing about the interview. */
function readMessage(data: unknown): ServerMessage | undefined {
  try {
    const message: unknown = JSON.parse(String(data));
    return typeof message === 'object' && message !== null ? (message as ServerMessage) : undefined;
  } catch {
    return undefined;
  }
}

export function createInterviewClient(options: InterviewClientOptions): InterviewClient {
  const Socket = options.WebSocket ?? WebSocket;
  const firstWaitMs = options.reconnectMs ?? 250;
  const giveUpMs = options.giveUpMs ?? 300_000;
  const kept = options.kept ?? createKeptEntries('');
  let state: InterviewState = 'connecting';
  let token = options.joinToken;
  let socket: WebSocket | undefined;
  let peer: CallPeer | undefined;
  let fresh = true;
  let ending = false;
  let peerOrdinal: number | undefined;
  let answeredOrdinal: number | undefined;
  let connectedOrdinal: number | undefined;
  let answerTimer: ReturnType<typeof setTimeout> | undefined;
  /** C8. */
  let callTimer: ReturnType<typeof setTimeout> | undefined;
  let steadyTimer: ReturnType<typeof setTimeout> | undefined;
  let failedCalls = 0;
  /** C9: counts the calls that were begun, and the end. */
  let callTurn = 0;
  let waitMs = firstWaitMs;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let giveUp: ReturnType<typeof setTimeout> | undefined;

  const setState = (next: InterviewState) => {
    if (state === next || state === 'ended') return;
    state = next;
    options.onState?.(next);
  };
  const send = (message: ClientMessage) => {
    if (socket?.readyState === Socket.OPEN) socket.send(JSON.stringify(message));
  };

  const finish = (end: InterviewEnd) => {
    if (state === 'ended') return;
    setState('ended');
    clearTimeout(timer);
    clearTimeout(giveUp);
    clearTimeout(answerTimer);
    clearTimeout(callTimer);
    clearTimeout(steadyTimer);
    callTurn += 1;
    peer?.close();
    peer = undefined;
    socket?.close(1000);
    options.onEnd?.(end);
    // C6.
    void uploadKept(kept, options.upload).then((left) => options.onDelivered?.(left));
  };

  const startCall = async (ordinal: number, turn: number) => {
    setState('calling');
    clearTimeout(answerTimer);
    clearTimeout(callTimer);
    clearTimeout(steadyTimer);
    const last = peer;
    // What it says while it closes is not about the call that follows.
    peer = undefined;
    last?.close();
    peerOrdinal = ordinal;
    const next = await options.createPeer();
    if (turn !== callTurn) return next.close(); // C9
    peer = next;
    options.onProblemOver?.('microphone');
    listenTo(next, ordinal);
    const sdp = await next.offer();
    if (turn === callTurn) send({ type: 'sdp_offer', sdp, ordinal });
  };
  const listenTo = (next: CallPeer, ordinal: number) => {
    const collector = createEntryCollector(ordinal);
    next.onEvent((event) => {
      if (state === 'ended') return;
      options.onProviderEvent?.(event);
      const entry = collector.take(event);
      if (!entry) return;
      kept.add(entry);
      send({ type: 'transcript_update', entries: [entry] });
    });
    next.onState((peerState) => {
      if (peer !== next) return;
      if (peerState === 'failed') return giveUpCall(ordinal);
      onCallUp(ordinal);
    });
  };
  const onCallUp = (ordinal: number) => {
    clearTimeout(callTimer);
    clearTimeout(steadyTimer);
    steadyTimer = setTimeout(() => {
      failedCalls = 0;
    }, steadyMs);
    options.onProblemOver?.('call_failed');
    options.onProblemOver?.('call_blocked');
    setState('live');
    connectedOrdinal = ordinal;
    send({ type: 'call_connected', ordinal });
  };

  const callOrTell = (ordinal: number) => {
    callTurn += 1;
    const turn = callTurn;
    startCall(ordinal, turn).catch((error: Error) => {
      if (turn === callTurn) options.onProblem?.('microphone', error.message);
    });
  };
  /** C8. */
  const giveUpCall = (ordinal: number) => {
    if (state === 'ended' || ending) return;
    clearTimeout(callTimer);
    clearTimeout(steadyTimer);
    connectedOrdinal = undefined;
    const nextMs = callWaitsMs[failedCalls];
    failedCalls += 1;
    setState('calling');
    if (nextMs === undefined) return options.onProblem?.('call_blocked', 'No audio gets through this network.');
    options.onProblem?.('call_failed', 'The audio connection was lost.');
    callTimer = setTimeout(() => peerOrdinal === ordinal && callOrTell(ordinal + 1), nextMs);
  };
  /** C5. */
  const resumeCall = (ordinal: number) => {
    if (peerOrdinal !== ordinal) return callOrTell(ordinal + 1);
    if (connectedOrdinal === ordinal) send({ type: 'call_connected', ordinal });
    setState(connectedOrdinal === ordinal ? 'live' : 'calling');
    if (answeredOrdinal === ordinal) return;
    clearTimeout(answerTimer);
    answerTimer = setTimeout(() => answeredOrdinal !== ordinal && callOrTell(ordinal + 1), answerWaitMs);
  };
  const answer = ({ sdp, ordinal }: Extract<ServerMessage, { type: 'sdp_answer' }>) => {
    // Told again on resume; or meant for a peer of a page that is gone.
    if (ordinal !== peerOrdinal || ordinal === answeredOrdinal) return;
    answeredOrdinal = ordinal;
    clearTimeout(answerTimer);
    clearTimeout(callTimer);
    callTimer = setTimeout(() => connectedOrdinal !== ordinal && giveUpCall(ordinal), connectLimitMs);
    const answered = peer;
    answered?.accept(sdp).catch(() => {
      if (peer === answered) giveUpCall(ordinal);
    });
  };

  const onMessage = (message: ServerMessage) => {
    options.onMessage?.(message);
    switch (message.type) {
      case 'session_ready':
        token = message.reconnect_token;
        fresh = false;
        waitMs = firstWaitMs;
        clearTimeout(giveUp);
        giveUp = undefined;
        if (message.transcript_url && message.transcript_token)
          kept.upload = { url: message.transcript_url, token: message.transcript_token };
        kept.remove(message.acked);
        for (const entries of chunksOf(kept.all)) send({ type: 'transcript_update', entries });
        if (ending) return send({ type: 'end_session' });
        if (message.call_active) return resumeCall(message.ordinal);
        setState('ready');
        return callOrTell(message.ordinal);
      case 'sdp_answer':
        return answer(message);
      case 'call_required':
        return ending ? undefined : callOrTell(message.ordinal);
      case 'transcript_ack':
        return kept.remove(message.item_ids);
      case 'transcript_entry':
        return options.onEntry?.(message.entry, message.final);
      case 'session_warning':
        return options.onWarning?.(message.ends_at);
      case 'error':
        return options.onProblem?.(message.code, message.message);
      case 'session_ended':
        return finish({ outcome: message.outcome, reason: message.reason });
      default:
        return undefined;
    }
  };

  const connect = () => {
    if (state === 'ended') return;
    const current = new Socket(options.websocketUrl, [subprotocol, `${tokenSubprotocolPrefix}${token}`]);
    socket = current;
    current.addEventListener('open', () => {
      if (socket === current) send({ type: 'init_session', ...(fresh ? { fresh } : {}) });
    });
    current.addEventListener('message', ({ data }) => {
      if (socket !== current || state === 'ended') return; // C9
      const message = readMessage(data);
      if (message) onMessage(message);
    });
    current.addEventListener('close', ({ code }) => {
      if (socket !== current || state === 'ended') return;
      const end = finalCodes[code];
      if (end) return finish(end);
      setState('reconnecting');
      // C4: an interview that never began is waited for.
      if (!fresh) giveUp ??= setTimeout(() => finish(unreachable), giveUpMs);
      timer = setTimeout(connect, code === closeCodes.moved ? 0 : waitMs);
      waitMs = Math.min(waitMs * 2, 5_000);
    });
  };

  return {
    connect,
    end: () => {
      ending = true;
      send({ type: 'end_session' });
    },
    offerAgain: () => {
      if (peerOrdinal !== undefined && answeredOrdinal !== peerOrdinal) callOrTell(peerOrdinal);
    },
    callAgain: () => {
      failedCalls = 0;
      if (peerOrdinal !== undefined && state === 'calling') callOrTell(peerOrdinal + 1);
    },
    dropSocket: () => socket?.close(3_000, 'dropped'),
    close: () => finish({ outcome: 'disconnected', reason: 'left' }),
    get state() {
      return state;
    },
    get unacknowledged() {
      return kept.all.length;
    },
  };
}
