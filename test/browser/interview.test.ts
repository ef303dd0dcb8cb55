import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath, joinInBrowser } from '../../infra/demo/browser.ts';
import { type Stack, startStack } from '../../infra/stack/stack.ts';
import { endOf, platformOf, saidAtProvider, sessionBody } from '../support/session.ts';

describe('a real Chromium on the plain page', () => {
  let stack: Stack;
  let browser: Browser;

  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 2, paceMs: 200, maxTurnMs: 1_500 } });
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser.close();
    await stack.stop();
  });

  test('completes an interview by the join link, speaking from its microphone', async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    const steps: string[] = [];
    const end = await joinInBrowser(session.join_url ?? '', (step) => steps.push(step));
    expect(end).toBe('completed/interviewer_finished');
    expect(steps).toContain('sdp_answered');
    await endOf(stack, session.session_id);
    const { entries, complete } = await platformOf(stack).transcript(session.session_id);
    expect(complete).toBe(true);
    expect(entries.map((e) => e.text)).toEqual(saidAtProvider(stack).map((item) => item.text));
    expect(new Set(entries.map((e) => e.speaker))).toEqual(new Set(['ai', 'candidate']));
  });

  test('a link whose code is wrong says so, in words a candidate understands', async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await browser.newPage();
    await page.goto((session.join_url ?? '').replace(/#.*/, '#wrong-code'));
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toMatch(/invitation/i);
    expect(await page.getByRole('button', { name: 'Start the interview' }).isDisabled()).toBe(true);
    await page.close();
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
  });
});
