import type { ClientMessage, ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from './entry-store.ts';
import { createInterview } from './interview.ts';
import { FakePage, FakeWakeLock } from './testing/fakes.ts';
import type { CallPeer, Ended, InterviewOptions } from './types.ts';

/** A WebSocket whose server is the test. */
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

/** Peers controlled by the test. A closed peer reports `failed` afterwards, as real ones may. */
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

async function begin(options: Partial<InterviewOptions> = {}) {
  const { peers, createPeer } = makePeers();
  const problems: string[] = [];
  const over: string[] = [];
  const client = createInterview({
    link: { websocketUrl: 'ws://interviews.test/ws/sessions/s1', joinToken: 'join' },
    createPeer,
    WebSocket: FakeSocket as unknown as typeof WebSocket,
    random: () => 1,
    ...options,
  });
  client.on('problem', (code) => void problems.push(code));
  client.on('problem_over', (code) => void over.push(code));
  client.join().catch(() => undefined);
  await vi.advanceTimersByTimeAsync(0);
  const server = () => FakeSocket.all.at(-1) as FakeSocket;
  const ready = async (ordinal: number, call_active: boolean, more: object = {}) => {
    server().open();
    const message = { type: 'session_ready', ordinal, call_active, acked: [], reconnect_token: 'again', ...more };
    server().say(message as never);
    await vi.advanceTimersByTimeAsync(0);
  };
  const answer = (ordinal: number) => server().say({ type: 'sdp_answer', sdp: 'answer', ordinal });
  const sent = () => FakeSocket.all.flatMap((socket) => socket.sent);
  const offers = () => sent().flatMap((m) => (m.type === 'sdp_offer' ? [`${m.sdp} as ${m.ordinal ?? 'next'}`] : []));
  const status = () => client.snapshot.status.name;
  return { client, peers, problems, over, server, ready, answer, offers, sent, status };
}

/** Advances the time while the server answers pings. */
async function alive(ms: number) {
  for (let passedMs = 0; passedMs < ms; passedMs += 1_000) {
    await vi.advanceTimersByTimeAsync(Math.min(1_000, ms - passedMs));
    const socket = FakeSocket.all.at(-1);
    if (socket?.readyState === 1) socket.say({ type: 'pong' });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

describe('a call', () => {
  test('a call that is up is not replaced', async () => {
    const { peers, ready, answer, offers, status } = await begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    await alive(60_000);
    expect([offers(), status()]).toEqual([['offer 1 as next'], 'live']);
  });

  test('a call whose connection fails is replaced by the next one', async () => {
    const { peers, ready, answer, offers, problems } = await begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    peers[0]?.state('failed');
    await vi.advanceTimersByTimeAsync(600);
    expect([offers(), problems]).toEqual([['offer 1 as next', 'offer 2 as 2'], ['call_failed']]);
  });

  test('a call that does not connect within 10 s of its answer is replaced by the next one', async () => {
    const { ready, answer, offers } = await begin();
    await ready(1, false);
    answer(1);
    await alive(9_000);
    expect(offers()).toEqual(['offer 1 as next']);
    await alive(2_000);
    expect(offers()).toEqual(['offer 1 as next', 'offer 2 as 2']);
  });

  test('a call that fails while the socket is lost is replaced after the reconnection', async () => {
    const { peers, ready, answer, offers, server } = await begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    server().close(1_006);
    peers[0]?.state('failed');
    await vi.advanceTimersByTimeAsync(1_000);
    await ready(1, true);
    expect(offers().at(-1)).toMatch(/ as 2$/);
  });

  test('no further call is offered after six failures in a row', async () => {
    const { peers, ready, answer, offers } = await begin();
    await ready(1, false);
    for (let ordinal = 1; ordinal < 20; ordinal += 1) {
      answer(ordinal);
      peers.at(-1)?.state('failed');
      await alive(30_000);
    }
    expect(offers()).toHaveLength(6);
  });

  test('a replaced call is closed, and its closing does not lead to another call', async () => {
    const { ready, answer, offers, server, peers } = await begin();
    await ready(1, false);
    answer(1);
    server().say({ type: 'call_required', ordinal: 2, reason: 'rollover', deadline: 0 });
    await vi.advanceTimersByTimeAsync(100);
    expect(peers[0]?.closed).toBe(true);
    answer(2);
    peers[1]?.state('connected');
    await alive(60_000);
    expect(offers()).toEqual(['offer 1 as next', 'offer 2 as 2']);
  });

  test('a call that was refused because of a missing consent is offered again after the consent', async () => {
    const { client, ready, offers, server } = await begin();
    await ready(1, false);
    server().say({ type: 'error', code: 'consent_required', message: '', retryable: false });
    await alive(60_000);
    expect(offers()).toEqual(['offer 1 as next']);
    await client.consent('v1');
    await vi.advanceTimersByTimeAsync(0);
    expect(offers()).toEqual(['offer 1 as next', 'offer 2 as 1']);
  });

  test('a call that fails after the candidate requested the end is not replaced', async () => {
    const { client, peers, ready, answer, offers } = await begin();
    await ready(1, false);
    answer(1);
    void client.end();
    peers[0]?.state('failed');
    await alive(60_000);
    expect(offers()).toEqual(['offer 1 as next']);
  });
});

describe('the first offer of a page', () => {
  const inOrder = (sent: ClientMessage[]) =>
    sent.flatMap(({ type }) => (type === 'init_session' || type === 'sdp_offer' ? [type] : []));

  test('the first offer is sent right behind init_session, and is answered as the session’s next call', async () => {
    const { server, sent, ready, answer, peers, status } = await begin();
    server().open();
    expect(inOrder(sent())).toEqual(['init_session', 'sdp_offer']);
    server().say({ type: 'session_ready', ordinal: 3, call_active: true, acked: [], reconnect_token: 'r' } as never);
    answer(3);
    answer(4);
    peers[0]?.state('connected');
    expect([status(), peers.length]).toEqual(['live', 1]);
    await ready(4, true);
    expect(inOrder(sent())).toHaveLength(3);
  });

  test('the first offer is made again, with its ordinal, when the worker refuses it', async () => {
    const { server, ready, offers } = await begin();
    await ready(2, true);
    const refuse = () => server().say({ type: 'error', code: 'call_not_allowed', message: '', retryable: false });
    refuse();
    await vi.advanceTimersByTimeAsync(0);
    expect(offers()).toEqual(['offer 1 as next', 'offer 2 as 3']);
    refuse();
    await vi.advanceTimersByTimeAsync(0);
    expect(offers()).toHaveLength(2);
  });

  test('the first offer is sent again when the socket is lost before session_ready', async () => {
    const { server, ready, offers, peers } = await begin();
    server().open();
    server().close(1_006);
    await vi.advanceTimersByTimeAsync(300);
    await ready(1, false);
    expect([offers(), peers.length]).toEqual([['offer 1 as next', 'offer 1 as next'], 1]);
  });

  const slowPeer = (): CallPeer => ({
    ...makePeers().createPeer(),
    offer: () => new Promise<string>((resolve) => setTimeout(() => resolve('slow'), 500)),
  });

  test('a first offer that is made after the socket opened does not wait for session_ready', async () => {
    const { server, offers } = await begin({ createPeer: slowPeer });
    server().open();
    expect(offers()).toEqual([]);
    await vi.advanceTimersByTimeAsync(500);
    expect(offers()).toEqual(['slow as next']);
    server().say({ type: 'session_ready', ordinal: 1, call_active: false, acked: [], reconnect_token: 'r' } as never);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(offers()).toEqual(['slow as next']);
  });

  test('a first offer that is made after session_ready is sent with its ordinal', async () => {
    const { ready, offers } = await begin({ createPeer: slowPeer });
    await ready(1, false);
    expect(offers()).toEqual([]);
    await vi.advanceTimersByTimeAsync(500);
    expect(offers()).toEqual(['slow as 1']);
  });
});

describe('a late event', () => {
  /** Peers whose offers take half a second, as on a slow phone. */
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

  test('the offer of a replaced peer is not sent, and the answer goes to the newer peer', async () => {
    const { peers, createPeer } = slowPeers();
    const { ready, server, offers, answer } = await begin({ createPeer });
    await ready(1, false);
    await vi.advanceTimersByTimeAsync(100);
    server().close(4_409);
    await vi.advanceTimersByTimeAsync(50);
    await ready(1, false);
    await alive(2_000);
    expect(offers()).toEqual(['offer 2 as 1']);
    answer(1);
    expect(peers.map(({ accepted }) => accepted.length)).toEqual([0, 1]);
  });

  test('a peer that is created after the end is closed, and no offer is sent', async () => {
    const { peers, createPeer } = slowPeers();
    let make = () => {};
    const { ready, server, offers } = await begin({
      createPeer: () => new Promise((resolve) => (make = () => resolve(createPeer()))),
    });
    await ready(1, false);
    server().say({ type: 'session_ended', outcome: 'cancelled', reason: 'ended_by_platform' } as never);
    make();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([peers.map(({ closed }) => closed), offers()]).toEqual([[true], []]);
  });

  test('a peer that cannot be created for a replaced call raises no problem', async () => {
    let refuse = () => {};
    const { createPeer } = makePeers();
    let made = 0;
    const { ready, server, problems, offers } = await begin({
      createPeer: () =>
        made++ === 0 ? new Promise((_, reject) => (refuse = () => reject(new Error('no')))) : createPeer(),
    });
    await ready(1, false);
    server().say({ type: 'call_required', ordinal: 2, reason: 'call_lost', deadline: 0 } as never);
    refuse();
    await vi.advanceTimersByTimeAsync(10);
    expect([problems, offers()]).toEqual([[], ['offer 1 as 2']]);
  });

  test('a message from a replaced socket is ignored', async () => {
    const { ready, server, status } = await begin();
    await ready(1, false);
    const older = server();
    older.close(4_409);
    await vi.advanceTimersByTimeAsync(50);
    older.say({ type: 'session_ended', outcome: 'failed', reason: 'worker_lost' } as never);
    expect(status()).toBe('connecting');
  });

  test('a frame that is not JSON is ignored', async () => {
    const { ready, server, status } = await begin();
    await ready(1, false);
    server().dispatchEvent(Object.assign(new Event('message'), { data: '<html>' }));
    expect(status()).toBe('connecting');
  });
});

describe('a problem', () => {
  const watched = begin;

  test('call_failed ends when the next call is up', async () => {
    const { over, peers, ready, answer, problems } = await watched();
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

  test('call_blocked is raised if no call connects, and the candidate can then try again', async () => {
    const { client, ready, answer, problems, offers } = await watched();
    await ready(1, false);
    for (let ordinal = 1; ordinal <= 6; ordinal += 1) {
      answer(ordinal);
      await alive(20_000);
    }
    expect(problems.at(-1)).toBe('call_blocked');
    client.retry();
    await vi.advanceTimersByTimeAsync(0);
    expect(offers()).toHaveLength(7);
  });

  test('call_blocked is raised if each call connects but fails at once, because every call costs money', async () => {
    const { peers, ready, answer, problems, offers } = await watched();
    await ready(1, false);
    for (let ordinal = 1; ordinal <= 20; ordinal += 1) {
      answer(ordinal);
      peers.at(-1)?.state('connected');
      peers.at(-1)?.state('failed');
      await alive(9_000);
    }
    expect([offers().length, problems.at(-1)]).toEqual([6, 'call_blocked']);
  });

  test('after a reconnection the interview is not live until its call is connected', async () => {
    const { status, peers, ready, answer, server } = await watched();
    await ready(1, false);
    answer(1);
    server().close(4_409);
    await vi.advanceTimersByTimeAsync(50);
    await ready(1, true);
    expect(status()).toBe('connecting');
    peers[0]?.state('connected');
    expect(status()).toBe('live');
  });
});

describe('a session', () => {
  const end = () => FakeSocket.all.flatMap(({ sent }) => sent).filter(({ type }) => type === 'end_session').length;

  test('a session whose socket cannot be reopened is given up, and the kept entries are uploaded', async () => {
    const ends: Ended[] = [];
    const left: number[] = [];
    const uploads: string[] = [];
    const upload = (async (url: string) => {
      uploads.push(url);
      return Response.json({ item_ids: ['item_1'] });
    }) as unknown as typeof fetch;
    const store = memoryStore();
    await store.put('s1', { ordinal: 1, item_id: 'item_1', speaker: 'ai', text: 'Hello.' });
    await store.setUpload('s1', { url: 'https://p.example/f', token: 't' });
    const { client, ready, server } = await begin({ store, giveUpMs: 60_000, upload: { fetch: upload } });
    client.on('ended', (how) => void ends.push(how));
    client.on('delivered', (delivered) => void left.push(delivered.left));
    await ready(1, false);
    server().close(1_006);
    for (let waitedMs = 0; waitedMs < 59_000; waitedMs += 1_000) {
      await vi.advanceTimersByTimeAsync(1_000);
      if (server().readyState === 0) server().close(1_006);
    }
    expect([ends, uploads]).toEqual([[], []]);
    await alive(2_000);
    expect(ends).toEqual([{ outcome: 'disconnected', reason: 'unreachable' }]);
    await vi.waitFor(() => expect([uploads, left]).toEqual([['https://p.example/f'], [0]]), 10_000);
  });

  test('a session that was never reached is not given up', async () => {
    const { server, status } = await begin({ giveUpMs: 1_000 });
    server().close(4_503);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(status()).toBe('connecting');
  });

  test('unacknowledged entries are sent again after a reconnection, in messages of at most 200', async () => {
    const store = memoryStore();
    for (let n = 0; n < 450; n += 1)
      await store.put('s1', { ordinal: 1, item_id: `item_${n}`, speaker: 'ai', text: 'x' });
    const { ready, server } = await begin({ store });
    await ready(1, false);
    const updates = server().sent.flatMap((m) => (m.type === 'transcript_update' ? [m.entries.length] : []));
    expect(updates).toEqual([200, 200, 50]);
  });

  test('an end requested while the socket was lost is sent after the reconnection', async () => {
    const { client, ready, answer, server, peers } = await begin();
    await ready(1, false);
    answer(1);
    peers[0]?.state('connected');
    server().close(1_006);
    void client.end();
    expect(end()).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000);
    await ready(1, true);
    expect(end()).toBe(1);
  });
});

describe('a socket', () => {
  const live = async (options: Partial<InterviewOptions> = {}) => {
    const started = await begin(options);
    await started.ready(1, false);
    started.answer(1);
    started.peers[0]?.state('connected');
    return started;
  };

  test('a quiet socket is reported within five seconds, then replaced, and the interview stays live', async () => {
    const { client, status } = await live();
    await alive(10_000);
    expect(client.snapshot.saving.state).toBe('saved');
    await vi.advanceTimersByTimeAsync(5_000);
    expect([client.snapshot.saving.state, client.snapshot.problem, status()]).toEqual([
      'behind',
      'socket_lost',
      'live',
    ]);
    await vi.advanceTimersByTimeAsync(8_000);
    expect(FakeSocket.all.length).toBeGreaterThan(1);
  });

  test('a reconnection ends socket_lost, and entries made meanwhile are sent and saved', async () => {
    const peers = makePeers();
    let hear: (event: Record<string, unknown>) => void = () => undefined;
    const createPeer = () => ({
      ...peers.createPeer(),
      onEvent: (listener: typeof hear) => {
        hear = listener;
      },
    });
    const { client, ready, answer, server, sent } = await begin({ createPeer, now: () => 1_000 });
    await ready(1, false);
    answer(1);
    peers.peers[0]?.state('connected');
    server().close(1_006);
    hear({ type: 'conversation.item.input_audio_transcription.completed', item_id: 'item_1', transcript: 'Yes.' });
    expect(client.snapshot.saving).toEqual({ state: 'behind', savedUpTo: null, pending: 1 });
    await alive(1_000);
    await ready(1, true);
    expect(client.snapshot.saving.state).toBe('saving');
    expect(sent().filter(({ type }) => type === 'transcript_update')).toHaveLength(1);
    server().say({ type: 'transcript_ack', item_ids: ['item_1'] });
    expect(client.snapshot.saving).toEqual({ state: 'saved', savedUpTo: 1_000, pending: 0 });
    expect(client.snapshot.problem).toBeNull();
  });

  test('a socket that cannot be opened is tried again after random waits that grow to five seconds', async () => {
    const { server } = await begin();
    const tries: number[] = [];
    for (let n = 0; n < 8; n += 1) {
      const before = FakeSocket.all.length;
      const from = Date.now();
      server().close(1_006);
      while (FakeSocket.all.length === before) await vi.advanceTimersByTimeAsync(50);
      tries.push(Date.now() - from);
    }
    expect(tries).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
  });
});

describe('the turn', () => {
  test('the turn follows the events of the provider, and a pause lasts until the candidate continues', async () => {
    const peers = makePeers();
    let hear: (event: Record<string, unknown>) => void = () => undefined;
    const createPeer = () => ({
      ...peers.createPeer(),
      onEvent: (listener: typeof hear) => {
        hear = listener;
      },
    });
    const { client, ready, answer, sent } = await begin({ createPeer });
    await ready(1, false);
    answer(1);
    peers.peers[0]?.state('connected');
    const turn = () =>
      client.snapshot.status.name === 'live' ? client.snapshot.status.turn : client.snapshot.status.name;
    const turns = [turn()];
    for (const type of [
      'output_audio_buffer.started',
      'output_audio_buffer.stopped',
      'input_audio_buffer.speech_started',
      'input_audio_buffer.speech_stopped',
    ]) {
      hear({ type });
      turns.push(turn());
    }
    expect(turns).toEqual(['listening', 'speaking', 'listening', 'hearing', 'thinking']);
    expect(client.request('moment')).toBe(true);
    hear({ type: 'output_audio_buffer.stopped' });
    expect(turn()).toBe('paused');
    client.request('go_on');
    expect(turn()).toBe('listening');
    expect(sent().flatMap((m) => (m.type === 'candidate_request' ? [m.what] : []))).toEqual(['moment', 'go_on']);
  });
});

describe('a typed answer', () => {
  test('a typed answer is sent again with the same id until it is stored', async () => {
    const { client, peers, ready, answer, server, sent } = await begin();
    await ready(1, false);
    client.say('  Redis.  ');
    expect(client.snapshot.saving.pending).toBe(1);
    answer(1);
    peers[0]?.state('connected');
    await alive(7_000);
    const answers = sent().flatMap((m) => (m.type === 'typed_answer' ? [m] : []));
    expect(answers.length).toBeGreaterThan(1);
    expect(new Set(answers.map(({ id, text }) => `${id}: ${text}`)).size).toBe(1);
    server().say({ type: 'transcript_ack', item_ids: [`typed_${answers[0]?.id}`] });
    expect(client.snapshot.saving.pending).toBe(0);
    await alive(7_000);
    expect(sent().filter(({ type }) => type === 'typed_answer')).toHaveLength(answers.length);
  });
});

describe('the end', () => {
  test('the end is reported once and releases peer, socket and timers, whatever caused it', async () => {
    for (const how of ['leave', 'abort', 'server', 'end'] as const) {
      FakeSocket.all = [];
      const stop = new AbortController();
      const { client, peers, ready, answer, server } = await begin({ signal: stop.signal });
      const ends: Ended[] = [];
      client.on('ended', (end) => void ends.push(end));
      await ready(1, false);
      answer(1);
      peers[0]?.state('connected');
      if (how === 'leave') client.leave();
      if (how === 'abort') stop.abort();
      if (how === 'end') void client.end();
      if (how === 'server' || how === 'end')
        server().say({ type: 'session_ended', outcome: 'completed', reason: 'ended_by_candidate' });
      client.leave();
      await vi.advanceTimersByTimeAsync(0);
      expect([how, ends.length, peers[0]?.closed, server().readyState]).toEqual([how, 1, true, 3]);
      expect(vi.getTimerCount()).toBe(0);
      expect(FakeSocket.all).toHaveLength(1);
    }
  });

  test('an interview that was left before joining opens no socket and cannot be joined', async () => {
    const client = createInterview({
      link: { websocketUrl: 'ws://interviews.test/ws/sessions/s1', joinToken: 'join' },
      createPeer: makePeers().createPeer,
      WebSocket: FakeSocket as unknown as typeof WebSocket,
    });
    client.leave();
    await expect(client.join()).rejects.toMatchObject({ code: 'session_over' });
    expect(FakeSocket.all).toEqual([]);
  });
});

describe('the screen', () => {
  afterEach(() => vi.unstubAllGlobals());

  test('it is kept on while the interview is live, also after the page was hidden, and no longer than that', async () => {
    const [page, wakeLock] = [new FakePage(), new FakeWakeLock()];
    vi.stubGlobal('document', page);
    vi.stubGlobal('window', new EventTarget());
    vi.stubGlobal('navigator', { wakeLock });
    const { client, peers, server, ready, answer } = await begin();
    await ready(1, false);
    answer(1);
    expect(wakeLock.held).toBe(0);
    peers[0]?.state('connected');
    await vi.advanceTimersByTimeAsync(0);
    expect(wakeLock.held).toBe(1);
    await wakeLock.locks[0]?.release();
    page.show();
    await vi.advanceTimersByTimeAsync(0);
    expect(wakeLock.held).toBe(1);
    void client.end();
    server().say({ type: 'session_ended', outcome: 'completed', reason: 'ended_by_candidate' });
    await vi.advanceTimersByTimeAsync(0);
    expect(wakeLock.held).toBe(0);
    page.show();
    await vi.advanceTimersByTimeAsync(0);
    expect(wakeLock.held).toBe(0);
  });
});

describe('the snapshot', () => {
  test('the snapshot is frozen and stays the same object until something changes', async () => {
    const { client, ready } = await begin();
    await ready(1, false);
    const before = client.snapshot;
    expect([Object.isFrozen(before), Object.isFrozen(before.status), client.snapshot === before]).toEqual([
      true,
      true,
      true,
    ]);
    let told = 0;
    client.subscribe(() => (told += 1));
    client.setMuted(false);
    expect([told, client.snapshot === before]).toEqual([0, true]);
    client.setMuted(true);
    expect([told, client.snapshot.devices.muted, client.snapshot.status === before.status]).toEqual([1, true, true]);
  });
});

describe('a join link of an interview that is over', () => {
  beforeEach(() => {
    vi.stubGlobal('history', { state: null, replaceState: () => undefined });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const withdrawal = { effect: 'erase_interview', withdrawn_at: null, settled_at: null };
  const looked = {
    ...{ status: 'ready', starts_at: null, now: new Date(0).toISOString(), joinable: true, organiser: 'Northwind' },
    ...{ position: { title: 'Engineer' }, candidate: { name: 'Kim' }, minutes: 50, records_video: false },
    ...{ simulated: false, bound: 'no', ending: null },
    adjustments: { extra_minutes: 10, slower: true, typing: false },
    consent: { required: true, text_version: 'v1', text: 'We record.', given_at: null, withdrawal },
  };
  const ending = { outcome: 'cancelled', reason: 'consent_declined' };
  /** An interview whose service gives these answers, one after the other. */
  const withAnswers = (...bodies: object[]) => {
    const asked: string[] = [];
    const client = createInterview({
      link: 'https://greenroom.test/join/one#the-code-of-the-link',
      createPeer: makePeers().createPeer,
      fetch: (async (url, init) => {
        asked.push(`${init?.method ?? 'GET'} ${new URL(String(url)).pathname}`);
        return Response.json(bodies.shift() ?? {});
      }) as typeof fetch,
    });
    return { client, asked };
  };

  test('ends at once when the candidate declines', async () => {
    const { client, asked } = withAnswers(looked, { ending });
    expect(await client.look()).toMatchObject({ ending: null, consent: { isGiven: false } });
    expect(client.snapshot.status.name).toBe('idle');
    await client.decline();
    expect(client.snapshot.status).toMatchObject({ name: 'ended', ...ending });
    await expect(client.join()).rejects.toMatchObject({ code: 'session_over' });
    expect(asked).toEqual(['GET /api/join', 'POST /api/join/decline']);
  });

  test('takes a withdrawal of consent before the end and after it, and says so when it is opened again', async () => {
    const given = { ...looked, consent: { ...looked.consent, given_at: 'now' } };
    const withdrawn = { outcome: 'cancelled', reason: 'consent_withdrawn' };
    const early = withAnswers(given, { ending: withdrawn });
    await early.client.look();
    expect(early.client.snapshot.withdrawn).toBe(false);
    expect(await early.client.withdraw()).toBe(true);
    expect(early.client.snapshot).toMatchObject({ withdrawn: true, status: { name: 'ended', ...withdrawn } });
    const finished = { outcome: 'completed', reason: 'ended_by_candidate' };
    const late = withAnswers({ ...given, ending: finished }, {}, { ending: finished });
    await late.client.look();
    expect([await late.client.withdraw(), late.client.snapshot.withdrawn]).toEqual([false, false]);
    expect(await late.client.withdraw()).toBe(true);
    expect(late.client.snapshot).toMatchObject({ withdrawn: true, status: { name: 'ended', ...finished } });
    const again = withAnswers({
      ...{ ...given, ending: finished },
      consent: { ...given.consent, withdrawal: { ...withdrawal, withdrawn_at: 'now' } },
    });
    await again.client.look();
    expect(again.client.snapshot.withdrawn).toBe(true);
  });

  test('shows what was agreed for the candidate', async () => {
    const { client } = withAnswers(looked);
    expect((await client.look()).adjustments).toEqual({ extraMinutes: 10, slower: true, typing: false });
    client.leave();
  });

  test('takes corrections after the end, and says when one could not be stored', async () => {
    const { client, asked } = withAnswers({ ...looked, status: 'completed', ending }, { corrected_at: 'now' }, {});
    await client.look();
    const entry = { ordinal: 1, item_id: 'item_1' };
    expect(await client.correct(entry, 'I said Redis.')).toBe(true);
    expect(await client.correct(entry, 'I said Valkey.')).toBe(false);
    expect(asked).toEqual(['GET /api/join', 'POST /api/join/correct', 'POST /api/join/correct']);
  });

  test('reads the whole transcript, also what was said before the page was opened', async () => {
    const entry = {
      ...{ ordinal: 1, item_id: 'item_1', previous_item_id: null, speaker: 'candidate', text: 'I like Readies.' },
      ...{ confidence: null, start_ms: 0, end_ms: 900, interrupted: false, verified: true },
      ...{ correction: 'I like Redis.', sequence_number: 1 },
    };
    const empty = { ...entry, item_id: 'item_2', text: '' };
    const { client, asked } = withAnswers({ ...looked, status: 'completed', ending }, { entries: [entry, empty] }, {});
    await client.look();
    expect(client.snapshot.transcript).toEqual([]);
    expect(await client.readTranscript()).toBe(true);
    expect(client.snapshot.transcript).toEqual([{ ...entry, final: true }]);
    // An answer of something else changes nothing.
    expect(await client.readTranscript()).toBe(false);
    expect(client.snapshot.transcript).toHaveLength(1);
    expect(asked).toEqual(['GET /api/join', 'GET /api/join/transcript', 'GET /api/join/transcript']);
  });

  test('says how it ended when it is opened again', async () => {
    const { client } = withAnswers({ ...looked, status: 'cancelled', ending });
    const over: Ended[] = [];
    client.on('ended', (end) => over.push(end));
    await client.look();
    expect([client.snapshot.status.name, over]).toEqual(['ended', [ending]]);
  });
});
