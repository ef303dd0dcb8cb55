import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { PlayerSdk } from '@api.video/player-sdk';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildClient } from '../../client/build.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { serveBuilt, withAxe, wrongLooks } from '../support/gallery.ts';
import { until } from '../support/session.ts';

const origin = 'https://platform.test';
/** What a platform's page must allow for the review: its own files and the player's frame. */
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; frame-src https://embed.test";

/** A player that says that it is there, as api.video's does, and shows which commands it got. */
const embed = `<!doctype html><title>Player</title><script>
  window.commands = [];
  const parameter = (name) => new RegExp(name + ':([^;]+)').exec(location.hash)[1];
  addEventListener('message', ({ data, origin }) => window.commands.push({ ...data, from: origin }));
  const tell = (type) => parent.postMessage({ type, sdkPlayerId: parameter('sdkPlayerId') }, atob(parameter('sdkOrigin')));
  setTimeout(() => { tell('sdkSync'); tell('ready'); }, 200);
</script>`;

describe('the review of an interview on the platform’s page', () => {
  let dir: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let asked: string[];
  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'greenroom-review-'));
    await buildClient(dir, 'gallery/review.tsx', 'react/review.css');
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser.close();
    rmSync(dir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    context = await browser.newContext({ timezoneId: 'UTC' });
    page = await context.newPage();
    await withAxe(page);
    await serveBuilt(context, origin, dir, { 'content-security-policy': policy });
    asked = [];
    await context.route('https://embed.test/**', async (route) => {
      asked.push(route.request().url());
      await route.fulfill({ body: embed, contentType: 'text/html' });
    });
  });
  afterEach(() => context.close());

  const show = async (name: string, language = 'en') => {
    await page.goto('about:blank');
    await page.goto(`${origin}/#${name}/${language}`);
    await page.locator('[data-part=review]').waitFor();
  };
  type Command = { message: string; currentTime?: number; sdkPlayerId: number; from: string };
  const commands = async () => {
    const frame = page.frames().find((one) => one.url().startsWith('https://embed.test/'));
    return ((await frame?.evaluate('window.commands')) ?? []) as Command[];
  };

  test('shows no state that axe complains about or that is wider than the window', async () => {
    await show('whole');
    const names = await page.evaluate(() => (window as unknown as { gallery: string[] }).gallery);
    const found: string[] = [];
    for (const name of names) {
      for (const language of ['en', 'de']) {
        await show(name, language);
        found.push(...(await wrongLooks(page, `review ${name} ${language}`)));
      }
    }
    expect(found).toEqual([]);
  });

  test('marks what is unverified, interrupted or corrected, and says integrity flags in words', async () => {
    await show('flagged');
    const entry = (number: number) => page.locator('[data-part=review-transcript] li').nth(number - 1);
    expect(await entry(2).textContent()).toContain('The candidate noted: I said Redis, not Postgres.');
    expect(await entry(3).textContent()).toContain('Interrupted');
    expect(await entry(6).textContent()).toContain('Unverified');
    expect(await page.getByText('Unverified:').count()).toBe(1);
    const integrity = page.locator('[data-part=integrity]');
    await integrity.getByText('One entry is known from the candidate’s browser alone').waitFor();
    await integrity.getByText('added text to the conversation by itself (2 times)').waitFor();
    // A kind that this version does not know is not shown as a code.
    expect(await integrity.textContent()).not.toContain('_');
    await page.getByText('Reviewed by Sam Rivera.').waitFor();
    await page.getByText('simulation').waitFor();
  });

  test('a quote of the evaluation leads to its entry, without a new address', async () => {
    await show('whole');
    const before = page.url();
    await page.getByRole('link', { name: /^Entry 4: / }).click();
    const focused = await page.evaluate(() => document.activeElement?.textContent);
    expect(focused).toContain('Every second request waited for a lock');
    expect(page.url()).toBe(before);
    // An entry that the transcript shown does not contain is named, but leads nowhere.
    expect(await page.getByText('Entry 99').count()).toBe(1);
    expect(await page.getByRole('link', { name: 'Entry 99' }).count()).toBe(0);
  });

  test('the recording is opened at the first press, and jumps to answers without being opened again', async () => {
    await show('whole');
    expect(asked).toEqual([]);
    // The first call began three seconds before the recording; a jump begins a second early.
    await page.getByRole('button', { name: 'Play from 0:36' }).click();
    await until('it has jumped', async () => (await commands()).length === 2);
    expect(await commands()).toMatchObject([
      { message: 'setCurrentTime', currentTime: 36, from: origin },
      { message: 'play', from: origin },
    ]);
    await page.getByRole('button', { name: 'Play from 5:03' }).click();
    await until('it has jumped again', async () => (await commands()).length === 4);
    expect((await commands())[2]).toMatchObject({ currentTime: 303 });
    expect(asked).toEqual(['https://embed.test/vod/vi1?token=once']);
    // An unverified entry's time may be made up.
    expect(await page.locator('li[data-verified=false]').getByRole('button').count()).toBe(0);
  });

  test('the player’s commands are those of api.video’s own SDK', async () => {
    const { outputFiles } = await build({
      stdin: {
        contents: "import { PlayerSdk } from '@api.video/player-sdk'; window.Official = PlayerSdk;",
        resolveDir: import.meta.dirname,
      },
      ...{ bundle: true, write: false, format: 'iife', logLevel: 'silent' },
    });
    await context.route('https://official.test/**', (route) =>
      route.fulfill({ body: '<!doctype html><title>Official</title><body></body>', contentType: 'text/html' }),
    );
    await page.goto('https://official.test/');
    await page.addScriptTag({ content: outputFiles[0]?.text ?? '' });
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the SDK replaces the parts itself
    const iframeUrl = 'https://embed.test/${type}/${id}';
    await page.evaluate((url) => {
      const { Official } = window as unknown as { Official: typeof PlayerSdk };
      const sdk = new Official(document.body, { id: 'vi1', token: 'once', iframeUrl: url });
      // They are answered by the real player only.
      void sdk.setCurrentTime(36);
      void sdk.play();
    }, iframeUrl);
    await until('it has jumped', async () => (await commands()).length === 2);
    const essence = ({ message, currentTime, sdkPlayerId }: Command) => ({ message, currentTime, sdkPlayerId });
    const official = (await commands()).map(essence);
    const officialHash = page.frames()[1]?.url().split('#')[1];
    await show('whole');
    await page.getByRole('button', { name: 'Play from 0:36' }).click();
    await until('it has jumped', async () => (await commands()).length === 2);
    expect((await commands()).map(essence)).toEqual(official);
    const parametersOf = (hash = '') =>
      hash
        .split(';')
        .map((one) => one.split(':')[0])
        .sort();
    expect(parametersOf(page.frames()[1]?.url().split('#')[1])).toEqual(parametersOf(officialHash));
  });
});
