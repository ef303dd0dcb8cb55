import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { expectFinished } from '../support/conversation.ts';
import { startInterview } from '../support/session.ts';

/** `npm run rotate-credentials` as an operator runs it, and an interview that needs the rotated credentials. */
const tenantKey = 'sk-of-the-tenant-0123456789';
const script = path.resolve('orchestrator/src/ops/rotate-credentials.ts');
const newKey = () => randomBytes(32).toString('base64');

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({
    voice: { turns: 2, paceMs: 80, apiKeys: [tenantKey] },
    // An invalid key: the interview only works with the tenant's own key.
    environment: { OPENAI_API_KEY: 'sk-of-nobody-0123456789' },
    flyLimits: false,
  });
});
afterAll(() => stack.stop());

const send = async (key: string, method: string, at: string, body: object) => {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const answer = await fetch(`${stack.publicUrl}${at}`, { method, headers, body: JSON.stringify(body) });
  const text = await answer.text();
  expect(answer.status, text).toBeLessThan(300);
  return text === '' ? {} : JSON.parse(text);
};

const rotate = async (changes: Record<string, string>) => {
  const env = { PATH: process.env.PATH ?? '', ...stack.environment, HOST: '127.0.0.1', PORT: '1', ...changes };
  const run = promisify(execFile)(process.execPath, [script], { env });
  return run.then(
    (output) => ({ ...output, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
};

test('stored credentials move to a new encryption key, and interviews continue with that key alone', async () => {
  const at = `/api/tenants/${stack.tenant.id}`;
  const scopes = ['tenant:admin', 'webhooks:write'];
  const { key } = await send(stack.operatorToken, 'POST', `${at}/api-keys`, { name: 'admin', scopes });
  await send(key, 'PUT', `${at}/provider-credentials/openai`, { api_key: tenantKey });
  await send(key, 'POST', '/api/webhooks', { url: 'http://127.0.0.1:9/hook' });
  await stack.orchestrators.splice(0, 1)[0]?.stop();

  const before = stack.keys.credentials;
  const after = newKey();
  // Without the old key nothing can be decrypted: the command reports it and changes nothing.
  const blind = await rotate({ CREDENTIALS_KEY: after });
  expect(blind.code).toBe(1);
  expect(blind.stderr).toContain(`the openai credential of tenant ${stack.tenant.id} cannot be opened`);
  const both = { CREDENTIALS_KEY: after, CREDENTIALS_KEY_PREVIOUS: before };
  expect(await rotate(both)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 .+ 1 webhook secrets/) });
  expect(await rotate(both)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^0 .+ 0 webhook secrets/) });

  await stack.addOrchestrator({ CREDENTIALS_KEY: after });
  await expectFinished(stack, await startInterview(stack), 0);
  expect(stack.logLines.join('\n')).not.toContain(tenantKey);
});
