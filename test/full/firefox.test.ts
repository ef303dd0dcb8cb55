import { existsSync } from 'node:fs';
import { type Browser, launch, type Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { countHeld, type Held } from '../support/leaks.ts';
import { allStored, callsOf, expectStoredAsSaid } from '../support/room.ts';
import { machinesOf, platformOf, sessionBody, until } from '../support/session.ts';

/** Debian: `apt-get install firefox-esr`. Driven by WebDriver BiDi. */
const executablePath = '/usr/bin/firefox-esr';
const timeout = 60_000;

/** Firefox with a synthetic microphone: a steady tone, so turns need a limit. It connects only to this machine. */
const launchFirefox = (preferences: Record<string, unknown> = {}): Promise<Browser> =>
  launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'intl.accept_languages': 'en-GB',
      ...preferences,
    },
  });

describe.skipIf(!existsSync(executablePath))('the room in Firefox ESR', () => {
  let stack: Stack;
  let firefox: Browser;
  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 6, paceMs: 500, maxTurnMs: 1_500 } });
    firefox = await launchFirefox();
  });
  afterAll(async () => {
    await firefox?.close();
    await stack?.stop();
  });

  const open = async (browser: Browser) => {
    const session = await platformOf(stack).createSession(sessionBody());
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(countHeld);
    await page.evaluateOnNewDocument(() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      const seen = window as unknown as { opened: MediaStreamTrack[]; onEnded: Array<() => void>; unplugged: boolean };
      seen.opened = [];
      seen.onEnded = [];
      // Firefox delivers no event that a page sends to a track: the listeners are called instead.
      const listen = MediaStreamTrack.prototype.addEventListener;
      MediaStreamTrack.prototype.addEventListener = function (this: MediaStreamTrack, type: string, listener: unknown) {
        if (type === 'ended') seen.onEnded.push(listener as () => void);
        listen.call(this, type, listener as EventListener);
      };
      navigator.mediaDevices.getUserMedia = async (constraints) => {
        if (seen.unplugged) throw new DOMException('none', 'NotFoundError');
        const stream = await real(constraints);
        seen.opened.push(...stream.getTracks());
        return stream;
      };
    });
    await page.goto(session.join_url ?? '');
    return { session, page };
  };
  // The driver's own waits need `eval`, which the page's policy forbids.
  const text = (page: Page) => page.evaluate(() => document.body.textContent ?? '');
  const shows = (page: Page, words: string | RegExp) =>
    until(String(words), async () => {
      const shown = await text(page);
      return typeof words === 'string' ? shown.includes(words) : words.test(shown);
    });
  const start = async (page: Page) => {
    const button = await page.waitForSelector('[data-screen=lobby] button[data-primary]:not([disabled])', { timeout });
    await button?.click();
  };
  const hasAnswered = (page: Page) =>
    page.waitForSelector('#transcript li[data-speaker=candidate]:not(.partial)', { timeout });
  const completes = async (page: Page, sessionId: string, epoch: number) => {
    const end = () => page.evaluate(() => document.body.dataset.ended);
    expect(await until('it ends', end, 120_000)).toBe('completed/interviewer_finished');
    await shows(page, allStored);
    const held = () => page.evaluate(() => (window as unknown as { held(): Held }).held());
    await until('nothing is held', async () => Object.values(await held()).every((count) => count === 0));
    await page.close();
    const ended = await expectStoredAsSaid(stack, sessionId);
    expect(ended).toMatchObject({ status: 'completed', epoch });
  };

  test('a candidate completes an interview, and nothing stays open afterwards', async () => {
    const { session, page } = await open(firefox);
    await start(page);
    await completes(page, session.session_id, 1);
  });

  test('keeps the call when the machine is killed, and every word is stored', async () => {
    const { session, page } = await open(firefox);
    await start(page);
    await hasAnswered(page);
    const machine = machinesOf(stack, session.session_id).find(({ state }) => state === 'started');
    stack.cloud.fly.killMachineProcess(machine?.id ?? '', 'SIGKILL');
    await shows(page, 'Saving is behind');
    await completes(page, session.session_id, 2);
    expect(await callsOf(stack, session.session_id).then(({ length }) => length)).toBe(1);
  });

  test('says that the microphone was unplugged, and goes on with the next one', async () => {
    const { session, page } = await open(firefox);
    await start(page);
    await hasAnswered(page);
    await page.evaluate(() => {
      const seen = window as unknown as { opened: MediaStreamTrack[]; onEnded: Array<() => void>; unplugged: boolean };
      seen.unplugged = true;
      seen.opened[0]?.stop();
      for (const listener of seen.onEnded) listener();
    });
    await shows(page, 'Your microphone was disconnected');
    await page.evaluate(() => {
      (window as unknown as { unplugged: boolean }).unplugged = false;
      navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
    });
    await until('the warning is gone', async () => !(await text(page)).includes('Your microphone was disconnected'));
    await completes(page, session.session_id, 1);
  });

  test.each([
    ['refuses it', { 'media.navigator.permission.disabled': false, 'permissions.default.microphone': 2 }, 'Allow it'],
    ['finds none', { 'media.navigator.streams.fake': false }, 'We found no microphone'],
  ])('tells a candidate what to do about the microphone when it %s', async (_name, preferences, words) => {
    const browser = await launchFirefox(preferences);
    const { session, page } = await open(browser);
    await start(page);
    await shows(page, words);
    await browser.close();
    await platformOf(stack).deleteSession(session.session_id);
    await expectStoredAsSaid(stack, session.session_id);
  });
});
