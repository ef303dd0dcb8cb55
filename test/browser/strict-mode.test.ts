import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { countHeld, expectNothingHeld, held } from '../support/leaks.ts';
import { bundleScript, engines } from '../support/platform-page.ts';
import { until } from '../support/session.ts';

const room = `
  import { StrictMode } from 'react';
  import { createRoot } from 'react-dom/client';
  import { InterviewSession } from './react/index.ts';
  const root = createRoot(document.getElementById('room'));
  const link = { sessionId: 's1', websocketUrl: 'wss://interviews.test/ws/sessions/s1', joinToken: 'join' };
  root.render(<StrictMode><InterviewSession {...link} /></StrictMode>);
  window.unmount = () => root.unmount();`;

/** Runs in the page: no socket is ever answered. `opened` counts them. */
function answerNoSocket(): void {
  const seen = window as unknown as { opened: number };
  seen.opened = 0;
  window.WebSocket = class extends EventTarget {
    static readonly OPEN = 1;
    static readonly CLOSED = 3;
    readyState = 0;
    constructor() {
      super();
      seen.opened += 1;
    }
    close() {
      this.readyState = 3;
    }
  } as unknown as typeof WebSocket;
}

describe.each(engines)('a platform’s page built on %s', (_name, alias) => {
  let browser: Browser;
  let script: string;
  beforeAll(async () => {
    script = await bundleScript(room, alias);
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(() => browser.close());

  test('connects once in strict mode, and holds nothing after it is unmounted', async () => {
    const page = await browser.newPage();
    await page.addInitScript(answerNoSocket);
    await page.addInitScript(countHeld);
    await page.route('https://platform.test/**', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: '<!doctype html><title>Platform</title><main id="room"></main>',
      }),
    );
    await page.goto('https://platform.test/');
    await page.addScriptTag({ content: script });
    const opened = () => page.evaluate(() => (window as unknown as { opened: number }).opened);
    await until('it connects', async () => (await opened()) > 0);
    await page.waitForTimeout(500);
    expect(await opened()).toBe(1);
    expect(await held(page)).toMatchObject({ sockets: 1, tracks: 1, contexts: 1 });
    await page.evaluate(() => (window as unknown as { unmount(): void }).unmount());
    await expectNothingHeld(page);
    await page.close();
  });
});
