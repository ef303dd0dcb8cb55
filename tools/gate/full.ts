import { execFileSync, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './command.ts';
import { type Count, type Finished, quickSuites, runSuites, type Suite, slowSuites, summary, tests } from './suites.ts';

/**
 * The long run of the night: the gate and everything that takes too long for it, without a limit of time.
 *
 *   npm run test:full
 *
 * Writes docs/full-run.md: the commit and the result of each suite. Exit 1 when something failed, else 2 when a suite had to be
 * skipped, else 0: a run that did not run everything is not green.
 */
interface LongSuite extends Suite {
  /** What must be there for the suite to run, relative to the root. */
  needs: string;
}

/** Runs a program of ours and hands back its exit code and the last line it printed. */
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

/** A benchmark exits 0 once it has measured; here it passes only when every target is met. */
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
  program('alerts', 'tools/alerts/main.ts'),
  program('fuzz', 'tools/fuzz/main.ts', ['--minutes', '30', '--json']),
  program('chaos', 'tools/chaos/main.ts', ['--seeds', '20', '--json']),
  program('outage', 'tools/chaos/outage.ts'),
  program('simulated day', 'tools/sim/main.ts', ['--json']),
  program('contract', 'tools/contract/main.ts', ['--json']),
  ...['worker', 'start', 'burst', 'allocate', 'reconcile', 'edge', 'ingest'].map(benchmark),
];

const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();

function page(finished: Finished[], skipped: LongSuite[]): string {
  const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
  const rows = finished.map(
    ({ name, passed, failed, seconds }) =>
      `| ${name} | ${failed === 0 ? 'ok' : '**failed**'} | ${passed} | ${failed} | ${Math.round(seconds)} s |`,
  );
  const missing = skipped.map(({ name, needs }) => `| ${name} | **skipped**: there is no \`${needs}\` | | | |`);
  return [
    '# The last full run',
    '',
    `Written by \`npm run test:full\` at ${new Date().toISOString()} on commit \`${git('rev-parse', 'HEAD')}\`${changed ? ' with uncommitted changes' : ''}.`,
    '',
    '| suite | result | passed | failed | took |',
    '|---|---|---:|---:|---:|',
    ...[...rows, ...missing],
    '',
  ].join('\n');
}

const isThere = ({ needs }: LongSuite): boolean => existsSync(path.join(root, needs));
const skipped = longSuites.filter((suite) => !isThere(suite));
const finished = await runSuites([...quickSuites, ...slowSuites, ...longSuites.filter(isThere)]);
writeFileSync(path.join(root, 'docs/full-run.md'), page(finished, skipped));
for (const { name, needs } of skipped) process.stdout.write(`\nskipped ${name}: there is no ${needs}`);
process.stdout.write(summary(finished));
process.exit(finished.some(({ failed }) => failed > 0) ? 1 : skipped.length > 0 ? 2 : 0);
