import type { CallCredential } from '@greenroom/shared/protocol/worker-api.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test } from 'vitest';
import { answerSdp, offerSdp } from '../../../test/peers.ts';
import type { Http, HttpAnswer } from '../../outside/http.ts';
import { createProvider } from './provider.ts';

describe('the provider', () => {
  const created: HttpAnswer = { status: 201, headers: { location: '/v1/realtime/calls/rtc_1' }, body: answerSdp };
  const of = (value: string): CallCredential => ({ value, base_url: 'https://voice.test/v1' });
  const setUp = (answers: Array<HttpAnswer | Error>) => {
    const clock = createFakeClock();
    const asked: Array<{ url: string; headers: Record<string, string> | undefined; body: string | undefined }> = [];
    const http = (async ({ url, headers, body }: { url: string; headers?: Record<string, string>; body?: string }) => {
      asked.push({ url, headers, body });
      const next = answers.length > 1 ? answers.shift() : answers[0];
      if (next instanceof Error) throw next;
      return next;
    }) as unknown as Http;
    const provider = createProvider({
      http,
      clock,
      webrtcFilter: false,
      requestMs: 10_000,
      random: () => 0.5,
    });
    return { clock, asked, provider };
  };
  const status = (code: number, errorCode?: string): HttpAnswer => ({
    status: code,
    headers: {},
    body: JSON.stringify({ error: { code: errorCode } }),
  });
  const callWith = async (answers: Array<HttpAnswer | Error>) => {
    const { clock, asked, provider } = setUp(answers);
    const call = provider.createCall({ form: 'raw', sdp: offerSdp }, of('ek_1'));
    await clock.advance(60_000);
    return { call: await call, tries: asked.length, asked };
  };

  test('sends the raw offer with the call’s own credential, and reads the id from the last segment of Location', async () => {
    const { call, asked } = await callWith([created]);
    expect(call).toEqual({ kind: 'created', callId: 'rtc_1', answer: answerSdp });
    expect(asked).toEqual([
      {
        url: 'https://voice.test/v1/realtime/calls',
        headers: { authorization: 'Bearer ek_1', 'content-type': 'application/sdp' },
        body: offerSdp,
      },
    ]);
  });

  test('with a standing key it sends offer and session as one form with a random boundary', async () => {
    const { asked, provider } = setUp([created]);
    const session = { type: 'realtime', instructions: 'Interview.' };
    const sdp = `${offerSdp}a=x\r\n--greenroom-\r\n`;
    expect(await provider.createCall({ form: 'multipart', sdp, session }, of('sk-1'))).toMatchObject({
      kind: 'created',
    });
    const { headers = {}, body } = asked[0] ?? {};
    expect(headers.authorization).toBe('Bearer sk-1');
    const form = await new Response(body ?? '', {
      headers: { 'content-type': headers['content-type'] ?? '' },
    }).formData();
    const textOf = async (name: string) => {
      const part = form.get(name);
      return part instanceof Blob ? part.text() : part;
    };
    expect([await textOf('sdp'), JSON.parse(String(await textOf('session')))]).toEqual([sdp, session]);
  });

  const table: Array<[string, Array<HttpAnswer | Error>, string, number]> = [
    ['401', [status(401)], 'provider_auth_failed', 1],
    ['403', [status(403)], 'provider_auth_failed', 1],
    ['400', [status(400, 'invalid_model')], 'provider_unavailable', 1],
    ['429', [status(429, 'rate_limit_exceeded')], 'provider_rate_limited', 3],
    ['429, no credit', [status(429, 'insufficient_quota')], 'quota_exceeded', 1],
    ['500', [status(500)], 'provider_unavailable', 3],
    ['nothing', [new Error('timeout')], 'provider_unavailable', 3],
    ['a redirect', [{ ...created, status: 302 }], 'provider_unavailable', 1],
    ['201 with garbage', [{ ...created, body: 'hello' }], 'provider_unavailable', 1],
    [
      '201 with an odd id',
      [{ ...created, headers: { location: '/v1/realtime/calls/..%2f' } }],
      'provider_unavailable',
      1,
    ],
  ];
  test.each(table)('%s', async (_what, answers, reason, tries) => {
    const result = await callWith(answers);
    expect(result.call).toMatchObject({ kind: 'failed', reason });
    expect(result.tries).toBe(tries);
  });

  test('retries a temporary failure', async () => {
    expect((await callWith([status(500), new Error('reset'), created])).call.kind).toBe('created');
  });

  test.each([
    ['200', status(200), true],
    ['400 otherwise', status(400, 'other'), false],
    ['401', status(401), false],
  ])('a hang-up answered %s: over is %s', async (_what, answer, over) => {
    const { provider, asked } = setUp([answer as HttpAnswer]);
    expect(await provider.hangUp('rtc_1', of('ek_1'))).toBe(over);
    expect(asked).toHaveLength(1);
  });

  test.each([404, 400])('"no such call" (%i) counts as hung up after three in a row', async (code) => {
    const { clock, provider, asked } = setUp([status(code, 'call_id_not_found')]);
    const over = provider.hangUp('rtc_taken_over', of('ek_1'));
    await clock.advance(10_000);
    expect([await over, asked.length]).toEqual([true, 3]);
  });

  test('one "no such call" about a running call does not count: the hang-up is retried and succeeds', async () => {
    const missing = status(404, 'call_id_not_found');
    const { clock, provider, asked } = setUp([missing, missing, status(200)]);
    const over = provider.hangUp('rtc_taken_over', of('ek_1'));
    await clock.advance(10_000);
    expect([await over, asked.length]).toEqual([true, 3]);
  });

  test('"no such call" about a call made a moment ago never counts as hung up', async () => {
    const { clock, provider, asked } = setUp([created, status(404, 'call_id_not_found')]);
    await provider.createCall({ form: 'raw', sdp: 'v=0' }, of('ek_1'));
    const limit = new AbortController();
    const over = provider.hangUp('rtc_1', of('ek_1'), limit.signal);
    await clock.advance(10_000);
    limit.abort();
    expect(await over).toBe(false);
    expect(asked.length).toBeGreaterThan(4);
  });

  test('a 404 page from a proxy does not count as "no such call"', async () => {
    const page = { status: 404, headers: {}, body: '<html>404 page not found</html>' };
    const { clock, provider, asked } = setUp([page, page, page, page, status(200)]);
    const over = provider.hangUp('rtc_taken_over', of('ek_1'));
    await clock.advance(60_000);
    expect([await over, asked.length]).toEqual([true, 5]);
  });

  test('retries a hang-up until it is confirmed or the signal aborts', async () => {
    const { clock, provider, asked } = setUp([status(500), new Error('reset'), status(200)]);
    const over = provider.hangUp('rtc_1', of('ek_1'));
    await clock.advance(60_000);
    expect([await over, asked.length]).toEqual([true, 3]);
    const limit = new AbortController();
    const never = setUp([status(500)]);
    const result = never.provider.hangUp('rtc_1', of('ek_1'), limit.signal);
    await never.clock.advance(1_000);
    limit.abort();
    expect(await result).toBe(false);
  });
});
