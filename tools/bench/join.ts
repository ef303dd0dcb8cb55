import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg, setPriority } from 'node:os';
import type { Browser } from 'playwright-core';
import { createJoinApi } from '../../client/src/join-api.ts';
import { startCandidate } from '../demo/interview.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';
import { type FrontDoor, type Passed, startFrontDoor } from './join/front-door.ts';
import { type Mark, markPage } from './join/page-marks.ts';
import { type Asked, type Delays, type ProviderDoor, startProviderDoor } from './join/provider-door.ts';
import { create, english, figure, launch, platformOf, remove } from './room/parts.ts';

/**
 * `bench join`: the candidate's first second. From the press on "Start" to the first packet of the interviewer's audio, in
 * Chromium, cut into parts on one clock; each part belongs to whoever spends it. What a message spends between the page and the
 * door before Fly's proxy is the browser's. The worker is ready. The provider's stand-in answers at once, and then with delays as
 * of a service in another city. Takes a minute on an idle machine.
 *
 * The interviewer's stand-in thinks for 20 ms before it speaks. ICE and DTLS run between Chromium and the stand-in on loopback.
 */
const runs = 12;
/**
 * Candidates without a browser, before the measurement. The orchestrator, PostgREST and Postgres run for weeks in use: their code is
 * compiled and their plans are made. The worker's process is a new one for each session, here as in use.
 */
const warmUps = 40;
const warmAtOnce = 4;
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
function partsOf(marks: Marks, asked: Asked[], door: Passed): Part[] {
  const of = (what: Asked['what']) => asked.filter((one) => one.what === what);
  const call = of('call').find(({ fromMs }) => fromMs < marks.answer);
  if (!call) throw new Error('the provider was not asked for a call');
  const mint = of('mint').findLast(({ fromMs }) => fromMs < call.fromMs);
  const spoken = of('sideband frame').find(({ fromMs }) => fromMs >= marks.connected)?.fromMs ?? marks.connected;
  const beginsMs = marks.microphone ?? marks.click;
  // The offer may be made later than the socket opens. The worker may wait for the provider's credential.
  const offerableMs = Math.max(marks.socketOpen, Math.min(marks.offerSent, marks.offerMade ?? 0));
  const mintAskedMs = Math.min(call.fromMs, Math.max(door.offerArrived, mint?.fromMs ?? 0));
  const mintedMs = Math.min(call.fromMs, Math.max(door.offerArrived, mint?.untilMs ?? 0));
  const line: Array<[name: string, spender: Spender, until: number]> = [
    ['microphone', 'browser', beginsMs],
    ['page, until it asks to join', 'we', marks.joinAsked],
    ['join request on its way', 'browser', door.joinArrived],
    ['join request', 'we', door.joinAnswered],
    ['answer to the join on its way', 'browser', marks.joinAnswered],
    ['page, until it asks for the socket', 'we', marks.socketAsked],
    ['request for the socket on its way', 'browser', door.socketArrived],
    ['edge and socket', 'we', door.socketAnswered],
    ['open socket on its way to the page', 'browser', marks.socketOpen],
    ['offer not made yet', 'browser', offerableMs],
    ['init and offer', 'we', marks.offerSent],
    ['offer on its way', 'browser', door.offerArrived],
    ['credential not asked for yet', 'we', mintAskedMs],
    ['credential not minted yet', 'provider', mintedMs],
    ['worker, until it asks for the call', 'we', call.fromMs],
    ["provider's answer", 'provider', call.untilMs],
    ['call id stored, answer sent', 'we', door.answerSent],
    ['answer on its way', 'browser', marks.answer],
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

/** Everything that one join passes through. */
interface World {
  stack: Stack;
  provider: ProviderDoor;
  front: FrontDoor;
}

async function joinOnce({ stack, provider, front }: World, browser: Browser): Promise<Part[]> {
  const { link, session_id } = await create(stack);
  await platformOf(stack).waitFor(session_id, ({ status }) => status === 'ready', 60_000);
  const context = await english(browser);
  const page = await context.newPage();
  await page.addInitScript(markPage);
  await page.goto(link);
  const button = page.getByRole('button', { name: 'Start the interview' });
  await button.waitFor({ timeout: 60_000 });
  provider.take();
  front.take();
  await button.click();
  await page.waitForFunction(() => 'audio' in (window as unknown as { marks: object }).marks, undefined, {
    timeout: 60_000,
  });
  const marks = await page.evaluate(() => (window as unknown as { marks: Marks }).marks);
  const passed = front.take();
  if (Object.keys(passed).length < 6) throw new Error(`of the join, only this passed the door: ${Object.keys(passed)}`);
  const parts = partsOf(marks, provider.take(), passed as Passed);
  await context.close();
  await remove(stack, session_id);
  return parts;
}

/** Joins as the page does, but with a WebRTC peer in this process. Leaves once the worker has answered the offer. */
async function joinWithoutBrowser(stack: Stack): Promise<void> {
  const { link, session_id } = await create(stack);
  await platformOf(stack).waitFor(session_id, ({ status }) => status === 'ready', 60_000);
  const { origin, hash } = new URL(link);
  const joined = await createJoinApi(origin).join({ session_id, code: hash.slice(1), browser: `b_${randomUUID()}` });
  if (joined.kind !== 'done') throw new Error(`a candidate before the measurement: ${JSON.stringify(joined)}`);
  const { websocket_url: websocketUrl, join_token: joinToken } = joined.body;
  await new Promise<void>((resolve, reject) => {
    const { client } = startCandidate({
      ...{ websocketUrl, joinToken },
      onStep: (step, detail) => {
        if (step === 'problem') reject(new Error(`a candidate before the measurement: ${detail}`));
        if (step !== 'sdp_answered') return;
        client.leave();
        resolve();
      },
    });
  });
  await remove(stack, session_id);
}

/** The candidate's browser has a computer of its own. Here it must not take the processor from ours. */
function stepBack(): void {
  const status = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'utf8');
    } catch {
      return ''; // It has ended.
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && /\(chrom/.test(status(name)));
  for (const pid of pids) setPriority(Number(pid), 10);
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

/** The doors need the stand-ins' addresses, and the orchestrator the doors': so the orchestrator starts last. */
async function behindDoors() {
  const stack = await startStack({ orchestrators: 0, voice: { turns: 1, paceMs: 300 }, flyLimits: false });
  const provider = await startProviderDoor(new URL(stack.cloud.voice.url));
  const front = await startFrontDoor(new URL(stack.cloud.fly.proxyUrl));
  await stack.addOrchestrator({ OPENAI_BASE_URL: `${provider.url}/v1`, PUBLIC_URL: front.url });
  const stop = async () => {
    await stack.stop();
    await provider.stop();
    await front.stop();
  };
  return { stack, provider, front, stop };
}

export const join: Benchmark = async (progress) => {
  const figures: Figure[] = [figure('load of the machine before', loadavg()[0] ?? 0, '', null)];
  const { stop, ...world } = await behindDoors();
  const browser = await launch();
  try {
    stepBack();
    for (let n = 0; n < warmUps; n += warmAtOnce)
      await Promise.all(Array.from({ length: warmAtOnce }, () => joinWithoutBrowser(world.stack)));
    await joinOnce(world, browser);
    for (const { name, delays } of settings) {
      world.provider.setDelays(delays);
      const joins: Part[][] = [];
      for (let run = 0; run < runs; run += 1) {
        const parts = await joinOnce(world, browser);
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
