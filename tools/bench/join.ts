import { loadavg } from 'node:os';
import type { Browser } from 'playwright-core';
import { type Stack, startStack } from '../stack/stack.ts';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';
import { type Mark, markPage } from './join/page-marks.ts';
import { type Asked, type Delays, type ProviderDoor, startProviderDoor } from './join/provider-door.ts';
import { create, english, figure, launch, platformOf, remove } from './room/parts.ts';

/**
 * `bench join`: the candidate's first second. From the press on "Start" to the first packet of the interviewer's audio, in
 * Chromium, cut into parts on one clock; each part belongs to whoever spends it. The worker is ready. The provider's stand-in
 * answers at once, and then with delays as of a service in another city. Takes two minutes on an idle machine, five at a load of 20.
 *
 * The interviewer's stand-in thinks for 20 ms before it speaks. ICE and DTLS run between Chromium and the stand-in on loopback.
 */
const runs = 12;
const settings: Array<{ name: string; delays: Delays }> = [
  { name: 'provider at once', delays: { mintMs: 0, callMs: 0, sidebandMs: 0 } },
  { name: 'provider with delays', delays: { mintMs: 150, callMs: 250, sidebandMs: 100 } },
];

type Spender = 'we' | 'browser' | 'provider';
interface Part {
  name: string;
  spender: Spender;
  ms: number;
}

type Marks = Record<Mark, number>;

/** The parts of one join, without gaps. */
export function partsOf(marks: Marks, asked: Asked[]): Part[] {
  const of = (what: Asked['what']) => asked.filter((one) => one.what === what);
  const call = of('call').find(({ fromMs }) => fromMs < marks.answer);
  if (!call) throw new Error('the provider was not asked for a call');
  const mint = of('mint').findLast(({ fromMs }) => fromMs < call.fromMs);
  const spoken = of('sideband frame').find(({ fromMs }) => fromMs >= marks.connected)?.fromMs ?? marks.connected;
  const beginsMs = marks.microphone ?? marks.click;
  // The offer may be made later than the socket opens. The worker may wait for the provider's credential.
  const offerableMs = Math.max(marks.socketOpen, Math.min(marks.offerSent, marks.offerMade ?? 0));
  const mintAskedMs = Math.min(call.fromMs, Math.max(marks.offerSent, mint?.fromMs ?? 0));
  const mintedMs = Math.min(call.fromMs, Math.max(marks.offerSent, mint?.untilMs ?? 0));
  const line: Array<[name: string, spender: Spender, until: number]> = [
    ['microphone', 'browser', beginsMs],
    ['page, until it asks to join', 'we', marks.joinAsked],
    ['join request', 'we', marks.joinAnswered],
    ['page, until it asks for the socket', 'we', marks.socketAsked],
    ['edge and socket', 'we', marks.socketOpen],
    ['offer not made yet', 'browser', offerableMs],
    ['init and offer', 'we', marks.offerSent],
    ['credential not asked for yet', 'we', mintAskedMs],
    ['credential not minted yet', 'provider', mintedMs],
    ['worker, until it asks for the call', 'we', call.fromMs],
    ["provider's answer", 'provider', call.untilMs],
    ['call id stored, answer to the page', 'we', marks.answer],
    ['ICE and DTLS', 'browser', marks.connected],
    ['worker, until the interviewer may speak', 'we', spoken],
    ['first packet', 'provider', marks.audio],
  ];
  let since = marks.click;
  return line.map(([name, spender, until]) => {
    const part = { name, spender, ms: Math.max(0, until - since) };
    since = Math.max(since, until);
    return part;
  });
}

async function joinOnce(stack: Stack, browser: Browser, door: ProviderDoor): Promise<Part[]> {
  const { link, session_id } = await create(stack);
  await platformOf(stack).waitFor(session_id, ({ status }) => status === 'ready', 60_000);
  const context = await english(browser);
  const page = await context.newPage();
  await page.addInitScript(markPage);
  await page.goto(link);
  const button = page.getByRole('button', { name: 'Start the interview' });
  await button.waitFor({ timeout: 60_000 });
  door.take();
  await button.click();
  await page.waitForFunction(() => 'audio' in (window as unknown as { marks: object }).marks, undefined, {
    timeout: 60_000,
  });
  const marks = await page.evaluate(() => (window as unknown as { marks: Marks }).marks);
  const parts = partsOf(marks, door.take());
  await context.close();
  await remove(stack, session_id);
  return parts;
}

const total = (parts: Part[], spender?: Spender): number =>
  parts.reduce((sum, part) => sum + (spender === undefined || part.spender === spender ? part.ms : 0), 0);

function figuresOf(setting: string, joins: Part[][]): Figure[] {
  const [first = []] = joins;
  const of = (spender?: Spender) => joins.map((parts) => total(parts, spender));
  return [
    figure(`${setting}: our share, p50`, median(of('we')), 'ms', 60),
    figure(`${setting}: our share, p95`, percentile(of('we'), 95), 'ms', null),
    figure(`${setting}: the provider's share, p50`, median(of('provider')), 'ms', null),
    figure(`${setting}: the browser's share, p50`, median(of('browser')), 'ms', null),
    figure(`${setting}: click until first audio, p50`, median(of()), 'ms', null),
    ...first.map(({ name, spender }, n) =>
      figure(`${setting}: ${name} (${spender}), p50`, median(joins.map((parts) => parts[n]?.ms ?? 0)), 'ms', null),
    ),
  ];
}

/** The door needs the stand-in's address, and the orchestrator the door's: so the orchestrator starts last. */
async function behindDoor() {
  const stack = await startStack({ orchestrators: 0, voice: { turns: 1, paceMs: 300 }, flyLimits: false });
  const door = await startProviderDoor(new URL(stack.cloud.voice.url));
  await stack.addOrchestrator({ OPENAI_BASE_URL: `${door.url}/v1` });
  const stop = async () => {
    await stack.stop();
    await door.stop();
  };
  return { stack, door, stop };
}

export const join: Benchmark = async (progress) => {
  const figures: Figure[] = [figure('load of the machine before', loadavg()[0] ?? 0, '', null)];
  const { stack, door, stop } = await behindDoor();
  const browser = await launch();
  try {
    await joinOnce(stack, browser, door); // It warms the processes up.
    for (const { name, delays } of settings) {
      door.setDelays(delays);
      const joins: Part[][] = [];
      for (let run = 0; run < runs; run += 1) {
        const parts = await joinOnce(stack, browser, door);
        joins.push(parts);
        progress(
          `${name} ${run + 1}/${runs}: ${total(parts).toFixed(0)} ms, ours ${total(parts, 'we').toFixed(0)} ms, provider ${total(parts, 'provider').toFixed(0)} ms`,
        );
      }
      figures.push(...figuresOf(name, joins));
    }
  } finally {
    await browser.close();
    await stop();
  }
  return [...figures, figure('load of the machine after', loadavg()[0] ?? 0, '', null)];
};
