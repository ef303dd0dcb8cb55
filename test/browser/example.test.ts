import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { platformOf, until } from '../support/session.ts';

describe('examples/platform in a real Chromium', () => {
  const main = path.resolve(import.meta.dirname, '../../examples/platform/main.ts');
  let stack: Stack;
  let browser: Browser;
  let platform: ChildProcess;
  let url: string;
  let output = '';

  const start = async () => {
    output = '';
    platform = spawn(process.execPath, [main], {
      cwd: stack.dir,
      env: {
        ...{ PATH: process.env.PATH, PORT: new URL(url).port, DATABASE: path.join(stack.dir, 'platform.db') },
        ...{ GREENROOM_URL: stack.publicUrl, GREENROOM_API_KEY: stack.tenant.apiKey },
      },
    });
    for (const stream of [platform.stdout, platform.stderr])
      stream?.on('data', (part) => {
        output += part;
      });
    await until('the platform listens', () => output.includes(`open ${url}`));
  };
  const stop = () => new Promise((resolve) => platform.once('exit', resolve) && platform.kill('SIGTERM'));

  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 2, paceMs: 200, maxTurnMs: 1_500 } });
    url = `http://127.0.0.1:${await freePort()}`;
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
    await start();
  });
  afterAll(async () => {
    await browser?.close();
    if (platform?.exitCode === null) await stop();
    await stack?.stop();
  });

  test('a press creates the interview, the room runs on the page, and the result comes by webhook', async () => {
    // Subscribed once: after a restart the same secret is used.
    await stop();
    await start();
    const page = await browser.newPage();
    await page.goto(url);
    await page.getByLabel('Candidate').fill('Ada Lovelace');
    await page.getByLabel('Position').fill('Engineer');
    await page.getByRole('button', { name: 'Begin' }).click();
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.getByRole('heading', { name: /^Result: \w+/ }).waitFor({ timeout: 120_000 });
    await page.close();
    expect(output).not.toMatch(/error/i);

    const call = async (at: string) => {
      const answer = await fetch(`${stack.publicUrl}${at}`, {
        headers: { authorization: `Bearer ${stack.tenant.apiKey}` },
      });
      return (await answer.json()).data;
    };
    const [webhook, ...others] = await call('/api/webhooks');
    expect(others).toEqual([]);
    const [delivery] = await call(`/api/webhooks/${webhook.id}/deliveries`);
    expect(delivery).toMatchObject({ type: 'result.done', status: 'delivered' });
    expect((await platformOf(stack).getSession(delivery.session_id)).status).toBe('completed');
  });

  test('a message that Greenroom did not sign, a form without a name and a body that is too large are refused', async () => {
    const post = async (at: string, body: string) => (await fetch(url + at, { method: 'POST', body })).status;
    expect(await post('/webhooks', '{"type":"result.done","data":{"session_id":"x"}}')).toBe(400);
    expect(await post('/interviews', '{"candidate":" ","position":"Cook"}')).toBe(422);
    expect(await post('/interviews', 'x'.repeat(200_000))).toBe(413);
  });
});
