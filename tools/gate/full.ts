import { execFileSync, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { benchmarkNames } from '../bench/main.ts';
import { root } from './command.ts';
import { type Count, type Finished, quickSuites, runSuites, type Suite, slowSuites, summary, tests } from './suites.ts';

/**
 * The nightly run: the gate and everything that takes too long for it. There is no time limit.
 *
 *   npm run test:full [-- NAME …]
 *
 * Writes docs/full-run.md with the commit and the result of each suite. Exit 1 if something failed, 2 if a
 * suite or a test was skipped, else 0: a run that skipped something is not green. Suites that are not named
 * count as skipped.
 */
interface LongSuite extends Suite {
  /** Path that must exist for the suite to run, relative to the root. */
  needs: string;
}

/** Runs a program of this repository. Returns its exit code and the last line of its output. */
function runProgram(program: string, args: string[]): Promise<{ code: number; lastLine: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      process.stdout.write(chunk);
      text = `${text}${chunk}`.slice(-1_000_000);
    });
    child.on('close', (code) => resolve({ code: code ?? 1, lastLine: text.trimEnd().split('\n').at(-1) ?? '' }));
    child.on('error', () => resolve({ code: 1, lastLine: '' }));
  });
}

const program = (name: string, file: string, args: string[] = []): LongSuite => ({
  name,
  needs: file,
  run: async () => ((await runProgram(file, args)).code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
});

/** The alerts, whose last line counts the checks. They are skipped where a program of the monitoring is missing. */
const alerts: LongSuite = {
  name: 'alerts',
  needs: 'tools/alerts/main.ts',
  run: async (): Promise<Count> => {
    const { code, lastLine } = await runProgram('tools/alerts/main.ts', ['--json']);
    return code <= 2 && lastLine.startsWith('{') ? (JSON.parse(lastLine) as Count) : { passed: 0, failed: 1 };
  },
};

/** A benchmark exits 0 after measuring. Here it passes only if every target is met. */
const benchmark = (name: string): LongSuite => ({
  name: `bench ${name}`,
  needs: 'tools/bench/main.ts',
  run: async (): Promise<Count> => {
    const { code, lastLine } = await runProgram('tools/bench/main.ts', [name, '--json']);
    const met = code === 0 && (JSON.parse(lastLine) as { ok: boolean }).ok;
    return met ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  },
});

const longSuites: LongSuite[] = [
  { name: 'long tests', needs: 'test/full', run: tests('full', ['--no-file-parallelism']) },
  alerts,
  program('fuzz', 'tools/fuzz/main.ts', ['--minutes', '30', '--json']),
  program('chaos', 'tools/chaos/main.ts', ['--seeds', '20', '--json']),
  program('outage', 'tools/chaos/outage.ts'),
  program('simulated day', 'tools/sim/main.ts', ['--json']),
  program('contract', 'tools/contract/main.ts', ['--json']),
  program('openapi', 'tools/openapi/main.ts', ['--json']),
  ...benchmarkNames.map(benchmark),
];

const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();

interface Skipped {
  name: string;
  why: string;
}

function page(finished: Finished[], skipped: Skipped[]): string {
  const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
  const rows = finished.map(
    ({ name, passed, failed, seconds, skipped: left = 0 }) =>
      `| ${name} | ${failed === 0 ? 'ok' : '**failed**'} | ${passed} | ${failed} | ${left} | ${Math.round(seconds)} s |`,
  );
  const missing = skipped.map(({ name, why }) => `| ${name} | **skipped**: ${why} | | | | |`);
  return [
    '# The last full run',
    '',
    `Written by \`npm run test:full\` at ${new Date().toISOString()} on commit \`${git('rev-parse', 'HEAD')}\`${changed ? ' with uncommitted changes' : ''}.`,
    '',
    '| suite | result | passed | failed | skipped | took |',
    '|---|---|---:|---:|---:|---:|',
    ...[...rows, ...missing],
    '',
  ].join('\n');
}

const all: Array<Suite & { needs?: string }> = [...quickSuites, ...slowSuites, ...longSuites];

/** Why a suite does not run, or undefined if it runs. */
function reasonToSkip({ name, needs }: { name: string; needs?: string }, wanted: string[]): string | undefined {
  if (wanted.length > 0 && !wanted.includes(name)) return 'not asked for';
  return needs === undefined || existsSync(path.join(root, needs)) ? undefined : `there is no \`${needs}\``;
}

async function main(): Promise<number> {
  const { positionals: wanted } = parseArgs({ allowPositionals: true });
  const unknown = wanted.filter((name) => !all.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `There is no suite ${unknown.join(', ')}. There are: ${all.map(({ name }) => name).join(', ')}\n`,
    );
    return 2;
  }
  const skipped = all.flatMap((suite) => {
    const why = reasonToSkip(suite, wanted);
    return why === undefined ? [] : [{ name: suite.name, why }];
  });
  const finished = await runSuites(all.filter((suite) => reasonToSkip(suite, wanted) === undefined));
  writeFileSync(path.join(root, 'docs/full-run.md'), page(finished, skipped));
  process.stdout.write(`${skipped.map(({ name, why }) => `\nskipped ${name}: ${why}`).join('')}\n${summary(finished)}`);
  if (finished.some(({ failed }) => failed > 0)) return 1;
  return skipped.length > 0 || finished.some((suite) => (suite.skipped ?? 0) > 0) ? 2 : 0;
}

process.exit(await main());
