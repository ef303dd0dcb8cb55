import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildImage } from '../images/build.ts';
import { whyNotHere } from '../images/commands.ts';
import { processesLeftAfter } from '../stack/leftovers.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { keepHotMachine } from './hot-machine.ts';
import { type DemoOptions, parseOptions, usage } from './options.ts';
import { createPlatform } from './platform.ts';
import { runInterview } from './run.ts';
import { runSideBySide } from './side-by-side.ts';
import { createTimeline } from './timeline.ts';

const imagesDir = path.resolve(import.meta.dirname, '../../.greenroom/images');

/** `npm run demo`: one complete interview with a live timeline. Exit code 0 only if every step happened. */
async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  const print = (line: string) => process.stdout.write(`${line}\n`);
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-'));
  let stack: Stack | undefined;
  let summary: Awaited<ReturnType<typeof play>> | undefined;
  let failure: unknown;
  let interrupted = false;
  // Ctrl-C stops everything. Every stop has a time limit, so a second Ctrl-C is not needed.
  const interruption = new Promise<never>((_resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        interrupted = true;
        print('\nStopping …');
        reject(new Error('interrupted'));
      });
    }
  });
  interruption.catch(() => undefined);
  try {
    const image = options.image ? workerImage(print) : {};
    print('Starting the local cloud and an orchestrator …');
    const startedMs = performance.now();
    stack = await startStack({ dir, keep: false, ...image, voice: { turns: options.turns, paceMs: options.paceMs } });
    print(`Started in ${Math.round(performance.now() - startedMs)} ms. The voice provider is simulated.\n`);
    if (interrupted) throw new Error('interrupted');
    if (!options.cold) await Promise.race([hotMachine(stack, options, print), interruption]);
    summary = await Promise.race([play(stack, options, print), interruption]);
    await printTranscript(stack, summary.session_id, print);
    print(`\nSummary (made by the simulated provider):\n  ${summary.result.summary}`);
  } catch (error) {
    failure = error;
  }
  await stack?.stop().catch((error: unknown) => {
    failure ??= error;
  });
  rmSync(dir, { recursive: true, force: true });
  const left = await processesLeftAfter(dir);
  print(
    left.length === 0
      ? '\nNothing is left running.'
      : `\nLeft running: ${left.map((p) => `${p.pid} ${p.command}`).join('; ')}`,
  );
  if (failure && !interrupted) print(`The demo failed: ${(failure as Error).stack}`);
  const ok = summary?.ok === true && left.length === 0 && failure === undefined;
  if (options.json) print(JSON.stringify({ ...summary, ok, processes_left: left.length }));
  if (interrupted) return 130;
  return ok ? 0 : 1;
}

/** Builds the worker's image from its Dockerfile. */
function workerImage(print: (line: string) => void): { workerImage: string } {
  const why = whyNotHere();
  if (why !== undefined) throw new Error(why);
  print('Building the worker image (two minutes the first time) …');
  const { ociDir, digest } = buildImage('worker', imagesDir);
  print(`The worker runs from ${digest}.`);
  return { workerImage: ociDir };
}

async function hotMachine(stack: Stack, { region }: DemoOptions, print: (line: string) => void): Promise<void> {
  const startedMs = performance.now();
  await keepHotMachine(stack, region);
  print(`A hot machine waits in ${region}; it took ${Math.round(performance.now() - startedMs)} ms.\n`);
}

const play = (stack: Stack, options: DemoOptions, print: (line: string) => void) =>
  options.tenants === 2 ? runSideBySide(stack, options, print) : runInterview(stack, options, createTimeline(print));

async function printTranscript(stack: Stack, sessionId: string, print: (line: string) => void): Promise<void> {
  const { entries } = await createPlatform(stack.publicUrl, stack.tenant.apiKey).transcript(sessionId);
  print('\nTranscript:');
  for (const entry of entries) print(`  ${entry.speaker === 'ai' ? 'Interviewer' : 'Candidate  '}  ${entry.text}`);
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`${error.message}\n\n${usage}`);
    process.exit(2);
  },
);
