import type { OpenCallResponse } from '@greenroom/shared/protocol/worker-api.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import { answerSdp, offerSdp } from '../../test/peers.ts';
import type { Answer } from '../outside/orchestrator.ts';
import { type CallsDeps, createCalls } from './calls.ts';
import type { CreatedCall, VoiceCall } from './voice.ts';

const log = silentLogger();

describe('the calls of a session', () => {
  const credentialOf = (ordinal: number) => ({
    value: `ek_${ordinal}`,
    base_url: 'https://voice.test/v1',
    expires_at: 0,
  });
  const opened = (ordinal: number): Answer<OpenCallResponse> => ({
    kind: 'ok',
    value: { ordinal, credential: credentialOf(ordinal), form: 'raw', session: {} },
  });
  const failed = (status: number, code?: string) =>
    ({ kind: 'failed', status, code, retryAfterMs: 0, problem: {} }) as Answer<never>;
  const setUp = (
    changes: {
      openCall?: CallsDeps['orchestrator']['openCall'];
      updateCall?: CallsDeps['orchestrator']['updateCall'];
      createCall?: () => Promise<CreatedCall>;
      hangUp?: () => boolean | Promise<boolean>;
      ready?: VoiceCall['ready'];
    } = {},
  ) => {
    const clock = createFakeClock();
    const order: string[] = [];
    const events: string[] = [];
    const noted = <T>(what: string, value: T): T => {
      order.push(what);
      return value;
    };
    const attended: VoiceCall = {
      ready: changes.ready ?? (async () => 'ready'),
      attached: true,
      log: { entries: () => [], knows: () => false, awaited: () => 0, settle: () => [] },
      begin: () => {},
      returned: () => {},
      tell: () => true,
      type: () => true,
      silence: () => {},
      expectEnd: () => {},
      close: () => void order.push('sideband closed'),
    };
    let lose = () => {};
    const calls = createCalls({
      clock,
      log,
      random: () => 0.5,
      nextOrdinal: 1,
      sidebandReadyMs: 1,
      lateTranscriptMs: 100,
      orchestrator: {
        openCall: changes.openCall ?? (async (ordinal) => noted(`open ${ordinal}`, opened(ordinal))),
        updateCall:
          changes.updateCall ??
          (async (ordinal, change) => noted(`${Object.keys(change)[0]} ${ordinal}`, { kind: 'ok', value: {} })),
      },
      voice: {
        offerProblem: (offer) => (offer === offerSdp ? undefined : 'it is another'),
        createCall:
          changes.createCall ?? (async () => noted('create', { kind: 'created', callId: 'rtc_1', answer: answerSdp })),
        hangUp: async (id, { value }) => noted(`hang up ${id} ${value}`, await (changes.hangUp?.() ?? true)),
        attend: (_call, hear) => {
          lose = () => hear({ type: 'gone' });
          return noted('sideband', attended);
        },
      },
      onCredential: () => {},
      onOpened: () => {},
      onEvent: (ordinal, { type }) => void events.push(`${type} ${ordinal}`),
      onClosed: (ordinal) => void order.push(`closed ${ordinal}`),
    });
    return { clock, order, events, calls, lose: () => lose() };
  };

  test('attaches the sideband while the call’s id is stored, and answers when the id is stored', async () => {
    const { calls, order } = setUp();
    expect(await calls.offer(offerSdp)).toEqual({ kind: 'answered', sdp: answerSdp, ordinal: 1 });
    expect(order).toEqual(['open 1', 'create', 'sideband', 'call_id 1']);
  });

  test('the answer does not wait for the sideband, and a sideband that does not come is reported', async () => {
    const { calls, events, clock } = setUp({ ready: () => new Promise(() => undefined) });
    expect(await calls.offer(offerSdp)).toMatchObject({ kind: 'answered' });
    expect(events).toEqual([]);
    const late = setUp({ ready: async () => 'degraded' });
    await late.calls.offer(offerSdp);
    await late.clock.advance(1);
    expect(late.events).toEqual(['missing 1']);
    await clock.advance(1);
    expect(events).toEqual([]);
  });

  describe('a credential that is requested ahead', () => {
    test('is used by the offer, once', async () => {
      const { calls, order } = setUp();
      calls.prepare();
      calls.prepare();
      expect(order).toEqual(['open 1']);
      expect(await calls.offer(offerSdp)).toMatchObject({ kind: 'answered', ordinal: 1 });
      calls.prepare();
      await calls.offer(offerSdp);
      expect(order.filter((step) => step.startsWith('open'))).toEqual(['open 1', 'open 2']);
    });

    test('is not used by an offer that comes later than 45 s', async () => {
      const { calls, order, clock } = setUp();
      calls.prepare();
      await clock.advance(45_000);
      await calls.offer(offerSdp);
      expect(order.filter((step) => step.startsWith('open'))).toEqual(['open 1', 'open 1']);
    });

    test('leaves a refusal to the offer, which asks again', async () => {
      const answers = [failed(403, 'consent_required'), opened(1)];
      let asked = 0;
      const { calls } = setUp({ openCall: async () => answers[asked++] ?? failed(500) });
      calls.prepare();
      expect(await calls.offer(offerSdp)).toMatchObject({ kind: 'answered' });
      expect(asked).toBe(2);
    });

    test('is not requested beside a call', async () => {
      const { calls, order } = setUp();
      await calls.offer(offerSdp);
      calls.prepare();
      expect(order.filter((step) => step.startsWith('open'))).toEqual(['open 1']);
    });
  });

  test('a new offer first hangs up the old call, whose late events are still received for a while', async () => {
    const { clock, calls, order } = setUp();
    await calls.offer(offerSdp);
    order.length = 0;
    await calls.offer(offerSdp, 2);
    expect(order.slice(0, 3)).toEqual(['hang up rtc_1 ek_1', 'hung_up 1', 'open 2']);
    expect(order).not.toContain('closed 1');
    await clock.advance(100);
    expect(order.slice(-2)).toEqual(['sideband closed', 'closed 1']);
  });

  // Failure pinned: after a reload the candidate waited 10 s, because the provider answered "no such call" to the hang-up.
  test('a new offer waits at most one second for an unconfirmed hang-up, which then continues', async () => {
    let confirm = (_over: boolean) => {};
    const { clock, calls, order } = setUp({
      hangUp: () =>
        new Promise<boolean>((resolve) => {
          confirm = resolve;
        }),
    });
    await calls.offer(offerSdp);
    order.length = 0;
    const second = calls.offer(offerSdp, 2);
    await clock.advance(999);
    expect(order).toEqual([]);
    await clock.advance(1);
    expect(await second).toMatchObject({ kind: 'answered', ordinal: 2 });
    confirm(true);
    await clock.advance(1);
    expect(order).toContain('hung_up 1');
  });

  test('refuses a second offer with the ordinal of one that is being handled, and an offer with a wrong ordinal', async () => {
    const { calls } = setUp();
    const [first, second] = await Promise.all([calls.offer(offerSdp, 1), calls.offer(offerSdp, 1)]);
    expect([first.kind, second]).toEqual(['answered', { kind: 'refused', code: 'call_not_allowed' }]);
    expect(await calls.offer(offerSdp, 1)).toMatchObject({ kind: 'refused', code: 'call_not_allowed' });
  });

  test.each([2, undefined])(
    'an offer for the call after the one being opened (%s) waits for it, and then replaces it',
    async (after) => {
      const { calls } = setUp();
      const [first, second] = await Promise.all([calls.offer(offerSdp, 1), calls.offer(offerSdp, after)]);
      expect([first, second]).toMatchObject([
        { kind: 'answered', ordinal: 1 },
        { kind: 'answered', ordinal: 2 },
      ]);
    },
  );

  test('an offer waits while the control plane is away for half a minute', async () => {
    let tries = 0;
    const { clock, calls } = setUp({
      openCall: async (ordinal) => {
        tries += 1;
        return clock.monotonicMs() < 30_000 ? failed(503, 'database_unavailable') : opened(ordinal);
      },
    });
    const offered = calls.offer(offerSdp);
    await clock.advance(40_000);
    expect(await offered).toMatchObject({ kind: 'answered', ordinal: 1 });
    expect(tries).toBeGreaterThan(10);
  });

  test('hangs up a call whose id cannot be stored, and the browser may offer again', async () => {
    const { clock, calls, order } = setUp({
      updateCall: async (_o, change) => ('call_id' in change ? failed(503) : { kind: 'ok', value: {} }),
    });
    const result = calls.offer(offerSdp);
    await clock.advance(60_000);
    expect(await result).toMatchObject({ kind: 'refused', code: 'internal_error' });
    expect(order).toContain('hang up rtc_1 ek_1');
    expect([calls.active, calls.ordinal]).toEqual([false, 2]);
  });

  test('hangs up a call whose offer was still being handled when the session ended', async () => {
    let stop = () => {};
    const { calls, order } = setUp({
      createCall: async () => {
        stop();
        return { kind: 'created', callId: 'rtc_1', answer: answerSdp };
      },
    });
    stop = calls.stop;
    const result = calls.offer(offerSdp);
    expect(await calls.hangUp(new AbortController().signal)).toBe(true);
    expect((await result).kind).toBe('refused');
    expect(order).toContain('hang up rtc_1 ek_1');
  });

  test('a call whose sideband reports it gone is recorded as over only after its hang-up was confirmed', async () => {
    const answers = [false, true];
    const { clock, calls, order, lose } = setUp({ hangUp: () => answers.shift() ?? true });
    await calls.offer(offerSdp);
    order.length = 0;
    lose();
    await clock.advance(0);
    expect(order).not.toContain('hung_up 1');
    await clock.advance(15_000);
    expect(order.filter((step) => step !== 'closed 1')).toEqual([
      'hang up rtc_1 ek_1',
      'hang up rtc_1 ek_1',
      'hung_up 1',
    ]);
  });

  test('a replaced call whose hang-up failed is hung up when the session ends at the latest', async () => {
    const answers = [false, true, true];
    const { calls, order } = setUp({ hangUp: () => answers.shift() ?? true });
    await calls.offer(offerSdp);
    await calls.offer(offerSdp, 2);
    order.length = 0;
    expect(await calls.hangUp(new AbortController().signal)).toBe(true);
    expect(order.filter((step) => step.startsWith('hung_up')).toSorted()).toEqual(['hung_up 1', 'hung_up 2']);
  });

  test.each([
    [failed(409, 'fenced'), { kind: 'fenced' }, 1],
    [failed(503, 'provider_rate_limited'), { kind: 'failed', reason: 'provider_rate_limited' }, 3],
    [failed(502, 'provider_auth_failed'), { kind: 'failed', reason: 'provider_auth_failed' }, 1],
    [failed(409, 'call_not_allowed'), { kind: 'refused', code: 'call_not_allowed' }, 1],
  ])('the orchestrator opens no call (%#)', async (answer, result, tries) => {
    let asked = 0;
    const { clock, calls } = setUp({
      openCall: async () => {
        asked += 1;
        return answer;
      },
    });
    const offered = calls.offer(offerSdp);
    await clock.advance(60_000);
    expect(await offered).toMatchObject(result);
    expect(asked).toBe(tries);
  });

  // Failure pinned: one candidate opened 160 calls in eight seconds and used up provider limits that all interviews share.
  test('a browser that keeps sending offers opens a limited number of calls, and further ones only over time', async () => {
    const { clock, calls, order } = setUp();
    const opened = () => order.filter((step) => step === 'create').length;
    const offer = async () => {
      const offered = calls.offer(offerSdp);
      await clock.advance(10);
      return offered;
    };
    for (let n = 0; n < 100; n += 1) await offer();
    expect(opened()).toBe(8);
    expect(await offer()).toMatchObject({ kind: 'refused', code: 'rate_limited' });
    expect(calls.active).toBe(true);
    await clock.advance(15_000);
    expect(await offer()).toMatchObject({ kind: 'answered' });
    expect(opened()).toBe(9);
  });
});
