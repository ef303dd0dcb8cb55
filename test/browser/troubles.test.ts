import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { allStored, expectStoredAsSaid, roomOf } from '../support/room.ts';
import { platformOf, sessionBody } from '../support/session.ts';

/** Messages to the candidate when the browser or the network fails. */
describe('a candidate’s browser in trouble', () => {
  let stack: Stack;
  let browser: Browser;
  beforeAll(async () => {
    // More questions than the slowest machine gets through: candidates end these interviews.
    stack = await startStack({ voice: { turns: 500, paceMs: 1_000, maxTurnMs: 1_500 } });
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser.close();
    await stack.stop();
  });

  const open = async (more: Record<string, unknown> = {}) => platformOf(stack).createSession(sessionBody(more));
  const alert = (page: Page) => page.getByRole('alert');
  const start = (page: Page) => page.getByRole('button', { name: 'Start the interview' });
  /** Says something more, ends the interview and compares what is stored with what was said. */
  const finish = async (page: Page, sessionId: string) => {
    const room = roomOf(page);
    await room.hasAnswered((await room.answers()) + 1);
    await room.end();
    await room.waitFor(allStored);
    expect((await expectStoredAsSaid(stack, sessionId)).reason).toBe('ended_by_candidate');
  };
  const running = (page: Page) => page.getByText('The interview is running').waitFor({ timeout: 60_000 });

  test('a candidate whose browser blocks site data is told not to reload and can take part', async () => {
    const session = await open();
    const profile = mkdtempSync(join(tmpdir(), 'greenroom-chromium-'));
    mkdirSync(join(profile, 'Default'));
    const blocked = { profile: { default_content_setting_values: { cookies: 2 } } };
    writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(blocked));
    const options = { executablePath: browserPath(), headless: true, args: browserArguments };
    const context = await chromium.launchPersistentContext(profile, options);
    const page = await context.newPage();
    await page.goto(session.join_url ?? '');
    await alert(page).getByText('lets this page store nothing').waitFor();
    // The invitation stays bound to this tab after a reload.
    await page.reload();
    await page.getByRole('button', { name: 'OK' }).click();
    await start(page).click();
    await running(page);
    expect(await alert(page).isVisible()).toBe(false);
    await finish(page, session.session_id);
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  });

  test('an unplugged microphone is replaced, and the provider receives the new one', async () => {
    const session = await open();
    const page = await browser.newPage();
    await page.addInitScript(() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      const seen = window as unknown as { tracks: MediaStreamTrack[]; unplugged: boolean };
      seen.tracks = [];
      navigator.mediaDevices.getUserMedia = async (constraints) => {
        if (seen.unplugged) throw new DOMException('none', 'NotFoundError');
        const stream = await real(constraints);
        seen.tracks.push(...stream.getAudioTracks());
        return stream;
      };
    });
    await page.goto(session.join_url ?? '');
    await start(page).click();
    await running(page);
    await page.evaluate(() => {
      const seen = window as unknown as { tracks: MediaStreamTrack[]; unplugged: boolean };
      seen.unplugged = true;
      seen.tracks[0]?.stop();
      seen.tracks[0]?.dispatchEvent(new Event('ended'));
    });
    await alert(page).getByText('Your microphone was disconnected').waitFor();
    await page.evaluate(() => {
      (window as unknown as { unplugged: boolean }).unplugged = false;
      navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
    });
    await alert(page).waitFor({ state: 'hidden' });
    const from = stack.cloud.voice.calls().length;
    // The candidate's next answer is transcribed, so its audio comes from the second track.
    const answers = () => page.locator('#transcript .candidate:not(.partial)').count();
    const before = await answers();
    await expect.poll(answers, { timeout: 60_000 }).toBeGreaterThan(before + 1);
    expect(stack.cloud.voice.calls().length).toBe(from);
    await finish(page, session.session_id);
    await page.close();
  });

  test('a proxy that answers for the service is reported in plain words, and joining continues by itself', async () => {
    const session = await open();
    const page = await browser.newPage();
    const html = { status: 502, contentType: 'text/html', body: '<html>Bad gateway</html>' };
    await page.route('**/api/join', (route) => route.fulfill(html));
    await page.goto(session.join_url ?? '');
    await alert(page).getByText('Something went wrong on our side').waitFor();
    expect(await alert(page).textContent()).not.toMatch(/Unexpected|token|fetch|<|502/);
    await page.unroute('**/api/join');
    await page.route('**/api/join', (route) => route.abort());
    await page.getByRole('button', { name: 'Try now' }).click();
    await alert(page).getByText('Something went wrong on our side').waitFor();
    await page.unroute('**/api/join');
    await page.getByText('Ready when you are.').waitFor({ timeout: 60_000 });
    expect(await alert(page).isVisible()).toBe(false);
    await start(page).click();
    await finish(page, session.session_id);
    await page.close();
  });

  test('the warning about a busy microphone disappears once the interview runs', async () => {
    const session = await open();
    const page = await browser.newPage();
    await page.addInitScript(() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      let asked = 0;
      navigator.mediaDevices.getUserMedia = (constraints) => {
        asked += 1;
        return asked === 1 ? Promise.reject(new DOMException('in use', 'NotReadableError')) : real(constraints);
      };
    });
    await page.goto(session.join_url ?? '');
    await start(page).click();
    await alert(page).getByText('Another program is using your microphone').waitFor();
    await start(page).click();
    await running(page);
    expect(await alert(page).isVisible()).toBe(false);
    await page.close();
    await platformOf(stack).deleteSession(session.session_id);
  });

  test('a voice that the browser blocks is reported, and one press turns it on', async () => {
    const session = await open();
    const page = await browser.newPage();
    await page.addInitScript(() => {
      const real = HTMLMediaElement.prototype.play;
      let refused = 0;
      HTMLMediaElement.prototype.play = function () {
        refused += 1;
        return refused <= 2 ? Promise.reject(new DOMException('no', 'NotAllowedError')) : real.call(this);
      };
    });
    await page.goto(session.join_url ?? '');
    await start(page).click();
    await alert(page).getByText('Your browser is holding the sound back').waitFor({ timeout: 60_000 });
    await running(page);
    const turnOn = page.getByRole('button', { name: 'Turn on sound' });
    // The page as a whole also handles the press, so one press makes two attempts.
    await turnOn.click();
    await alert(page).waitFor({ state: 'hidden' });
    await page.close();
    await platformOf(stack).deleteSession(session.session_id);
  });

  test('a network that blocks audio is reported within seconds of the first answer', async () => {
    const session = await open();
    const page = await browser.newPage();
    await page.addInitScript(() => {
      const Real = window.RTCPeerConnection;
      window.RTCPeerConnection = class extends Real {
        constructor(configuration?: RTCConfiguration) {
          super({ ...configuration, iceTransportPolicy: 'relay' });
        }
      } as typeof RTCPeerConnection;
    });
    await page.goto(session.join_url ?? '');
    await start(page).click();
    await alert(page).getByText('You are not heard right now').waitFor({ timeout: 60_000 });
    expect(await page.getByRole('status').textContent()).not.toMatch(/The interview is running/);
    await page.close();
    await platformOf(stack).deleteSession(session.session_id);
  });
});
