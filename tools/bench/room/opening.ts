import type { Browser } from 'playwright-core';
import type { Stack } from '../../stack/stack.ts';
import { type Figure, median } from '../figures.ts';
import { create, english, figure, profiler, remove } from './parts.ts';

const runs = 7;
const phone = { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 93_750 };

const interactive = 'greenroom: interactive';

/**
 * Runs in the page: notes when the button to start the interview can first be pressed, and says so in the console. A wait of
 * the driver would run a large script in the page at that very time: about 0.4 s with a quarter of the processor.
 */
function noteInteractive(sign: string): void {
  const seen = window as unknown as { drawnMs?: number; readyMs?: number };
  new MutationObserver(() => {
    if (document.querySelector('main')) seen.drawnMs ??= performance.now();
    if (seen.readyMs !== undefined) return;
    if (!document.querySelector('[data-screen=lobby] button[data-primary]:not([disabled])')) return;
    seen.readyMs = performance.now();
    console.debug(sign);
  }).observe(document, { childList: true, subtree: true, attributes: true });
}

interface Opened {
  drawnMs: number;
  readyMs: number;
  script: number;
  style: number;
}

/** A page with an empty cache and a quarter of the processor. */
async function slowPage(browser: Browser, network?: typeof phone) {
  const context = await english(browser);
  const page = await context.newPage();
  const cdp = await profiler(page);
  await cdp.send('Network.enable');
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  if (network) await cdp.send('Network.emulateNetworkConditions', network);
  return { context, page, cdp };
}

/** The time until an answer without script and style is shown: what the browser and the network alone take, ms. */
async function openEmpty(browser: Browser, link: string, network?: typeof phone): Promise<number> {
  const { context, page } = await slowPage(browser, network);
  await page.goto(new URL('/healthz', link).href);
  const loadedMs = await page.evaluate(() => {
    const [entry] = performance.getEntriesByType('navigation');
    return (entry as PerformanceNavigationTiming).domContentLoadedEventEnd;
  });
  await context.close();
  return loadedMs;
}

async function openOnce(browser: Browser, link: string, network?: typeof phone): Promise<Opened> {
  const { context, page, cdp } = await slowPage(browser, network);
  await page.addInitScript(noteInteractive, interactive);
  const kinds = new Map<string, string>();
  const bytes: Record<string, number> = {};
  cdp.on('Network.responseReceived', ({ requestId, type }) => kinds.set(requestId, type));
  cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const kind = kinds.get(requestId) ?? '';
    bytes[kind] = (bytes[kind] ?? 0) + encodedDataLength;
  });
  const shown = page.waitForEvent('console', { predicate: (line) => line.text() === interactive, timeout: 60_000 });
  await page.goto(link);
  await shown;
  const times = await page.evaluate(() => {
    const { drawnMs = 0, readyMs = 0 } = window as unknown as { drawnMs?: number; readyMs?: number };
    return { drawnMs, readyMs };
  });
  await context.close();
  return { ...times, script: (bytes.Script ?? 0) / 1_000, style: (bytes.Stylesheet ?? 0) / 1_000 };
}

/** What a candidate waits for after opening the link, with an empty cache. */
export async function opening(stack: Stack, browser: Browser, progress: (line: string) => void): Promise<Figure[]> {
  const { link, session_id } = await create(stack);
  await openOnce(browser, link);
  const near: Opened[] = [];
  const far: Opened[] = [];
  const empty: Record<'near' | 'far', number[]> = { near: [], far: [] };
  for (let run = 0; run < runs; run += 1) {
    near.push(await openOnce(browser, link));
    far.push(await openOnce(browser, link, phone));
    empty.near.push(await openEmpty(browser, link));
    empty.far.push(await openEmpty(browser, link, phone));
    progress(
      `page ${run + 1}/${runs}: ${near.at(-1)?.readyMs.toFixed(0)} ms, phone ${far.at(-1)?.readyMs.toFixed(0)} ms`,
    );
  }
  await remove(stack, session_id);
  const mid = (of: Opened[], key: keyof Opened) => median(of.map((opened) => opened[key]));
  return [
    figure('script as transferred', mid(near, 'script'), 'kB', 60),
    figure('style as transferred', mid(near, 'style'), 'kB', 8),
    figure('first screen, loopback, 4 × CPU, p50', mid(near, 'drawnMs'), 'ms', null),
    {
      ...figure('interactive, loopback, 4 × CPU, p50', mid(near, 'readyMs'), 'ms', 700),
      baseline: median(empty.near),
    },
    figure('first screen, phone profile, p50', mid(far, 'drawnMs'), 'ms', null),
    { ...figure('interactive, phone profile, p50', mid(far, 'readyMs'), 'ms', 1_000), baseline: median(empty.far) },
  ];
}
