import { describe, expect, test } from 'vitest';
import type { Http } from './http.ts';
import { createOrchestrator } from './orchestrator.ts';
import { createStore } from './store.ts';

/** A proxy between the worker and its servers that answers everything itself. */
const answering = (status: number, body: string): Http =>
  Object.assign(async () => ({ status, headers: { 'content-type': 'text/html' }, body }), {
    close: async () => undefined,
  }) as unknown as Http;

const workerApi = (http: Http) =>
  createOrchestrator({ http, baseUrl: 'http://orchestrator.test', workerToken: () => 't', requestMs: 1_000 });
const store = (http: Http) =>
  createStore({
    ...{ url: 'http://database.test', publishableKey: 'k', accessToken: () => 't' },
    ...{ requestMs: 1_000, http },
  });

describe('a success that the orchestrator did not send counts as a failure', () => {
  const foreign: Array<[number, string]> = [
    [200, ''],
    [200, '<html>ok</html>'],
    [200, '{"status":"ok"}'],
    [202, ''],
  ];
  test.each(foreign)('%i %s', async (status, body) => {
    const api = workerApi(answering(status, body));
    expect(await api.updateCall(1, { call_id: 'rtc_1' })).toMatchObject({ kind: 'failed' });
    expect(await api.finish({ kind: 'draining' })).toMatchObject({ kind: 'failed' });
    expect(await store(answering(status, body)).flag('foreign_item', 1)).toMatchObject({ kind: 'unavailable' });
  });

  test('the 204 of each of the three routes counts as success', async () => {
    const api = workerApi(answering(204, ''));
    expect(await api.updateCall(1, { hung_up: true })).toMatchObject({ kind: 'ok' });
    expect(await api.finish({ kind: 'draining' })).toMatchObject({ kind: 'ok' });
    expect(await store(answering(204, '')).flag('foreign_item', 1)).toMatchObject({ kind: 'ok' });
  });
});
