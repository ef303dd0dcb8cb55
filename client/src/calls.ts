import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { Problems } from './problems.ts';
import type { CallPeer, PeerFactory } from './types.ts';

/**
 * The realtime calls of one session. They follow each other, and there is at most one peer at a time.
 *
 * - A peer is independent of the socket: a reconnection or a new machine does not affect a running call.
 * - If a call is running but this page has no peer for it (the page was reloaded), or if the answer never came,
 *   the page offers the next call, because a page cannot join a call that another page has offered.
 * - A call is replaced by the next one if its connection fails, is not up `connectMs` after its answer, is
 *   interrupted for `interruptedMs` while the socket works, or carries sound in one direction only. The number of
 *   failures in a row is limited, because each call costs money at the provider. A call that was up for `steadyMs`,
 *   with sound in both directions as far as is known, resets the count. After the last failure the problem
 *   `call_blocked` is raised, and the candidate can try again.
 * - The first offer of a page is made while its socket opens, and sent right behind `init_session`, without an ordinal: the
 *   worker takes it for the next call, whatever that is. `session_ready` tells the page its ordinal. If the worker
 *   refuses it, the page offers again, with the ordinal.
 * - Late events of a peer that was replaced, or after the end of the interview, are ignored. A peer that is
 *   created too late is closed.
 */
export interface Calls {
  readonly state: CallState;
  /** Makes the first offer of this page before its socket is open. */
  prepare(): void;
  /** Call it when `init_session` was sent: the offer of `prepare` is sent now, or as soon as it is ready. */
  opened(): void;
  /** Call it when the worker has refused an offer. Makes the offer again if it was sent before `session_ready`. */
  refused(): void;
  /** Continues after `session_ready`. */
  resume(ready: Extract<ServerMessage, { type: 'session_ready' }>): void;
  /** Begins the call that the worker asks for. */
  required(ordinal: number): void;
  answered(message: Extract<ServerMessage, { type: 'sdp_answer' }>): void;
  /** Offers a call again: after the candidate has given a missing consent, or tries again after `call_blocked`. */
  again(): void;
  /** Replaces the call that is up: sound flows in one direction only. */
  replace(): void;
  /** Reports to the worker that the candidate's browser has started or stopped playing the call. */
  audible(): void;
  readonly peer: CallPeer | undefined;
  /** Closes the call. No other call begins after this. */
  close(): void;
}

export type CallState = 'none' | 'offering' | 'answered' | 'up' | 'interrupted' | 'waiting' | 'blocked';

export interface CallsDeps {
  createPeer: PeerFactory;
  problems: Problems;
  send(message: ClientMessage): boolean;
  /** Whether the socket works at present. */
  isReachable(): boolean;
  /** False after the end was requested. */
  mayCall(): boolean;
  onState(state: CallState): void;
  /** Called with each peer before its offer. */
  onPeer(peer: CallPeer, ordinal: number): void;
  /** Called when a peer could not be created. */
  onError(error: Error): void;
}

interface EarlyOffer {
  peer: Promise<CallPeer>;
  offer: Promise<string>;
  ready: { made: CallPeer; sdp: string } | undefined;
  isSent: boolean;
}

/** After a reconnection, how long to wait for the answer to an earlier offer, ms. */
const answerWaitMs = 5_000;
/** How long a connection may take after its answer, ms. */
const connectMs = 10_000;
/** How long a connection may be interrupted while the socket works, ms. */
const interruptedMs = 10_000;
/** A call that was up for this long resets the count of failures, ms. */
const steadyMs = 10_000;
/** Waits before the next call after each failure in a row, ms. One more failure is the last. */
const callWaitsMs = [500, 1_000, 2_000, 4_000, 8_000];

export function createCalls(deps: CallsDeps): Calls {
  const { createPeer, problems, send, isReachable, mayCall, onState, onPeer, onError } = deps;
  let state: CallState = 'none';
  let peer: CallPeer | undefined;
  let closed = false;
  /** Number of calls begun so far. Work of an older call compares it to find out that it is outdated. */
  let turn = 0;
  let ordinal: number | undefined;
  let answeredOrdinal: number | undefined;
  let failures = 0;
  /** The offer of `prepare`, until `session_ready`. */
  let early: EarlyOffer | undefined;
  /** `init_session` was sent and `session_ready` has not arrived: the offer of `prepare` can be sent once it is ready. */
  let isOpened = false;
  /** Ordinal of the call whose offer was sent before `session_ready` and is not answered yet. */
  let unsure: number | undefined;
  /** Runs while waiting for an answer, a connection or the next call; there is only ever one such wait. */
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
    // Cleared first, so that events of the closing peer are not taken for events of the next call.
    peer = undefined;
    last?.close();
  };

  const offerEarly = () => {
    if (early?.ready && mayCall()) early.isSent = send({ type: 'sdp_offer', sdp: early.ready.sdp });
  };
  const prepare = () => {
    if (closed || early || ordinal !== undefined) return;
    const peer = Promise.resolve().then(createPeer);
    const offer = peer.then((made) => made.offer());
    const mine: EarlyOffer = { peer, offer, ready: undefined, isSent: false };
    early = mine;
    Promise.all([peer, offer]).then(
      ([made, sdp]) => {
        mine.ready = { made, sdp };
        if (early === mine && isOpened) offerEarly();
      },
      // The next attempt is made after `session_ready`, and reports the error if it fails again.
      () => {
        if (early === mine) early = undefined;
      },
    );
  };
  /** The peer of `prepare`, or a new one. */
  const takePeer = async (): Promise<{ made: CallPeer; offer: Promise<string> | undefined }> => {
    const taken = early;
    early = undefined;
    return taken ? { made: await taken.peer, offer: taken.offer } : { made: await createPeer(), offer: undefined };
  };
  /** Uses the peer whose offer was sent before `session_ready` for this call. */
  const adopt = ({ made }: { made: CallPeer }, next: number) => {
    early = undefined;
    if (!mayCall()) return made.close();
    turn += 1;
    ordinal = next;
    unsure = next;
    setState('offering');
    attend(made, next);
  };
  const begin = (next: number) => {
    if (closed || !mayCall()) return;
    turn += 1;
    unsure = undefined;
    const mine = turn;
    start(next, mine).catch((error: Error) => {
      if (mine === turn) onError(error);
    });
  };
  const start = async (next: number, mine: number) => {
    hangUp();
    ordinal = next;
    setState('offering');
    const { made, offer } = await takePeer();
    if (mine !== turn) return made.close();
    attend(made, next);
    const sdp = await (offer ?? made.offer());
    if (mine === turn) send({ type: 'sdp_offer', sdp, ordinal: next });
  };
  const attend = (made: CallPeer, next: number) => {
    peer = made;
    onPeer(made, next);
    made.onState((peerState) => {
      if (peer !== made) return;
      if (peerState === 'failed') giveUp();
      if (peerState === 'interrupted') interrupted();
      if (peerState === 'connected') up();
    });
  };
  const tell = () => {
    if (ordinal === undefined) return;
    send({ type: problems.has('audio_blocked') ? 'voice_blocked' : 'call_connected', ordinal });
  };
  const up = () => {
    stopTimers();
    steady = setTimeout(() => {
      if (!problems.has('voice_missing') && !problems.has('not_heard')) failures = 0;
    }, steadyMs);
    problems.settle('call_failed', 'call_blocked');
    setState('up');
    tell();
  };
  const interrupted = () => {
    if (state !== 'up') return;
    clearTimeout(steady);
    setState('interrupted');
    // Without a socket no other call can be offered. Probably the network is down, so keep waiting.
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
    prepare,
    opened: () => {
      isOpened = true;
      offerEarly();
    },
    refused: () => {
      if (unsure !== undefined && unsure === ordinal && answeredOrdinal !== ordinal) begin(unsure);
    },
    resume: ({ call_active, ordinal: at }) => {
      isOpened = false;
      if (early?.ready && early.isSent) return adopt(early.ready, call_active ? at + 1 : at);
      if (!call_active) return begin(at);
      if (at !== ordinal) return begin(at + 1);
      if (!isUnderWay(at)) return;
      if (state === 'up') tell();
      if (answeredOrdinal !== at) after(answerWaitMs, () => begin(at + 1));
    },
    required: begin,
    answered: (message) => {
      // A repetition after a reconnection, or the answer for an earlier page of this session.
      if (message.ordinal !== ordinal || ordinal === answeredOrdinal || !peer) return;
      answeredOrdinal = ordinal;
      unsure = undefined;
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
    replace: () => {
      if (state === 'up' && isReachable()) giveUp();
    },
    audible: () => {
      if (state === 'up') tell();
    },
    close: () => {
      closed = true;
      turn += 1;
      hangUp();
      early?.peer.then(
        (made) => made.close(),
        () => undefined,
      );
      early = undefined;
      setState('none');
    },
  };
}
