import type { Page } from 'playwright-core';
import { startRelay } from '../../../test/support/relay.ts';
import type { Stack } from '../../stack/stack.ts';
import type { Figure } from '../figures.ts';
import { create, english, figure, launch, remove } from './parts.ts';

/** Milliseconds until the badge has, or has not, this state. */
async function untilBehind(page: Page, isBehind: boolean): Promise<number> {
  const startedMs = performance.now();
  await page.getByText('Saving is behind').waitFor({ state: isBehind ? 'visible' : 'hidden', timeout: 60_000 });
  return performance.now() - startedMs;
}

/** How soon the room shows that the network is lost or back. */
export async function networks(stack: Stack, progress: (line: string) => void): Promise<Figure[]> {
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
