import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, it } from 'vitest';
import { candidate, mint, postOffer, session, start } from './fixtures.ts';
import type { VoiceProvider } from './provider.ts';
import { defaultSession, refuseUpdate } from './session-config.ts';

const requestSecret = (provider: VoiceProvider, body: unknown, key = provider.apiKey) =>
  fetch(`${provider.url}/v1/realtime/client_secrets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

function postForm(provider: VoiceProvider, key: string, fields: Record<string, string>) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  const headers = { authorization: `Bearer ${key}` };
  return fetch(`${provider.url}/v1/realtime/calls`, { method: 'POST', headers, body: form });
}

const offer = () => candidate().offer();

describe('client secrets', () => {
  it('are valid for ten minutes by default, or for a time within the documented limits', async () => {
    const provider = await start({ clock: createFakeClock(1_000_000) });
    const response = await requestSecret(provider, { session });
    expect(await response.json()).toMatchObject({
      expires_at: 1_600,
      session: { object: 'realtime.session', type: 'realtime', expires_at: 0, instructions: session.instructions },
    });
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
    for (const seconds of [9, 7201]) {
      const refused = await requestSecret(provider, { expires_after: { anchor: 'created_at', seconds } });
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ error: { param: 'expires_after.seconds' } });
    }
  });

  it('are minted with a standing key only', async () => {
    const provider = await start();
    expect((await requestSecret(provider, {}, 'sk-nobody')).status).toBe(401);
    expect((await requestSecret(provider, {}, await mint(provider))).status).toBe(401);
  });

  it('can start several calls until they expire, and become invalid with their standing key', async () => {
    const clock = createFakeClock();
    const provider = await start({ clock });
    const secret = await mint(provider, 10);
    expect((await postOffer(provider, secret, await offer())).status).toBe(201);
    expect((await postOffer(provider, secret, await offer())).status).toBe(201);
    await clock.advance(10_000);
    expect((await postOffer(provider, secret, await offer())).status).toBe(401);
    const another = await mint(provider, 60);
    provider.revokeKey(provider.apiKey);
    expect((await postOffer(provider, another, await offer())).status).toBe(401);
  });
});

// Failure pinned: the stand-in accepted any session, so the product could send one that the real provider refuses.
describe('a session', () => {
  const wrong: Array<[string, object, string, string]> = [
    ['an unknown model', { model: 'gpt-nobody' }, 'session.model', 'invalid_value'],
    ['an unknown voice', { audio: { output: { voice: 'nova' } } }, 'session.audio.output.voice', 'invalid_value'],
    ['both modalities', { output_modalities: ['audio', 'text'] }, 'session.output_modalities', 'invalid_value'],
    ['an unknown field', { temperature: 1 }, 'session.temperature', 'unknown_parameter'],
    ['another type', { instructions: 7 }, 'session.instructions', 'invalid_type'],
    [
      'a language of three letters',
      { audio: { input: { transcription: { model: 'gpt-transcribe', language: 'fil' } } } },
      'session.audio.input.transcription.language',
      'invalid_value',
    ],
    [
      'an unknown transcription model',
      { audio: { input: { transcription: { model: 'whisper-9' } } } },
      'session.audio.input.transcription.model',
      'invalid_value',
    ],
  ];
  it.each(wrong)(
    'with %s is refused for a secret, for a call and in an update',
    async (_what, changes, param, code) => {
      const provider = await start();
      const said = { type: 'realtime', ...changes };
      const error = { param, code };
      const secret = await requestSecret(provider, { session: said });
      expect([secret.status, await secret.json()]).toMatchObject([400, { error }]);
      const call = await postForm(provider, provider.apiKey, { sdp: await offer(), session: JSON.stringify(said) });
      expect([call.status, await call.json()]).toMatchObject([400, { error }]);
      expect(refuseUpdate(defaultSession('sess_1', 0), said, false)).toMatchObject(error);
    },
  );

  it('with every allowed field is accepted', async () => {
    const provider = await start();
    const whole = {
      ...{ type: 'realtime', model: 'gpt-realtime-2.1', output_modalities: ['audio'], instructions: 'Interview.' },
      audio: {
        input: {
          noise_reduction: { type: 'near_field' },
          transcription: { model: 'gpt-realtime-whisper', language: 'en' },
          turn_detection: { type: 'semantic_vad', eagerness: 'low', create_response: true, interrupt_response: true },
        },
        output: { voice: 'marin', speed: 1 },
      },
      include: ['item.input_audio_transcription.logprobs'],
      ...{ tools: [], tool_choice: 'auto', max_output_tokens: 'inf', truncation: 'auto', tracing: null },
      reasoning: { effort: 'low' },
    };
    expect((await requestSecret(provider, { session: whole })).status).toBe(200);
  });
});

describe('calls', () => {
  it('can be made by a browser: a preflight is answered, and any origin may read the answer', async () => {
    const provider = await start();
    const headers = {
      ...{ origin: 'https://page.test', 'access-control-request-method': 'POST' },
      'access-control-request-headers': 'authorization,content-type',
    };
    const asked = await fetch(`${provider.url}/v1/realtime/calls`, { method: 'OPTIONS', headers });
    expect(asked.ok).toBe(true);
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'authorization,content-type',
    });
    const refused = await postOffer(provider, 'ek_nobody', await offer());
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, '*']);
  });

  it('accept a raw offer with an ephemeral secret: 201, text/plain, a relative Location', async () => {
    const provider = await start();
    const response = await postOffer(provider, await mint(provider), await offer());
    expect(response.status).toBe(201);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('location')).toMatch(/^\/v1\/realtime\/calls\/rtc_/);
    const answer = await response.text();
    expect(answer).toMatch(/^v=0/);
    expect(answer).toMatch(/opus\/48000\/2/);
    expect(answer).toMatch(/webrtc-datachannel/);
    expect(provider.calls()[0]?.session.instructions).toBe(session.instructions);
  });

  it('accept a form with a standing key, to which the call then belongs', async () => {
    const provider = await start();
    const response = await postForm(provider, provider.apiKey, {
      sdp: await offer(),
      session: JSON.stringify(session),
    });
    expect(response.status).toBe(201);
    const path = response.headers.get('location');
    const hangUp = (key: string) =>
      fetch(`${provider.url}${path}/hangup`, { method: 'POST', headers: { authorization: `Bearer ${key}` } });
    expect((await hangUp(await mint(provider))).status).toBe(404);
    expect((await hangUp(provider.apiKey)).status).toBe(200);
    const again = await hangUp(provider.apiKey);
    expect(again.status).toBe(404);
    expect(await again.json()).toEqual({
      error: {
        message: 'No session found for the provided call_id',
        type: 'invalid_request_error',
        param: '',
        code: 'call_id_not_found',
      },
    });
  });

  it('refuse each form with the credential of the other', async () => {
    const provider = await start();
    expect((await postOffer(provider, provider.apiKey, await offer())).status).toBe(400);
    expect((await postForm(provider, await mint(provider), { sdp: await offer() })).status).toBe(400);
    expect(provider.calls()).toEqual([]);
  });

  it('refuse an invalid offer', async () => {
    const provider = await start();
    const secret = await mint(provider);
    for (const bad of ['', 'v=banana', 'v=0\r\nm=audio 9 nonsense\r\n']) {
      const response = await postOffer(provider, secret, bad);
      expect({ bad, status: response.status }).toEqual({ bad, status: 400 });
    }
    expect((await postForm(provider, provider.apiKey, { session: '{}' })).status).toBe(400);
    expect((await postForm(provider, provider.apiKey, { sdp: await offer(), session: '{' })).status).toBe(400);
    expect(provider.calls()).toEqual([]);
  });

  it('that belong to the account are attached and hung up with the standing key only', async () => {
    const provider = await start();
    const secret = await mint(provider);
    const callId = (await postOffer(provider, secret, await offer())).headers.get('location')?.split('/').at(-1) ?? '';
    provider.script.callsBelongTo('account');
    const hangUp = (key: string) =>
      fetch(`${provider.url}/v1/realtime/calls/${callId}/hangup`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
      });
    expect((await hangUp(secret)).status).toBe(404);
    expect((await hangUp(provider.apiKey)).status).toBe(200);
  });

  it('with `lenientHangup` can be hung up with every known credential', async () => {
    const provider = await start({ lenientHangup: true });
    const response = await postOffer(provider, await mint(provider), await offer());
    const url = `${provider.url}${response.headers.get('location')}/hangup`;
    const hungUp = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${provider.apiKey}` } });
    expect(hungUp.status).toBe(200);
  });
});

describe('faults', () => {
  it('answer in the provider’s own error format', async () => {
    const provider = await start();
    const codes: Record<number, string | null> = {
      401: 'invalid_api_key',
      429: 'rate_limit_exceeded',
      500: null,
      503: 'overloaded',
    };
    for (const [status, code] of Object.entries(codes)) {
      provider.faults.add({ on: 'realtime.client_secrets', action: { kind: 'status', status: Number(status) } });
      const response = await requestSecret(provider, {});
      expect(response.status).toBe(Number(status));
      expect(await response.json()).toMatchObject({ error: { code } });
    }
  });

  it('can lose the answer but keep the call, send garbage, or leave out the Location', async () => {
    const provider = await start();
    const secret = await mint(provider);
    provider.faults.add({ on: 'realtime.calls', action: { kind: 'drop_after' } });
    await expect(postOffer(provider, secret, await offer())).rejects.toThrow();
    expect(provider.calls()).toHaveLength(1);
    provider.faults.add({ on: 'realtime.calls', action: { kind: 'special', name: 'garbage_answer' } });
    expect(await (await postOffer(provider, secret, await offer())).text()).not.toMatch(/^v=0/);
    provider.faults.add({ on: 'realtime.calls', action: { kind: 'special', name: 'no_location' } });
    expect((await postOffer(provider, secret, await offer())).headers.get('location')).toBeNull();
  });

  it('can hang until the caller gives up, and stopping does not wait for that', async () => {
    const provider = await start();
    provider.faults.add({ on: 'realtime.client_secrets', action: { kind: 'hang' } });
    const hanging = requestSecret(provider, {});
    await Promise.all([expect(hanging).rejects.toThrow(), waitUntilFired(provider).then(provider.stop)]);
  });
});

async function waitUntilFired(provider: VoiceProvider) {
  await expect.poll(() => provider.faults.fired['realtime.client_secrets']).toBe(1);
}
