import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterviewScript } from '@greenroom/local-cloud/voice/script.ts';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { de } from '../../client/react/de.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { createPlatform } from '../../tools/demo/platform.ts';
import { until } from '../support/session.ts';

const root = path.join(import.meta.dirname, '../..');

/** `npm start` as a person uses it: what it prints is all that is known. */
describe('the link that npm start prints', () => {
  let started: ChildProcess;
  let browser: Browser;
  let printed = '';
  beforeAll(async () => {
    started = spawn('npm', ['start'], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    started.stdout?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    await until('it is up', () => printed.includes('Press Ctrl-C to stop.'), 300_000);
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser?.close();
    const exited = once(started, 'exit');
    process.kill(-(started.pid ?? 0), 'SIGINT');
    await exited;
  });

  /** Moves the focus with the Tab key to the control with this name. */
  const tabTo = async (page: Page, name: string) => {
    const focused = () =>
      page.evaluate(() => {
        const at = document.activeElement as HTMLElement | null;
        return at?.getAttribute('aria-label') ?? at?.textContent?.trim() ?? '';
      });
    await page.getByText(name, { exact: true }).first().waitFor({ timeout: 60_000 });
    for (let tabs = 0; tabs < 60 && (await focused()) !== name; tabs += 1) await page.keyboard.press('Tab');
    expect(await focused()).toBe(name);
  };
  const press = async (page: Page, name: string) => {
    await tabTo(page, name);
    await page.keyboard.press('Enter');
  };
  const reads = (page: Page, text: string | RegExp, timeout = 60_000) =>
    page.getByText(text).first().waitFor({ timeout });
  const focusedTag = (page: Page) => page.evaluate(() => document.activeElement?.tagName);

  test('carries a person through a whole interview in German, by keyboard alone, on a screen of 360 px', async () => {
    const link = /https?:\S+\/join\/\S+/.exec(printed)?.[0] ?? '';
    const apiKey = /gr_live_\S+/.exec(printed)?.[0] ?? '';
    const context = await browser.newContext({ locale: 'de-DE', viewport: { width: 360, height: 740 } });
    const page = await context.newPage();
    await page.goto(link);
    await reads(page, de.ready);
    await press(page, de.checkMicrophone);
    await press(page, de.testTone);
    await reads(page, de.testTonePlayed);
    await press(page, de.start);
    await reads(page, de.running);
    expect(await focusedTag(page)).toBe('H1');
    await page.locator('#transcript li[data-speaker=candidate]:not(.partial)').first().waitFor({ timeout: 60_000 });
    await press(page, de.moment);
    await reads(page, de.turns.paused);
    await press(page, de.goOn);
    await press(page, de.type);
    await until('the field has the focus', async () => (await focusedTag(page)) === 'TEXTAREA');
    await page.keyboard.type('Das tippe ich lieber.');
    await press(page, de.send);
    await reads(page, 'Das tippe ich lieber.');
    // Nothing is wider than the screen.
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await page.waitForFunction(() => document.body.dataset.ended !== undefined, undefined, { timeout: 240_000 });
    expect(await page.evaluate(() => document.body.dataset.ended)).toBe('completed/interviewer_finished');
    await reads(page, de.ends.interviewer_finished ?? '');
    await reads(page, /Antworten sind gespeichert\./);
    expect(await focusedTag(page)).toBe('H1');
    await tabTo(page, de.download);

    const sessionId = /\/join\/([^#]+)/.exec(link)?.[1] ?? '';
    const platform = createPlatform(new URL(link).origin, apiKey);
    await platform.waitFor(sessionId, ({ status }) => status === 'completed', 60_000);
    const { entries } = await platform.transcript(sessionId);
    const stored = entries.map(({ text }) => text);
    const { turns, goodbye } = createInterviewScript(4);
    const script = [...turns.map(({ candidate }) => candidate), goodbye];
    expect(stored.filter((text) => script.includes(text))).toEqual(script);
    expect(stored).toContain('Das tippe ich lieber.');
    for (const { interviewer } of turns) expect(stored.join('\n')).toContain(interviewer.split('. ').at(-1) ?? '');
    await context.close();
  });
});
