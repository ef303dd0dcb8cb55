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

  test('where the tenant asks for consent, the candidate reads the text and agrees before anything begins', async () => {
    const text = 'We record what you say and keep it for 90 days.';
    const changed = await fetch(`${stack.publicUrl}/api/tenants/${stack.tenant.id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${stack.operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ consent: { required: true, text_version: '2026-11', text } }),
    });
    expect(changed.status, await changed.text()).toBe(200);
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await browser.newPage();
    await page.goto(session.join_url ?? '');
    await page.getByText(text).waitFor();
    expect(await page.getByRole('button', { name: 'Start the interview' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'I agree' }).click();
    await page.getByText('Ready when you are.').waitFor();
    expect(await page.getByRole('button', { name: 'Start the interview' }).isEnabled()).toBe(true);
    await page.close();
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
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
