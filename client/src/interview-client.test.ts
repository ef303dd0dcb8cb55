import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createInterviewClient, type InterviewClientOptions, type InterviewEnd } from './interview-client.ts';
import { createKeptEntries } from './kept-entries.ts';
import type { CallPeer } from './peer.ts';

/** A server's side of the socket, spoken by the test. */
class FakeSocket extends EventTarget {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: ClientMessage[] = [];
  constructor() {
    super();
    FakeSocket.all.push(this);
  }
  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }
  say(message: Partial<ServerMessage>) {
    this.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(message) }));
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close(code = 1_000) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code }));
  }
}

/** Peers that do what the test says, and say `failed` when they are closed before they were up, as real ones may. */
function makePeers() {
  const peers: Array<{ state(state: 'connected' | 'failed'): void; closed: boolean }> = [];
  const createPeer = (): CallPeer => {
    const listeners: Array<(state: 'connected' | 'failed') => void> = [];
    const mine = {
      state: (state: 'connected' | 'failed') => listeners.forEach((tell) => void tell(state)),
      closed: false,
    };
    peers.push(mine);
    return {
      offer: async () => `offer ${peers.indexOf(mine) + 1}`,
      accept: async () => undefined,
      onEvent: () => undefined,
      onState: (listener) => void listeners.push(listener),
      close: () => {
        mine.closed = true;
        void Promise.resolve().then(() => mine.state('failed'));
      },
    };
  };
  return { peers, createPeer };
}

function begin(options: Partial<InterviewClientOptions> = {}) {
  const { peers, createPeer } = makePeers();
  const problems: string[] = [];
  const client = createInterviewClient({
    websocketUrl: 'ws://interviews.test',
    joinToken: 'join',
    createPeer,
    onProblem: (code) => void problems.push(code),
    WebSocket: FakeSocket as unknown as typeof WebSocket,
    ...options,
  });
  client.connect();
  const server = () => FakeSocket.all.at(-1) as FakeSocket;
  const ready = async (ordinal: number, call_active: boolean) => {
    server().open();
    server().say({ type: 'session_ready', ordinal, call_active, acked: [], reconnect_token: 'again' } as never);
    await vi.advanceTimersByTimeAsync(0);
  };
  const answer = (ordinal: number) => server().say({ type: 'sdp_answer', sdp: 'answer', ordinal });
  const offers = () =>
    FakeSocket.all
      .flatMap(({ sent }) => sent)
      .flatMap((m) => (m.type === 'sdp_offer' ? [`${m.sdp} as ${m.ordinal}`] : []));
  return { client, peers, problems, server, ready, answer, offers };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

describe('a call', () => {
  test('that is up is left alone', async () => {
    const { peers, ready, answer, offers, client } = begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect([offers(), client.state]).toEqual([['offer 1 as 1'], 'live']);
  });

  test('whose connection fails is followed by the next one', async () => {
    const { peers, ready, answer, offers, problems } = begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    peers[0]?.state('failed');
    await vi.advanceTimersByTimeAsync(600);
    expect([offers(), problems]).toEqual([['offer 1 as 1', 'offer 2 as 2'], ['call_failed']]);
  });

  test('that was answered and never comes up is followed by the next one', async () => {
    const { ready, answer, offers } = begin();
    await ready(1, false);
    answer(1);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(offers()).toEqual(['offer 1 as 1']);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(offers()).toEqual(['offer 1 as 1', 'offer 2 as 2']);
  });

  test('that fails while the socket is away is offered anew when it is back', async () => {
    const { peers, ready, answer, offers, server } = begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    server().close(1_006);
    peers[0]?.state('failed');
    await vi.advanceTimersByTimeAsync(1_000);
    await ready(1, true);
    expect(offers().at(-1)).toMatch(/ as 2$/);
  });

  test('is not offered for ever: after a few failures in a row it stays with telling', async () => {
    const { peers, ready, answer, offers } = begin();
    await ready(1, false);
    for (let ordinal = 1; ordinal < 20; ordinal += 1) {
      answer(ordinal);
      peers.at(-1)?.state('failed');
      await vi.advanceTimersByTimeAsync(30_000);
    }
    expect(offers()).toHaveLength(6);
  });

  test('that is replaced is not missed when it closes', async () => {
    const { ready, answer, offers, server, peers } = begin();
    await ready(1, false);
    answer(1);
    server().say({ type: 'call_required', ordinal: 2, reason: 'rollover', deadline: 0 });
    await vi.advanceTimersByTimeAsync(100);
    expect(peers[0]?.closed).toBe(true);
    answer(2);
    peers[1]?.state('connected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(offers()).toEqual(['offer 1 as 1', 'offer 2 as 2']);
  });

  test('that was refused for want of a consent is offered again when asked to', async () => {
    const { client, ready, offers, server } = begin();
    await ready(1, false);
    server().say({ type: 'error', code: 'consent_required', message: '', retryable: false });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(offers()).toEqual(['offer 1 as 1']);
    client.offerAgain();
    await vi.advanceTimersByTimeAsync(0);
    expect(offers()).toEqual(['offer 1 as 1', 'offer 2 as 1']);
  });

  test('is not begun again once the candidate has asked for the end', async () => {
    const { client, peers, ready, answer, offers } = begin();
    await ready(1, false);
    answer(1);
    client.end();
    peers[0]?.state('failed');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(offers()).toEqual(['offer 1 as 1']);
  });
});

describe('what comes late', () => {
  /** Peers whose offers take half a second, as a browser's gathering does. */
  const slowPeers = () => {
    const peers: Array<{ accepted: string[]; closed: boolean }> = [];
    const createPeer = (): CallPeer => {
      const mine = { accepted: [] as string[], closed: false };
      const name = `offer ${peers.push(mine)}`;
      return {
        offer: () => new Promise((resolve) => setTimeout(() => resolve(name), 500)),
        accept: async (sdp) => void mine.accepted.push(sdp),
        onEvent: () => undefined,
        onState: () => undefined,
        close: () => {
          mine.closed = true;
        },
      };
    };
    return { peers, createPeer };
  };

  test('the offer of a peer that was replaced while it was made is not sent, and the answer goes to the newer peer', async () => {
    const { peers, createPeer } = slowPeers();
    const { ready, server, offers, answer } = begin({ createPeer });
    await ready(1, false);
    await vi.advanceTimersByTimeAsync(100);
    server().close(4_409);
    await vi.advanceTimersByTimeAsync(50);
    await ready(1, false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(offers()).toEqual(['offer 2 as 1']);
    answer(1);
    expect(peers.map(({ accepted }) => accepted.length)).toEqual([0, 1]);
  });

  test('a peer that is made after the end is closed, and no offer goes out', async () => {
    const { peers, createPeer } = slowPeers();
    let make = () => {};
    const { ready, server, offers } = begin({
      createPeer: () => new Promise((resolve) => (make = () => resolve(createPeer()))),
    });
    await ready(1, false);
    server().say({ type: 'session_ended', outcome: 'cancelled', reason: 'ended_by_platform' } as never);
    make();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([peers.map(({ closed }) => closed), offers()]).toEqual([[true], []]);
  });

  test('a microphone that is refused for a call that was replaced is not told', async () => {
    let refuse = () => {};
    const { createPeer } = makePeers();
    let made = 0;
    const { ready, server, problems, offers } = begin({
      createPeer: () =>
        made++ === 0 ? new Promise((_, reject) => (refuse = () => reject(new Error('no')))) : createPeer(),
    });
    await ready(1, false);
    server().say({ type: 'call_required', ordinal: 2, reason: 'call_lost', deadline: 0 } as never);
    refuse();
    await vi.advanceTimersByTimeAsync(10);
    expect([problems, offers()]).toEqual([[], ['offer 1 as 2']]);
  });

  test('a message of a socket that was replaced changes nothing', async () => {
    const { client, ready, server } = begin();
    await ready(1, false);
    const older = server();
    older.close(4_409);
    await vi.advanceTimersByTimeAsync(50);
    older.say({ type: 'session_ended', outcome: 'failed', reason: 'worker_lost' } as never);
    expect(client.state).toBe('reconnecting');
  });

  test('a frame that is not JSON is passed over', async () => {
    const { client, ready, server } = begin();
    await ready(1, false);
    server().dispatchEvent(Object.assign(new Event('message'), { data: '<html>' }));
    expect(client.state).toBe('calling');
  });
});

describe('a problem', () => {
  const watched = () => {
    const over: string[] = [];
    return { over, ...begin({ onProblemOver: (code) => void over.push(code) }) };
  };

  test('of a call that failed is over when the next one is up', async () => {
    const { over, peers, ready, answer, problems } = watched();
    await ready(1, false);
    answer(1);
    peers[0]?.state('failed');
    expect(problems).toEqual(['call_failed']);
    await vi.advanceTimersByTimeAsync(600);
    over.length = 0;
    answer(2);
    peers[1]?.state('connected');
    expect(over).toContain('call_failed');
  });

  test('of a network that lets no audio through is told after the last call, and the candidate may try again', async () => {
    const { client, ready, answer, problems, offers } = watched();
    await ready(1, false);
    for (let ordinal = 1; ordinal <= 6; ordinal += 1) {
      answer(ordinal);
      await vi.advanceTimersByTimeAsync(20_000);
    }
    expect(problems.at(-1)).toBe('call_blocked');
    client.callAgain();
    await vi.advanceTimersByTimeAsync(0);
    expect(offers()).toHaveLength(7);
  });

  test('of a call that comes up and fails at once, over and over, ends too: each is paid for', async () => {
    const { peers, ready, answer, problems, offers } = watched();
    await ready(1, false);
    for (let ordinal = 1; ordinal <= 20; ordinal += 1) {
      answer(ordinal);
      peers.at(-1)?.state('connected');
      peers.at(-1)?.state('failed');
      await vi.advanceTimersByTimeAsync(9_000);
    }
    expect([offers().length, problems.at(-1)]).toEqual([6, 'call_blocked']);
  });

  test('of a call is not hidden by a socket that comes back: without audio it is not live', async () => {
    const { client, peers, ready, answer, server } = watched();
    await ready(1, false);
    answer(1);
    server().close(4_409);
    await vi.advanceTimersByTimeAsync(50);
    await ready(1, true);
    expect(client.state).toBe('calling');
    peers[0]?.state('connected');
    expect(client.state).toBe('live');
  });
});

describe('a session', () => {
  const end = () => FakeSocket.all.flatMap(({ sent }) => sent).filter(({ type }) => type === 'end_session').length;

  test('whose socket cannot be had again is given up, and what was kept is uploaded', async () => {
    const ends: InterviewEnd[] = [];
    const left: number[] = [];
    const uploads: string[] = [];
    const upload = (async (url: string) => {
      uploads.push(url);
      return Response.json({ item_ids: ['item_1'] });
    }) as unknown as typeof fetch;
    const kept = createKeptEntries('s1');
    kept.add({ ordinal: 1, item_id: 'item_1', speaker: 'ai', text: 'Hello.' });
    kept.upload = { url: 'https://p.example/f', token: 't' };
    const { ready, server } = begin({
      kept,
      giveUpMs: 60_000,
      upload: { fetch: upload },
      onEnd: (how) => void ends.push(how),
      onDelivered: (count) => void left.push(count),
    });
    await ready(1, false);
    server().close(1_006);
    for (let waitedMs = 0; waitedMs < 59_000; waitedMs += 1_000) {
      await vi.advanceTimersByTimeAsync(1_000);
      if (server().readyState === 0) server().close(1_006);
    }
    expect([ends, uploads]).toEqual([[], []]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(ends).toEqual([{ outcome: 'disconnected', reason: 'unreachable' }]);
    expect([uploads, left]).toEqual([['https://p.example/f'], [0]]);
  });

  test('that was never joined is waited for', async () => {
    const { client, server } = begin({ giveUpMs: 1_000 });
    server().close(4_503);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(client.state).toBe('reconnecting');
  });

  test('gets again whatever it has not acknowledged, however much that is', async () => {
    const kept = createKeptEntries('s1');
    for (let n = 0; n < 450; n += 1) kept.add({ ordinal: 1, item_id: `item_${n}`, speaker: 'ai', text: 'x' });
    const { ready, server } = begin({ kept });
    await ready(1, false);
    const updates = server().sent.flatMap((m) => (m.type === 'transcript_update' ? [m.entries.length] : []));
    expect(updates).toEqual([200, 200, 50]);
  });

  test('that the candidate wanted to end while the socket was away ends when it is back', async () => {
    const { client, ready, answer, server, peers } = begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    server().close(1_006);
    client.end();
    expect(end()).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000);
    await ready(1, true);
    expect(end()).toBe(1);
  });
});
