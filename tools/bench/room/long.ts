import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { buildClient } from '../../../client/build.ts';
import type { Figure } from '../figures.ts';
import { figure, profiler } from './parts.ts';

const longEntries = [100, 300, 200, 400];
const longMs = 50;

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  /** Processor time of the thread, µs. */
  tdur?: number;
  args?: { name?: string };
}

/** Processor time of each task of the page's main thread while `work` runs, ms. What other processes take does not count. */
async function tasksDuring(browser: Browser, page: Page, work: () => Promise<unknown>): Promise<number[]> {
  await browser.startTracing(page, { categories: ['-*', 'disabled-by-default-devtools.timeline'] });
  await work();
  const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as { traceEvents: TraceEvent[] };
  const threadOf = ({ pid, tid }: TraceEvent) => `${pid}/${tid}`;
  const named = traceEvents.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain');
  const mains = new Set(named.map(threadOf));
  const tasks = traceEvents.filter((event) => event.name === 'RunTask' && mains.has(threadOf(event)));
  return tasks.map(({ tdur = 0 }) => tdur / 1_000);
}

/** An interview of an hour in fast motion, with the processor at a quarter. */
export async function long(browser: Browser, progress: (line: string) => void): Promise<Figure[]> {
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
  const talk = (count: number) =>
    page.evaluate(
      (more) => (window as unknown as { talk(n: number, ms: number): Promise<void> }).talk(more, 25),
      count,
    );
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    return (await cdp.send('Runtime.getHeapUsage')).usedSize / 1_000_000;
  };
  const heaps: number[] = [];
  const tasks: number[][] = [];
  let entries = 0;
  for (const more of longEntries) {
    const all = await tasksDuring(browser, page, () => talk(more));
    entries += more;
    tasks.push(all);
    heaps.push(await heap());
    const isLong = all.filter((ms) => ms > longMs);
    progress(
      `${entries} entries: ${heaps.at(-1)?.toFixed(1)} MB, longest task ${Math.max(...all).toFixed(0)} ms, ${isLong.length} long`,
    );
  }
  await page.close();
  rmSync(dir, { recursive: true, force: true });
  const [first = 0, , at600 = 0, at1000 = 0] = heaps;
  const within600 = tasks.slice(0, 3).flat();
  return [
    figure('tasks over 50 ms in 600 entries, 4 × CPU', within600.filter((ms) => ms > longMs).length, '', 0),
    figure('longest task in 600 entries, 4 × CPU', Math.max(0, ...within600), 'ms', null),
    figure('heap after 600 entries, above that after 100', at600 - first, 'MB', 5),
    figure('heap after 1,000 entries', at1000, 'MB', 30),
  ];
}
