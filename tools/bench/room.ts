import { loadavg } from 'node:os';
import { startStack } from '../stack/stack.ts';
import type { Benchmark, Figure } from './figures.ts';
import { joining } from './room/joining.ts';
import { long } from './room/long.ts';
import { networks } from './room/networks.ts';
import { opening } from './room/opening.ts';
import { figure, launch } from './room/parts.ts';
import { packageSizes } from './room/sizes.ts';

/**
 * `bench room`: what a candidate waits for, in Chromium on the local cloud. The processor is slowed down to a quarter where
 * it says so. The phone profile is 4 × slower, with 150 ms round trips and 1.6 Mbit/s.
 */
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
