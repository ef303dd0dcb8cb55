import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildClient } from '../../client/build.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { looks, serveBuilt, withAxe, wrongLooks } from '../support/gallery.ts';

const origin = 'https://gallery.test';

/** Every screen and state of the room from fixtures, without a service. */
describe('the gallery of the room', () => {
  let dir: string;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'greenroom-gallery-'));
    await buildClient(dir, 'gallery/gallery.tsx');
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
    const context = await browser.newContext({ bypassCSP: true, timezoneId: 'UTC' });
    page = await context.newPage();
    await withAxe(page);
    await serveBuilt(context, origin, dir);
  });
  afterAll(async () => {
    await browser.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const show = async (name: string, language: string) => {
    await page.goto('about:blank');
    await page.goto(`${origin}/#${name}/${language}`);
    await page.locator('html[data-shown]').waitFor({ state: 'attached' });
  };
  const names = async (): Promise<string[]> => {
    await show('lobby', 'en');
    return page.evaluate(() => (window as unknown as { gallery: string[] }).gallery);
  };
  /** Problems differ in their text alone: two of the four looks show all there is to see. */
  const looksOf = (name: string) =>
    looks.filter(
      ({ width, colorScheme }) => !name.startsWith('problem-') || (width === 360) === (colorScheme === 'light'),
    );

  test('shows no state that axe complains about or that is wider than the window', async () => {
    const found: string[] = [];
    for (const name of await names()) {
      for (const language of ['en', 'de']) {
        await show(name, language);
        found.push(...(await wrongLooks(page, `${name} ${language}`, looksOf(name))));
      }
    }
    expect(found).toEqual([]);
  });

  test('fits the live screen into the window of a phone: only the conversation scrolls', async () => {
    const found: string[] = [];
    const windows = [
      { width: 360, height: 740 },
      { width: 360, height: 640 },
      { width: 1280, height: 800 },
    ];
    const isLive = (name: string) =>
      /^(listening|hearing|thinking|speaking|paused|empty|behind|problem-.*)$/.test(name);
    for (const name of (await names()).filter(isLive)) {
      for (const language of ['en', 'de']) {
        for (const size of windows) {
          await page.setViewportSize(size);
          await show(name, language);
          const at = await page.evaluate(() => ({
            page: document.documentElement.scrollHeight - innerHeight,
            log: document.querySelector('[data-part=transcript]')?.clientHeight ?? 0,
            end: document.querySelector('button[data-part=end]')?.getBoundingClientRect().bottom ?? Infinity,
            innerHeight,
          }));
          if (at.page > 0 || at.log < 90 || at.end > at.innerHeight)
            found.push(`${name} ${language} ${size.width}x${size.height}: ${JSON.stringify(at)}`);
        }
      }
    }
    expect(found).toEqual([]);
  });

  test('keeps every control reachable at 320 px with text at 200 %', async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    const found: string[] = [];
    for (const name of (await names()).filter((one) => !one.startsWith('problem-'))) {
      await show(name, 'de');
      await page.evaluate(() => {
        document.documentElement.style.fontSize = '200%';
      });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) found.push(`${name}: ${overflow} px too wide`);
      for (const button of await page.getByRole('button').all()) {
        await button.evaluate((at) => at.scrollIntoView({ block: 'center' }));
        const box = await button.boundingBox();
        if (!box || box.y < 0 || box.y + box.height > 641 || box.height < 44)
          found.push(`${name}: ${await button.textContent()} ${JSON.stringify(box)}`);
      }
    }
    expect(found).toEqual([]);
  });

  test('does not say that the page can be closed while something is still on the device', async () => {
    const canBeClosed = async (name: string) => {
      await show(name, 'en');
      return page.getByText('You can close this page.').isVisible();
    };
    expect([await canBeClosed('ended-candidate'), await canBeClosed('ended-left-over')]).toEqual([true, false]);
    expect(await canBeClosed('camera-uploading')).toBe(false);
  });

  test('tells states apart in forced colours, where tints and shadows are gone', async () => {
    await page.emulateMedia({ forcedColors: 'active' });
    const styleOf = (selector: string, property: 'backgroundColor' | 'borderTopWidth') =>
      page
        .locator(selector)
        .first()
        .evaluate((at, name) => getComputedStyle(at)[name], property);
    await show('listening', 'en');
    const listening = await styleOf('.circle', 'backgroundColor');
    const free = await styleOf('button[data-part=mute]', 'borderTopWidth');
    await page.getByRole('button', { name: 'Mute microphone' }).click();
    expect(await styleOf('button[data-part=mute][aria-pressed=true]', 'borderTopWidth')).not.toBe(free);
    await show('speaking', 'en');
    expect(await styleOf('.circle', 'backgroundColor')).not.toBe(listening);
    await page.emulateMedia({ forcedColors: 'none' });
  });

  test('moves nothing for a person who asks for reduced motion', async () => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    const moving: string[] = [];
    for (const name of await names()) {
      await show(name, 'en');
      const count = await page.evaluate(() => document.getAnimations().length);
      if (count > 0) moving.push(`${name}: ${count}`);
    }
    expect(moving).toEqual([]);
    await page.emulateMedia({ reducedMotion: 'no-preference' });
  });
});
