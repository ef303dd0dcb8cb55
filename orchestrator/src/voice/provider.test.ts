import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { afterEach, describe, expect, test } from 'vitest';
import { createVoiceProvider } from './provider.ts';

const cleanUps: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** A provider that answers a hang-up by its credential, and the credentials that it got. */
async function provider(answers: Record<string, number>, more: { provider?: 'azure' } = {}, body: object = {}) {
  const got: string[] = [];
  const server = createServer((request, response) => {
    const key = request.headers.authorization?.slice('Bearer '.length) ?? `${request.headers['api-key']}`;
    got.push(key);
    const status = answers[key] ?? 404;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(status === 404 ? '{"error":{"code":"call_id_not_found"}}' : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const voice = createVoiceProvider({
    ...{ provider: 'openai', calls: 'two_step', requestMs: 60_000 },
    ...{ clock: systemClock, logger: silentLogger(), ...more },
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  cleanUps.push(voice.close, () => new Promise((resolve) => server.close(resolve)));
  const hangUp = (value: string, standing = 'sk_ours', standingAt = baseUrl) =>
    voice.hangUp('rtc_1', { value, base_url: baseUrl }, { apiKey: standing, baseUrl: standingAt });
  return { voice, got, hangUp, access: { apiKey: 'sk_ours', baseUrl } };
}

test.each<[what: string, status: number, error: object, kind: string]>([
  [
    'names the transcription in its parameter',
    400,
    { param: 'session.audio.input.transcription.model' },
    'transcriptionRefused',
  ],
  ['names it in its message only', 400, { message: 'transcription model x is not supported' }, 'transcriptionRefused'],
  ['names something else', 400, { param: 'session.audio.output.voice' }, 'unavailable'],
  ['is about the key', 401, { message: 'no transcription for this key' }, 'authFailed'],
])('a refused session whose error %s', async (_what, status, error, kind) => {
  const { voice, access } = await provider({ sk_ours: status }, {}, { error });
  expect(await voice.mint({}, 60, 'a', access)).toEqual({ kind });
});

describe('a hang-up', () => {
  test('that the creating credential may do asks with no other', async () => {
    const { hangUp, got } = await provider({ ek_1: 200 });
    expect(await hangUp('ek_1')).toEqual({ kind: 'over' });
    expect(got).toEqual(['ek_1']);
  });

  test.each([401, 403, 404])('that is refused with %i is tried once with the standing key', async (status) => {
    const { hangUp, got } = await provider({ ek_1: status, sk_ours: 200 });
    expect(await hangUp('ek_1')).toEqual({ kind: 'over' });
    expect(got).toEqual(['ek_1', 'sk_ours']);
  });

  test('uses the tenant’s own key, and Azure’s header for it', async () => {
    const { hangUp, got } = await provider({ ek_1: 401, sk_theirs: 200 }, { provider: 'azure' });
    expect(await hangUp('ek_1', 'sk_theirs')).toEqual({ kind: 'over' });
    expect(got).toEqual(['ek_1', 'sk_theirs']);
  });

  test('does not send a standing key to a base URL that is not its own', async () => {
    const { hangUp, got } = await provider({ ek_1: 401, sk_ours: 200 });
    expect(await hangUp('ek_1', 'sk_ours', 'https://eu.api.openai.com/v1')).toEqual({ kind: 'unclear' });
    expect(got).toEqual(['ek_1']);
  });

  test('that neither may do is missing only if the creating credential was answered so', async () => {
    const unknown = await provider({});
    expect(await unknown.hangUp('ek_1')).toEqual({ kind: 'missing' });
    const expired = await provider({ ek_1: 401 });
    expect(await expired.hangUp('ek_1')).toEqual({ kind: 'unclear' });
    expect(expired.got).toEqual(['ek_1', 'sk_ours']);
  });

  test('that fails otherwise, or whose credential is the standing key, is tried once', async () => {
    const away = await provider({ ek_1: 500 });
    expect(await away.hangUp('ek_1')).toEqual({ kind: 'unclear' });
    const unified = await provider({});
    expect(await unified.hangUp('sk_ours')).toEqual({ kind: 'missing' });
    expect([away.got, unified.got]).toEqual([['ek_1'], ['sk_ours']]);
  });
});
