import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core';
import { buildClient } from '../../client/build.ts';
import { buildPackage } from '../../client/build-package.ts';
import { startRelay } from '../../test/support/relay.ts';
import { browserArguments, browserPath } from '../demo/browser.ts';
import { createPlatform } from '../demo/platform.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';

/**
 * `bench room`: what a candidate waits for, in Chromium on the local cloud. The processor is slowed down to a quarter where
 * it says so. The phone profile is 4 × slower, with 150 ms round trips and 1.6 Mbit/s.
 */
const pageRuns = 7;
const joinRuns = 20;
const longEntries = [100, 300, 200, 400];
const phone = { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 93_750 };

const figure = (name: string, value: number, unit: string, target: number | null): Figure => ({
  ...{ name, value, unit, target },
  baseline: null,
});

async function launch(more: string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: browserPath(), headless: true, args: [...browserArguments, ...more] });
}
const english = (browser: Browser): Promise<BrowserContext> => browser.newContext({ locale: 'en-GB' });
const platformOf = (stack: Stack) => createPlatform(stack.publicUrl, stack.tenant.apiKey);
const create = async (stack: Stack) => {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Backend engineer' }, region: 'fra' };
  const session = await platformOf(stack).createSession(body);
  return { ...session, link: session.join_url ?? '' };
};
const remove = (stack: Stack, id: string) => platformOf(stack).deleteSession(id);
const profiler = (page: Page): Promise<CDPSession> => page.context().newCDPSession(page);

async function packageSizes(): Promise<Figure[]> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  try {
    const { minified } = await buildPackage(dir);
    const size = (name: string) => gzipSync(minified[name] ?? '', { level: 9 }).length / 1_000;
    return [
      figure('headless SDK, gzip', size('index'), 'kB', 12),
      figure('React layer, gzip', size('react') - size('index'), 'kB', 20),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Runs in the page: notes when the button to start the interview can first be pressed. */
function noteInteractive(): void {
  const seen = window as unknown as { drawnMs?: number; readyMs?: number };
  new MutationObserver(() => {
    if (document.querySelector('main')) seen.drawnMs ??= performance.now();
    if (document.querySelector('[data-screen=lobby] button[data-primary]:not([disabled])'))
      seen.readyMs ??= performance.now();
  }).observe(document, { childList: true, subtree: true, attributes: true });
}

interface Opened {
  drawnMs: number;
  readyMs: number;
  script: number;
  style: number;
}

/** Opens the page with an empty cache. */
async function openOnce(browser: Browser, link: string, network?: typeof phone): Promise<Opened> {
  const context = await english(browser);
  const page = await context.newPage();
  await page.addInitScript(noteInteractive);
  const cdp = await profiler(page);
  await cdp.send('Network.enable');
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  if (network) await cdp.send('Network.emulateNetworkConditions', network);
  const kinds = new Map<string, string>();
  const bytes: Record<string, number> = {};
  cdp.on('Network.responseReceived', ({ requestId, type }) => kinds.set(requestId, type));
  cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const kind = kinds.get(requestId) ?? '';
    bytes[kind] = (bytes[kind] ?? 0) + encodedDataLength;
  });
  await page.goto(link);
  await page.waitForFunction(() => 'readyMs' in window, undefined, { timeout: 60_000 });
  const times = await page.evaluate(() => {
    const { drawnMs = 0, readyMs = 0 } = window as unknown as { drawnMs?: number; readyMs?: number };
    return { drawnMs, readyMs };
  });
  await context.close();
  return { ...times, script: (bytes.Script ?? 0) / 1_000, style: (bytes.Stylesheet ?? 0) / 1_000 };
}

async function opening(stack: Stack, browser: Browser, progress: (line: string) => void): Promise<Figure[]> {
  const { link, session_id } = await create(stack);
  await openOnce(browser, link);
  const near: Opened[] = [];
  const far: Opened[] = [];
  for (let run = 0; run < pageRuns; run += 1) {
    near.push(await openOnce(browser, link));
    far.push(await openOnce(browser, link, phone));
    progress(
      `page ${run + 1}/${pageRuns}: ${near.at(-1)?.readyMs.toFixed(0)} ms, phone ${far.at(-1)?.readyMs.toFixed(0)} ms`,
    );
  }
  await remove(stack, session_id);
  const mid = (of: Opened[], key: keyof Opened) => median(of.map((opened) => opened[key]));
  return [
    figure('script as transferred', mid(near, 'script'), 'kB', 60),
    figure('style as transferred', mid(near, 'style'), 'kB', 8),
    figure('first screen, loopback, 4 × CPU, p50', mid(near, 'drawnMs'), 'ms', null),
    figure('interactive, loopback, 4 × CPU, p50', mid(near, 'readyMs'), 'ms', 700),
    figure('first screen, phone profile, p50', mid(far, 'drawnMs'), 'ms', null),
    figure('interactive, phone profile, p50', mid(far, 'readyMs'), 'ms', 1_000),
  ];
}

/**
 * Runs in the page: the time from the press on "Start" to the first packet of the interviewer's audio, and from each speech
 * event of the provider to the frame that shows it.
 */
function noteVoice(): void {
  const seen = window as unknown as { pressedMs?: number; audioMs?: number; heardMs: number[] };
  seen.heardMs = [];
  addEventListener(
    'click',
    () => {
      seen.pressedMs ??= performance.now();
    },
    { capture: true },
  );
  let eventMs: number | undefined;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      const look = setInterval(async () => {
        const stats = [...(await this.getStats()).values()] as Array<Record<string, unknown>>;
        const voice = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
        if (!Number(voice?.packetsReceived)) return;
        seen.audioMs ??= performance.now();
        clearInterval(look);
      }, 10);
    }
    override createDataChannel(label: string, init?: RTCDataChannelInit) {
      const channel = super.createDataChannel(label, init);
      channel.addEventListener('message', ({ data }) => {
        if (JSON.parse(String(data)).type === 'input_audio_buffer.speech_started') eventMs = performance.now();
      });
      return channel;
    }
  };
  new MutationObserver(() => {
    const turn = document.querySelector<HTMLElement>('[data-part=stage]')?.dataset.turn;
    if (turn !== 'hearing' || eventMs === undefined) return;
    const sinceMs = eventMs;
    eventMs = undefined;
    requestAnimationFrame(() => seen.heardMs.push(performance.now() - sinceMs));
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-turn'] });
}

async function joining(stack: Stack, browser: Browser, progress: (line: string) => void): Promise<Figure[]> {
  const firstAudio: number[] = [];
  const heard: number[] = [];
  for (let run = 0; run < joinRuns; run += 1) {
    const { link, session_id } = await create(stack);
    await platformOf(stack).waitFor(session_id, ({ status }) => status === 'ready', 60_000);
    const context = await english(browser);
    const page = await context.newPage();
    await page.addInitScript(noteVoice);
    await page.goto(link);
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.waitForFunction(() => 'audioMs' in window, undefined, { timeout: 60_000 });
    await page.waitForFunction(() => (window as unknown as { heardMs: number[] }).heardMs.length > 1, undefined, {
      timeout: 60_000,
    });
    const seen = await page.evaluate(() => {
      const {
        pressedMs = 0,
        audioMs = 0,
        heardMs,
      } = window as unknown as {
        pressedMs?: number;
        audioMs?: number;
        heardMs: number[];
      };
      return { voiceMs: audioMs - pressedMs, heardMs };
    });
    firstAudio.push(seen.voiceMs);
    heard.push(...seen.heardMs);
    progress(`join ${run + 1}/${joinRuns}: first audio after ${seen.voiceMs.toFixed(0)} ms`);
    await context.close();
    await remove(stack, session_id);
  }
  return [
    figure('join until first audio, p50', median(firstAudio), 'ms', 1_000),
    figure('join until first audio, p95', percentile(firstAudio, 95), 'ms', 1_500),
    figure('speech event until it is shown, p95', percentile(heard, 95), 'ms', 300),
  ];
}

/** Milliseconds until the badge has, or has not, this state. */
async function untilBehind(page: Page, isBehind: boolean): Promise<number> {
  const startedMs = performance.now();
  await page.getByText('Saving is behind').waitFor({ state: isBehind ? 'visible' : 'hidden', timeout: 60_000 });
  return performance.now() - startedMs;
}

async function networks(stack: Stack, progress: (line: string) => void): Promise<Figure[]> {
  const relay = await startRelay(() => new URL(stack.publicUrl));
  const { host } = new URL(stack.publicUrl);
  const browser = await launch([`--host-resolver-rules=MAP ${host} ${new URL(relay.url).host}`]);
  const measured: Record<string, number[]> = { offline: [], online: [], cut: [], half: [] };
  for (let run = 0; run < 3; run += 1) {
    const { link, session_id } = await create(stack);
    const context = await english(browser);
    const page = await context.newPage();
    await page.goto(link);
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.getByText('Saved up to').waitFor({ timeout: 60_000 });
    await context.setOffline(true);
    measured.offline?.push(await untilBehind(page, true));
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await context.setOffline(false);
    measured.online?.push(await untilBehind(page, false));
    relay.cut();
    measured.cut?.push(await untilBehind(page, true));
    relay.restore();
    await untilBehind(page, false);
    relay.halfOpen();
    measured.half?.push(await untilBehind(page, true));
    relay.restore();
    await untilBehind(page, false);
    progress(
      `network ${run + 1}/3: ${Object.values(measured)
        .map((times) => times.at(-1)?.toFixed(0))
        .join(', ')} ms`,
    );
    await context.close();
    await remove(stack, session_id);
  }
  await browser.close();
  await relay.stop();
  const worst = (times: number[] = []) => Math.max(...times);
  return [
    figure('`offline` event until shown, worst', worst(measured.offline), 'ms', 500),
    figure('`online` event until saving again, worst', worst(measured.online), 'ms', 2_000),
    figure('cut socket until shown, worst', worst(measured.cut), 'ms', 5_000),
    figure('half-open socket until shown, worst', worst(measured.half), 'ms', 5_000),
  ];
}

/** An interview of an hour in fast motion, with the processor at a quarter. */
async function long(browser: Browser, progress: (line: string) => void): Promise<Figure[]> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-bench-'));
  await buildClient(dir, 'gallery/long.tsx');
  const page = await browser.newPage();
  const contentTypes: Record<string, string> = { '.js': 'text/javascript', '.css': 'text/css' };
  await page.route('https://long.test/**', async (route) => {
    const { pathname } = new URL(route.request().url());
    const name = pathname === '/' ? 'index.html' : path.basename(pathname);
    const contentType = contentTypes[path.extname(name)] ?? 'text/html';
    await route.fulfill({ body: await readFile(path.join(dir, name)), contentType });
  });
  await page.goto('https://long.test/');
  await page.getByRole('button', { name: 'Start the interview' }).click();
  await page.getByText('The interview is running').waitFor({ timeout: 60_000 });
  const cdp = await profiler(page);
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  await page.evaluate(() => {
    const seen = window as unknown as { tasks: number[] };
    seen.tasks = [];
    new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      entryTypes: ['longtask'],
    });
  });
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    return (await cdp.send('Runtime.getHeapUsage')).usedSize / 1_000_000;
  };
  const heaps: number[] = [];
  const tasks: number[][] = [];
  let entries = 0;
  for (const more of longEntries) {
    await page.evaluate(
      (count) => (window as unknown as { talk(n: number, ms: number): Promise<void> }).talk(count, 25),
      more,
    );
    entries += more;
    // The collection of garbage is a long task itself, and not the interview's.
    tasks.push(await page.evaluate(() => (window as unknown as { tasks: number[] }).tasks.splice(0)));
    heaps.push(await heap());
    await page.evaluate(() => (window as unknown as { tasks: number[] }).tasks.splice(0));
    progress(
      `${entries} entries: ${heaps.at(-1)?.toFixed(1)} MB, long tasks ${tasks.at(-1)?.map(Math.round).join(' ')}`,
    );
  }
  await page.close();
  rmSync(dir, { recursive: true, force: true });
  const [first = 0, , at600 = 0, at1000 = 0] = heaps;
  const within600 = tasks.slice(0, 3).flat();
  return [
    figure('long tasks over 50 ms in 600 entries, 4 × CPU', within600.length, '', 0),
    figure('longest task in 600 entries, 4 × CPU', Math.max(0, ...within600), 'ms', null),
    figure('heap after 600 entries, above that after 100', at600 - first, 'MB', 5),
    figure('heap after 1,000 entries', at1000, 'MB', 30),
  ];
}

export const room: Benchmark = async (progress) => {
  const figures: Figure[] = [figure('load of the machine before', loadavg()[0] ?? 0, '', null)];
  figures.push(...(await packageSizes()));
  const stack = await startStack({ voice: { turns: 100, paceMs: 300, maxTurnMs: 800 }, flyLimits: false });
  const browser = await launch();
  try {
    figures.push(...(await opening(stack, browser, progress)));
    figures.push(...(await joining(stack, browser, progress)));
    figures.push(...(await networks(stack, progress)));
    figures.push(...(await long(browser, progress)));
  } finally {
    await browser.close();
    await stack.stop();
  }
  return [...figures, figure('load of the machine after', loadavg()[0] ?? 0, '', null)];
};
