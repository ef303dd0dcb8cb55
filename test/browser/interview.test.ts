import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath, joinInBrowser } from '../../tools/demo/browser.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { countHeld, expectInUse, expectNothingHeld, held } from '../support/leaks.ts';
import { servePage } from '../support/platform-page.ts';
import { expectStoredAsSaid } from '../support/room.ts';
import { endOf, platformOf, saidAtProvider, sessionBody, until } from '../support/session.ts';

/** Runs in the page before its own scripts: drops every confirmation that an entry is stored. */
function deafToAcknowledgements(): void {
  const listen = EventTarget.prototype.addEventListener;
  WebSocket.prototype.addEventListener = function (this: WebSocket, type: string, listener: unknown) {
    listen.call(this, type, (event: Event) => {
      const message = event instanceof MessageEvent ? JSON.parse(String(event.data)) : {};
      if (message.type === 'transcript_ack') return;
      const data = JSON.stringify({ ...message, acked: [] });
      const heard = message.type === 'session_ready' ? new MessageEvent('message', { data }) : event;
      (listener as (event: Event) => void)(heard);
    });
  };
}

describe('a real Chromium on the plain page', () => {
  let stack: Stack;
  let browser: Browser;
  /** How long the interviewer speaks each time. */
  let speechMs = 200;

  beforeAll(async () => {
    stack = await startStack({
      voice: { turns: 2, paceMs: () => speechMs, maxTurnMs: 1_500 },
      transcriptUploads: true,
    });
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser.close();
    await stack.stop();
  });

  test('a browser completes an interview through the join link with its microphone', async () => {
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

  test('entries without a confirmation of storage survive a reload, are uploaded at the end and leave the browser', async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    const from = stack.cloud.voice.calls().length;
    const page = await browser.newPage();
    await page.addInitScript(deafToAcknowledgements);
    /** Keys of the rows in a table of the page's IndexedDB. */
    const inTable = (table: string) =>
      page.evaluate(
        (name) =>
          new Promise<string[]>((resolve) => {
            const opening = indexedDB.open('greenroom');
            opening.onsuccess = () => {
              const keys = opening.result.transaction(name).objectStore(name).getAllKeys();
              keys.onsuccess = () => resolve(keys.result.map(String));
            };
          }),
        table,
      );
    const kept = () => inTable('entries');
    const begin = async () => {
      await page.goto(session.join_url ?? '');
      await page.reload();
      await page.getByRole('button', { name: 'Start the interview' }).click();
    };
    // The interview must not be over before the page is reloaded, also on a slow machine.
    speechMs = 10_000;
    await begin();
    await until('something is kept', async () => (await kept()).length > 0);
    const before = await kept();
    await begin();
    speechMs = 200;
    expect(await kept()).toEqual(expect.arrayContaining(before));
    const uploaded = page.waitForResponse(
      (answer) => answer.request().method() === 'POST' && /interview-transcript/.test(answer.url()),
      { timeout: 290_000 },
    );
    await page.waitForFunction(() => document.body.dataset.kept !== undefined, undefined, { timeout: 290_000 });
    const answer = await uploaded;
    expect([answer.status(), await page.evaluate(() => document.body.dataset.kept)]).toEqual([200, '0']);
    expect((answer.request().postDataJSON() as { entries: unknown[] }).entries.length).toBeGreaterThan(before.length);
    expect(await page.evaluate(() => Object.keys(localStorage))).toEqual(['greenroom.browser']);
    expect([await inTable('entries'), await inTable('uploads')]).toEqual([[], []]);
    await page.close();
    await endOf(stack, session.session_id);
    const { entries } = await platformOf(stack).transcript(session.session_id);
    const stored = entries.map((entry) => entry.text);
    const whole = saidAtProvider(stack, from).map((item) => item.text);
    expect(stored.filter((text) => whole.includes(text))).toEqual(whole);
    expect(new Set(entries.map((entry) => entry.item_id)).size).toBe(entries.length);
  }, 300_000);

  test('the two pages of client/README.md carry a candidate through an interview exactly as printed', async () => {
    const readme = await readFile(path.join(import.meta.dirname, '../../client/README.md'), 'utf8');
    const printed = (language: string) => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1] ?? '';
    const pages = [
      { html: printed('html'), start: 'Join', ended: 'ended' },
      {
        html: `<title>React</title><body><script type="module">${printed('tsx')}</script>`,
        start: 'Gespräch beginnen',
        ended: 'Das Gespräch ist beendet',
      },
    ];
    for (const { html, start, ended } of pages) {
      expect(html.trim().split('\n').length).toBeLessThanOrEqual(22);
      const served = await servePage(html);
      const session = await platformOf(stack).createSession(sessionBody());
      const page = await browser.newPage();
      await page.addInitScript(countHeld);
      const said: string[] = [];
      page.on('console', (message) => said.push(message.text()));
      await page.goto(`${served.url}#${session.join_url}`);
      await page.getByRole('button', { name: start }).click();
      // The peer is there first: its offer is made while the socket opens.
      await until('it runs', async () => {
        const { sockets, peers } = await held(page);
        return sockets === 1 && peers === 1;
      });
      await expectInUse(page);
      await page.getByText(ended, { exact: true }).waitFor({ timeout: 60_000 });
      await expectNothingHeld(page);
      expect(said).toContain('completed interviewer_finished');
      await page.close();
      await served.stop();
      await expectStoredAsSaid(stack, session.session_id);
    }
  });

  const text = 'We record what you say and keep it for 90 days.';
  const requireConsent = async () => {
    const changed = await fetch(`${stack.publicUrl}/api/tenants/${stack.tenant.id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${stack.operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ consent: { required: true, text_version: '2026-11', text } }),
    });
    expect(changed.status, await changed.text()).toBe(200);
  };

  test('a candidate reads and accepts the required consent before anything starts', async () => {
    await requireConsent();
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

  test('a candidate who does not agree is told what happens next, nothing is recorded and no machine stays', async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    const calls = stack.cloud.voice.calls().length;
    const page = await browser.newPage({ locale: 'de-DE' });
    await page.goto(session.join_url ?? '');
    const disagree = page.getByRole('button', { name: 'Ich willige nicht ein' });
    await disagree.click();
    const dialog = page.getByRole('dialog', { name: 'Nicht am Gespräch teilnehmen?' });
    await dialog.getByRole('button', { name: 'Zurück zum Text' }).click();
    expect(await disagree.evaluate((at) => at === document.activeElement)).toBe(true);
    await disagree.click();
    await dialog.getByRole('button', { name: 'Ich willige nicht ein' }).click();
    const told = page.getByRole('status').getByText('Es wurde nichts aufgezeichnet.');
    await told.waitFor();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Es findet kein Gespräch statt');
    expect(await page.evaluate(() => [document.activeElement?.tagName, document.body.dataset.ended])).toEqual([
      'H1',
      'cancelled/consent_declined',
    ]);
    await page.reload();
    await told.waitFor();
    expect(await page.getByRole('button').count()).toBe(0);
    await page.close();
    const end = await endOf(stack, session.session_id);
    expect([end.status, end.reason, stack.cloud.voice.calls().length]).toEqual([
      'cancelled',
      'consent_declined',
      calls,
    ]);
    expect((await platformOf(stack).transcript(session.session_id)).entries).toEqual([]);
  });

  test('a candidate withdraws consent on the last page, and the interview is erased', async () => {
    await requireConsent();
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await browser.newPage({ locale: 'de-DE', permissions: ['microphone'] });
    await page.goto(session.join_url ?? '');
    await page.getByRole('button', { name: 'Ich willige ein' }).click();
    await page.getByRole('button', { name: 'Gespräch beginnen' }).click();
    await page.locator('[data-screen=end]').waitFor({ timeout: 60_000 });
    expect(await endOf(stack, session.session_id)).toMatchObject({ status: 'completed' });
    expect((await platformOf(stack).transcript(session.session_id)).entries.length).toBeGreaterThan(0);
    const withdraw = page.locator('[data-part=withdraw] > button');
    await withdraw.click();
    const dialog = page.getByRole('dialog', { name: 'Einwilligung widerrufen?' });
    await dialog.getByRole('button', { name: 'Zurück' }).click();
    expect(await withdraw.evaluate((at) => at === document.activeElement)).toBe(true);
    await withdraw.click();
    await dialog.getByRole('button', { name: 'Einwilligung widerrufen' }).click();
    await page.getByRole('heading', { level: 1, name: 'Sie haben Ihre Einwilligung widerrufen' }).waitFor();
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
    expect((await platformOf(stack).transcript(session.session_id)).entries).toEqual([]);
    await page.reload();
    await page.getByRole('heading', { level: 1, name: 'Sie haben Ihre Einwilligung widerrufen' }).waitFor();
    await page.close();
  });

  test('a candidate withdraws consent in the middle of the interview, and it ends there', async () => {
    await requireConsent();
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await browser.newPage({ locale: 'en-GB', permissions: ['microphone'] });
    // The interview goes on until it is withdrawn: this candidate says nothing.
    await page.addInitScript(() => {
      navigator.mediaDevices.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;
    });
    await page.goto(session.join_url ?? '');
    await page.getByRole('button', { name: 'I agree' }).click();
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.locator('#transcript li').first().waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'More', exact: true }).click();
    const menu = page.getByRole('dialog', { name: 'More' });
    await menu.getByRole('button', { name: 'Withdraw my consent' }).click();
    const asked = page.getByRole('dialog', { name: 'Withdraw your consent?' });
    await asked.getByText('What was said, recorded and evaluated is erased.').waitFor();
    await asked.getByRole('button', { name: 'Back' }).click();
    expect(await menu.isVisible()).toBe(true);
    await menu.getByRole('button', { name: 'Withdraw my consent' }).click();
    await asked.getByRole('button', { name: 'Withdraw my consent' }).click();
    await page.getByRole('heading', { level: 1, name: 'You withdrew your consent' }).waitFor();
    expect(await page.evaluate(() => [document.activeElement?.tagName, document.body.dataset.ended])).toEqual([
      'H1',
      'cancelled/consent_withdrawn',
    ]);
    expect(await page.getByRole('dialog').count()).toBe(0);
    const ended = await endOf(stack, session.session_id);
    expect([ended.status, ended.reason]).toEqual(['cancelled', 'consent_withdrawn']);
    await until(
      'it is erased',
      async () => (await platformOf(stack).transcript(session.session_id)).entries.length === 0,
    );
    await page.close();
  });

  test('a link with a wrong code shows a message that a candidate understands', async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await browser.newPage();
    await page.goto((session.join_url ?? '').replace(/#.*/, '#wrong-code'));
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toMatch(/invitation/i);
    expect(await page.getByRole('button', { name: 'Start the interview' }).count()).toBe(0);
    await page.close();
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
  });
});
