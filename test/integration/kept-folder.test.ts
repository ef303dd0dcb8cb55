import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { startStack } from '../../tools/stack/stack.ts';
import { platformOf, sessionBody } from '../support/session.ts';

/** Pins a failure: `npm start -- --dir X` promised to keep its state and made a new database at each start. */
const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-kept-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a second start in the same folder finds the sessions, the API key and the operator token of the first', async () => {
  const first = await startStack({ dir });
  const session = await platformOf(first).createSession(sessionBody());
  await first.stop();

  const second = await startStack({ dir });
  try {
    expect(second.tenant.apiKey).toBe(first.tenant.apiKey);
    const read = (url: string, token: string) =>
      fetch(`${second.publicUrl}${url}`, { headers: { authorization: `Bearer ${token}` } }).then(
        ({ status }) => status,
      );
    expect(await read(`/api/sessions/${session.session_id}`, first.tenant.apiKey)).toBe(200);
    expect(await read(`/api/tenants/${first.tenant.id}`, first.operatorToken)).toBe(200);
    const another = await platformOf(second).createSession(sessionBody());
    expect(another.session_id).not.toBe(session.session_id);
  } finally {
    await second.stop();
  }
}, 90_000);

test('the public port and the API key that are asked for are the same at every start', async () => {
  const apiKey = `gr_live_${'k'.repeat(43)}`;
  const urls: string[] = [];
  const publicPort = 18_000 + Math.floor(Math.random() * 2_000);
  for (let start = 0; start < 2; start += 1) {
    const stack = await startStack({ publicPort, apiKey });
    urls.push(stack.publicUrl);
    expect(stack.tenant.apiKey).toBe(apiKey);
    const { session_id } = await platformOf(stack).createSession(sessionBody());
    expect(session_id).toMatch(/^[0-9a-f-]{36}$/);
    // The key has every scope.
    const answer = await fetch(`${stack.publicUrl}/api/tenants/${stack.tenant.id}/api-keys`, {
      headers: { authorization: `Bearer ${apiKey}` },
    });
    const { data: keys } = (await answer.json()) as { data: Array<{ scopes: string[] }> };
    expect(keys[0]?.scopes).toContain('tenant:admin');
    await stack.stop();
  }
  expect(urls).toEqual([`http://127.0.0.1:${publicPort}`, `http://127.0.0.1:${publicPort}`]);
}, 90_000);
