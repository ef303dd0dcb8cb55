import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { Problems } from './problems.ts';
import type { CallPeer, PeerFactory } from './types.ts';

/**
 * The realtime calls of one session, one after the other: at most one peer at a time.
 *
 * - A peer outlives the socket: a reconnection or a new machine does not touch a call that goes on.
 * - A page that finds a call under way and has no peer for it (it was reloaded), or whose answer never came, offers the next
 *   call: nobody can join a call that another page has offered.
 * - A call whose connection failed, is not up `connectMs` after its answer, or is interrupted for `interruptedMs` while the
 *   socket works, is given up for the next one. A few times in a row, for each is a call at the provider; a call that was up
 *   for `steadyMs` begins a new row. After the last one the candidate is told (`call_blocked`), and may try again.
 * - What comes late, of a peer that was replaced or of an interview that is over, changes nothing; a peer that was made too
 *   late is closed.
 */
export interface Calls {
  readonly state: CallState;
  /** After `session_ready`. */
  resume(ready: Extract<ServerMessage, { type: 'session_ready' }>): void;
  /** The worker asks for a call. */
  required(ordinal: number): void;
  answered(message: Extract<ServerMessage, { type: 'sdp_answer' }>): void;
  /** The offer was refused for want of a consent, which is given now; or `call_blocked` was told, and the candidate tries again. */
  again(): void;
  /** Whether the candidate can hear the call has changed. */
  audible(): void;
  readonly peer: CallPeer | undefined;
  /** No call any more, and no new one. */
  close(): void;
}

export type CallState = 'none' | 'offering' | 'answered' | 'up' | 'interrupted' | 'waiting' | 'blocked';

export interface CallsDeps {
  createPeer: PeerFactory;
  problems: Problems;
  send(message: ClientMessage): boolean;
  /** Whether the socket works. */
  isReachable(): boolean;
  /** False once the end was asked for. */
  mayCall(): boolean;
  onState(state: CallState): void;
  /** Each peer, before its offer. */
  onPeer(peer: CallPeer, ordinal: number): void;
  /** The peer could not be made. */
  onError(error: Error): void;
}

/** How long an answer that was under way when the socket dropped is waited for, ms. */
const answerWaitMs = 5_000;
/** How long a connection may take after its answer, ms. */
const connectMs = 10_000;
/** How long a connection may be interrupted while the socket works, ms. */
const interruptedMs = 10_000;
/** A call that was up for so long is no failure in a row of failures, ms. */
const steadyMs = 10_000;
/** Waits before the next call, ms; as many calls may fail in a row. */
const callWaitsMs = [500, 1_000, 2_000, 4_000, 8_000];

export function createCalls(deps: CallsDeps): Calls {
  const { createPeer, problems, send, isReachable, mayCall, onState, onPeer, onError } = deps;
  let state: CallState = 'none';
  let peer: CallPeer | undefined;
  let closed = false;
  /** Counts the calls that were begun. */
  let turn = 0;
  let ordinal: number | undefined;
  let answeredOrdinal: number | undefined;
  let failures = 0;
  /** Waiting for an answer, a connection, or the next call: never for two of them. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  let steady: ReturnType<typeof setTimeout> | undefined;

  const setState = (next: CallState) => {
    if (state === next) return;
    state = next;
    onState(next);
  };
  const after = (ms: number, work: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(work, ms);
  };
  const stopTimers = () => {
    clearTimeout(timer);
    clearTimeout(steady);
  };
  const hangUp = () => {
    stopTimers();
    const last = peer;
    // What it says while it closes is not about the call that follows.
    peer = undefined;
    last?.close();
  };

  const begin = (next: number) => {
    if (closed || !mayCall()) return;
    turn += 1;
    const mine = turn;
    start(next, mine).catch((error: Error) => {
      if (mine === turn) onError(error);
    });
  };
  const start = async (next: number, mine: number) => {
    hangUp();
    ordinal = next;
    setState('offering');
    const made = await createPeer();
    if (mine !== turn) return made.close();
    peer = made;
    onPeer(made, next);
    made.onState((peerState) => {
      if (peer !== made) return;
      if (peerState === 'failed') giveUp();
      if (peerState === 'interrupted') interrupted();
      if (peerState === 'connected') up();
    });
    const sdp = await made.offer();
    if (mine === turn) send({ type: 'sdp_offer', sdp, ordinal: next });
  };
  const tell = () => {
    if (ordinal === undefined) return;
    send({ type: problems.has('audio_blocked') ? 'voice_blocked' : 'call_connected', ordinal });
  };
  const up = () => {
    stopTimers();
    steady = setTimeout(() => {
      failures = 0;
    }, steadyMs);
    problems.settle('call_failed', 'call_blocked');
    setState('up');
    tell();
  };
  const interrupted = () => {
    if (state !== 'up') return;
    clearTimeout(steady);
    setState('interrupted');
    // Without a socket no other call can be asked for: the same network carries both.
    const check = () => (isReachable() ? giveUp() : after(interruptedMs, check));
    after(interruptedMs, check);
  };
  const giveUp = () => {
    if (closed || !mayCall()) return;
    stopTimers();
    const nextMs = callWaitsMs[failures];
    failures += 1;
    if (nextMs === undefined) {
      problems.settle('call_failed');
      problems.raise('call_blocked');
      return setState('blocked');
    }
    problems.raise('call_failed');
    setState('waiting');
    after(nextMs, () => begin((ordinal ?? 0) + 1));
  };
  const isUnderWay = (at: number) => at === ordinal && peer !== undefined && state !== 'waiting' && state !== 'blocked';

  return {
    get state() {
      return state;
    },
    get peer() {
      return peer;
    },
    resume: ({ call_active, ordinal: at }) => {
      if (!call_active) return begin(at);
      if (at !== ordinal) return begin(at + 1);
      if (!isUnderWay(at)) return;
      if (state === 'up') tell();
      if (answeredOrdinal !== at) after(answerWaitMs, () => begin(at + 1));
    },
    required: begin,
    answered: (message) => {
      // Told again on resume; or meant for a peer of a page that is gone.
      if (message.ordinal !== ordinal || ordinal === answeredOrdinal || !peer) return;
      answeredOrdinal = ordinal;
      const mine = peer;
      setState('answered');
      after(connectMs, giveUp);
      mine.accept(message.sdp).catch(() => {
        if (peer === mine) giveUp();
      });
    },
    again: () => {
      failures = 0;
      if (ordinal !== undefined && state !== 'up') begin(answeredOrdinal === ordinal ? ordinal + 1 : ordinal);
    },
    audible: () => {
      if (state === 'up') tell();
    },
    close: () => {
      closed = true;
      turn += 1;
      hangUp();
      setState('none');
    },
  };
}
