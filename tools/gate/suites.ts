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
  /** Tests that did not run because something they need is missing. */
  skipped?: number;
  /** One entry for each failure. `summary` prints them again, because long output is often read from its end. */
  failures?: string[];
}

export interface Suite {
  name: string;
  run(): Promise<Count>;
}

/** Runs a command, shows its output and returns its exit code. */
function run(command: string, args: string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
    child.on('exit', (code) => resolve(code ?? 1));
    child.on('error', () => resolve(1));
  });
}

/** Runs commands and counts how many succeed. */
const check =
  (...commands: Array<[command: string, ...args: string[]]>) =>
  async (): Promise<Count> => {
    const count = { passed: 0, failed: 0 };
    for (const [command, ...args] of commands) count[(await run(command, args)) === 0 ? 'passed' : 'failed'] += 1;
    return count;
  };

/** The part of vitest's JSON report that is read here. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: Array<{
    name: string;
    assertionResults: Array<{ fullName: string; status: string; failureMessages?: string[] }>;
  }>;
}

/** For each failed test: its file, title and the first lines of the error. */
export function failuresOf({ testResults }: Report): string[] {
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages = [] }) => {
        const error = (failureMessages[0] ?? '').split('\n').slice(0, 12).join('\n  ');
        return `${path.relative(root, name)}: ${fullName}\n  ${error}`;
      }),
  );
}

/** Runs a vitest project and counts its tests. */
export const tests =
  (project: string, extra: string[] = []) =>
  async (): Promise<Count> => {
    const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-gate-'));
    const report = path.join(dir, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await run(bin('vitest'), ['run', '--project', project, ...reporters, ...extra]);
    try {
      const counted = JSON.parse(readFileSync(report, 'utf8')) as Report;
      const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = counted;
      // A file that cannot be loaded, or an error outside any test, fails the project without failing a test.
      if (code !== 0 && failed === 0)
        return { passed, failed: 1, skipped, failures: [`${project}: an error outside of any test`] };
      return { passed, failed, skipped, failures: failuresOf(counted) };
    } catch {
      return { passed: 0, failed: 1 };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

const dryInstall = ['ci', '--dry-run', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--silent'];

export const quickSuites: Suite[] = [
  // The lockfile is enough for a clean clone.
  { name: 'lockfile', run: check(['npm', ...dryInstall]) },
  { name: 'types', run: check([bin('tsc'), '-p', '.']) },
  { name: 'lint', run: check([bin('biome'), 'check', '--error-on-warnings']) },
  // Files, exports and dependencies that nothing uses, and dependencies that are used but not declared.
  { name: 'unused', run: check([bin('knip'), '--no-progress']) },
  { name: 'licences', run: checkLicences },
  { name: 'database', run: checkDatabase },
  { name: 'unit', run: tests('unit') },
  { name: 'sql', run: tests('sql', ['--maxWorkers=2']) },
];

export const slowSuites: Suite[] = [
  // Each file starts its own local cloud and mostly waits, so three files at once keep two cores busy.
  { name: 'integration', run: tests('integration', ['--maxWorkers=3']) },
  { name: 'browser', run: tests('browser', ['--no-file-parallelism']) },
];

export interface Finished extends Count {
  name: string;
  seconds: number;
}

/** Runs every suite, even after one has failed. */
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

/** The failures, then one line per suite, then the sum. */
export function summary(finished: Finished[]): string {
  const lines = finished.map(
    ({ name, passed, failed, seconds }) =>
      `${failed === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(20)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed  ${seconds.toFixed(1)} s`,
  );
  const sum = (what: 'passed' | 'failed') => finished.reduce((total, count) => total + count[what], 0);
  const failures = finished.flatMap(({ failures = [] }) => failures).map((failure) => `failed: ${failure}\n`);
  return `\n${failures.join('')}\n${lines.join('\n')}\n\n${sum('passed')} passed, ${sum('failed')} failed\n`;
}
