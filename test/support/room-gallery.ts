import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { buildClient } from '../../client/build.ts';
import type { FakeInterview } from '../../client/src/testing/fake-interview.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { serveBuilt, withAxe } from './gallery.ts';

/** What client/gallery/gallery.tsx puts into its window. */
export interface GalleryWindow {
  gallery: string[];
  interview: FakeInterview;
  drawn: string[];
}

export interface RoomGallery {
  page: Page;
  /** Opens a fixture, and waits until the page shows it. */
  show(name: string, language?: 'en' | 'de'): Promise<void>;
  /** Names of all fixtures. */
  names(): Promise<string[]>;
  /** Another page, with other options, of the same origin. */
  open(options?: BrowserContextOptions): Promise<Page>;
  close(): Promise<void>;
}

export const galleryOrigin = 'https://gallery.test';

/**
 * The room's screens from fixtures in a real browser, without a service.
 * @param script the page's script. Default: the fixtures
 */
export async function openRoomGallery(script = 'gallery/gallery.tsx'): Promise<RoomGallery> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-gallery-'));
  await buildClient(dir, script);
  const browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  const open = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext({ bypassCSP: true, timezoneId: 'UTC', ...options });
    await serveBuilt(context, galleryOrigin, dir);
    return context.newPage();
  };
  const page = await open();
  await withAxe(page);
  const show = async (name: string, language = 'en') => {
    await page.goto('about:blank');
    await page.goto(`${galleryOrigin}/#${name}/${language}`);
    await page.locator('html[data-shown]').waitFor({ state: 'attached' });
  };
  return {
    page,
    show,
    names: async () => {
      await show('lobby');
      return page.evaluate(() => (window as unknown as GalleryWindow).gallery);
    },
    open,
    close: async () => {
      await browser.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
