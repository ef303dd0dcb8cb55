import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bin, root } from './command.ts';
import { checkDatabase } from './database.ts';
import { checkLicences } from './licences.ts';

/** The suites of the gate, by the name that `npm test -- NAME` takes. */
export interface Count {
  passed: number;
  failed: number;
  /** Tests that did not run because something is missing here. */
  skipped?: number;
}

export interface Suite {
  name: string;
  run(): Promise<Count>;
}

/** Runs a command with its output shown; its exit code. */
function run(command: string, args: string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
    child.on('exit', (code) => resolve(code ?? 1));
    child.on('error', () => resolve(1));
  });
}

/** One check that passes when every command succeeds. */
const check =
  (...commands: Array<[command: string, ...args: string[]]>) =>
  async (): Promise<Count> => {
    const count = { passed: 0, failed: 0 };
    for (const [command, ...args] of commands) count[(await run(command, args)) === 0 ? 'passed' : 'failed'] += 1;
    return count;
  };

/** A vitest project; its tests are counted one by one. */
export const tests =
  (project: string, extra: string[] = []) =>
  async (): Promise<Count> => {
    const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-gate-'));
    const report = path.join(dir, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await run(bin('vitest'), ['run', '--project', project, ...reporters, ...extra]);
    try {
      const counted = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
      const { numPassedTests: passed = 0, numFailedTests: failed = 0, numPendingTests: skipped = 0 } = counted;
      // A file that could not be loaded, or an error outside of any test, fails the project without failing a test.
      return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, skipped };
    } catch {
      return { passed: 0, failed: 1 };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

const dryInstall = ['ci', '--dry-run', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--silent'];

export const quickSuites: Suite[] = [
  // The lockfile serves a clean clone.
  { name: 'lockfile', run: check(['npm', ...dryInstall]) },
  { name: 'types', run: check([bin('tsc'), '-p', '.']) },
  { name: 'lint', run: check([bin('biome'), 'check', '--error-on-warnings']) },
  // Files, exports and dependencies that nothing uses, and dependencies that are used but not declared.
  { name: 'unused', run: check([bin('knip'), '--no-progress']) },
  { name: 'licences', run: checkLicences },
  { name: 'database', run: checkDatabase },
  { name: 'unit', run: tests('unit') },
  { name: 'sql', run: tests('sql', ['--no-file-parallelism']) },
];

export const slowSuites: Suite[] = [
  // Each file has a cloud of its own and mostly waits: two at once keep two cores busy.
  { name: 'integration', run: tests('integration', ['--maxWorkers=2']) },
  { name: 'browser', run: tests('browser', ['--no-file-parallelism']) },
];

export interface Finished extends Count {
  name: string;
  seconds: number;
}

/** Runs every suite, also after one has failed. */
export async function runSuites(suites: Suite[]): Promise<Finished[]> {
  const finished: Finished[] = [];
  for (const [index, { name, run: begin }] of suites.entries()) {
    process.stdout.write(`\n── ${index + 1}/${suites.length} ${name} ──\n`);
    const startedMs = performance.now();
    const count = await begin();
    finished.push({ name, ...count, seconds: (performance.now() - startedMs) / 1_000 });
  }
  return finished;
}

/** A line per suite and, last, the sum of all. */
export function summary(finished: Finished[]): string {
  const lines = finished.map(
    ({ name, passed, failed, seconds }) =>
      `${failed === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(20)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed  ${seconds.toFixed(1)} s`,
  );
  const sum = (what: keyof Count) => finished.reduce((total, count) => total + (count[what] ?? 0), 0);
  return `\n${lines.join('\n')}\n\n${sum('passed')} passed, ${sum('failed')} failed\n`;
}
