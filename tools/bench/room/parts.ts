import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core';
import { browserArguments, browserPath } from '../../demo/browser.ts';
import { createPlatform } from '../../demo/platform.ts';
import type { Stack } from '../../stack/stack.ts';
import type { Figure } from '../figures.ts';

/** What the measurements of the room share: figures, browsers, sessions. */
export const figure = (name: string, value: number, unit: string, target: number | null): Figure => ({
  ...{ name, value, unit, target },
  baseline: null,
});

export async function launch(more: string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: browserPath(), headless: true, args: [...browserArguments, ...more] });
}
export const english = (browser: Browser): Promise<BrowserContext> => browser.newContext({ locale: 'en-GB' });
export const platformOf = (stack: Stack) => createPlatform(stack.publicUrl, stack.tenant.apiKey);
export const create = async (stack: Stack) => {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Backend engineer' }, region: 'fra' };
  const session = await platformOf(stack).createSession(body);
  return { ...session, link: session.join_url ?? '' };
};
export const remove = (stack: Stack, id: string) => platformOf(stack).deleteSession(id);
export const profiler = (page: Page): Promise<CDPSession> => page.context().newCDPSession(page);
