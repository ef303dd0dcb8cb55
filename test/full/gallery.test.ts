import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildClient } from '../../client/build.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** Set `ROOM_PICTURES` to a folder to keep a picture of each state. */
const pictures = process.env.ROOM_PICTURES;
const origin = 'https://gallery.test';
const contentTypes: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

interface Violation {
  id: string;
  nodes: Array<{ html: string }>;
}

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
    await page.addInitScript({ path: axe });
    await page.route(`${origin}/**`, async (route) => {
      const { pathname } = new URL(route.request().url());
      const name = pathname === '/' ? 'index.html' : path.basename(pathname);
      await route.fulfill({
        body: await readFile(path.join(dir, name)),
        contentType: contentTypes[path.extname(name)] ?? 'text/plain',
      });
    });
  });
  afterAll(async () => {
    await browser.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const show = async (name: string, language: string) => {
    await page.goto('about:blank');
    await page.goto(`${origin}/#${name}/${language}`);
    await page.locator('main:not([data-screen=looking])').waitFor();
  };
  const names = async (): Promise<string[]> => {
    await show('lobby', 'en');
    return page.evaluate(() => (window as unknown as { gallery: string[] }).gallery);
  };
  const sizes = [
    { width: 360, height: 740 },
    { width: 1280, height: 800 },
  ];

  test('shows no state that axe complains about or that is wider than the window', async () => {
    const found: string[] = [];
    for (const name of await names()) {
      for (const language of ['en', 'de']) {
        await show(name, language);
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          for (const size of sizes) {
            // Problems differ in their text alone: two of the four pictures show all there is to see.
            const isNarrow = size.width === 360;
            if (name.startsWith('problem-') && isNarrow !== (colorScheme === 'light')) continue;
            await page.setViewportSize(size);
            const state = `${name} ${language} ${colorScheme} ${size.width}`;
            const { violations } = await page.evaluate(() =>
              (globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }).axe.run(),
            );
            found.push(...violations.map(({ id, nodes }) => `${state}: ${id} ${nodes[0]?.html}`));
            const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (overflow > 0) found.push(`${state}: ${overflow} px too wide`);
            if (!pictures) continue;
            mkdirSync(pictures, { recursive: true });
            const file = path.join(pictures, `${name}-${language}-${size.width}-${colorScheme}.png`);
            await page.screenshot({ path: file, fullPage: true });
          }
        }
      }
    }
    expect(found).toEqual([]);
  }, 300_000);

  test('fits the live screen into the window of a phone: only the conversation scrolls', async () => {
    const found: string[] = [];
    const isLive = (name: string) =>
      /^(listening|hearing|thinking|speaking|paused|empty|behind|problem-.*)$/.test(name);
    for (const name of (await names()).filter(isLive)) {
      for (const language of ['en', 'de']) {
        for (const size of [...sizes, { width: 360, height: 640 }]) {
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
  }, 300_000);

  test('keeps every control reachable at 320 px with text at 200 %', async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    const found: string[] = [];
    for (const name of ['lobby', 'consent', 'listening', 'behind', 'ended-candidate']) {
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
});
