import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';

/**
 * Looks at pages: axe's rules, the width, and a picture of each state if the environment variable `ROOM_PICTURES` names a
 * folder.
 */
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const pictures = process.env.ROOM_PICTURES;
const contentTypes: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

export interface Look {
  colorScheme: 'light' | 'dark';
  width: number;
}
const height = 800;
export const looks: readonly Look[] = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [360, 1280].map((width) => ({ colorScheme, width })),
);

/** Loads axe into the pages that this page opens from now on. Their policy must allow it. */
export const withAxe = (page: Page) => page.addInitScript({ path: axe });

interface Violation {
  id: string;
  nodes: Array<{ html: string }>;
}

/** What is wrong with the page in these looks. @param state names it in the result and in the names of the pictures. */
export async function wrongLooks(page: Page, state: string, wanted: readonly Look[] = looks): Promise<string[]> {
  const found: string[] = [];
  for (const { colorScheme, width } of wanted) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height });
    const { violations } = await page.evaluate(() =>
      (globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }).axe.run(),
    );
    const at = `${state} ${width} ${colorScheme}`;
    found.push(...violations.map(({ id, nodes }) => `${at}: ${id} ${nodes[0]?.html}`));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) found.push(`${at}: ${overflow} px too wide`);
    if (!pictures) continue;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: path.join(pictures, `${at.replaceAll(' ', '-')}.png`), fullPage: true });
  }
  return found;
}

/** Serves the files of a built page under this origin, without a network. */
export const serveBuilt = (
  context: BrowserContext,
  origin: string,
  dir: string,
  headers: Record<string, string> = {},
) =>
  context.route(`${origin}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const name = pathname === '/' ? 'index.html' : path.basename(pathname);
    const contentType = contentTypes[path.extname(name)] ?? 'text/plain';
    await route.fulfill({ body: await readFile(path.join(dir, name)), contentType, headers });
  });
