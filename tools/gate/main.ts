import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkDatabase } from './database.ts';

/**
 * The gate: everything that must hold before a change lands.
 *
 *   npm run verify   types, lint, generated files, unit and SQL tests
 *   npm test         the same and the slow suites: integration and browser
 *
 * All steps run, also after one has failed; the last line counts them all. Exit 0 only when nothing failed.
 */
const root = path.resolve(import.meta.dirname, '../..');
const bin = (name: string) => path.join(root, 'node_modules/.bin', name);

interface Count {
  passed: number;
  failed: number;
}

/** Runs a command with its output shown; its exit code. */
function run(command: string, args: string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
    child.on('exit', (code) => resolve(code ?? 1));
    child.on('error', () => resolve(1));
  });
}

const check = (command: string, args: string[]) => async (): Promise<Count> =>
  (await run(command, args)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };

/** A vitest project; its tests are counted one by one. */
const tests =
  (project: string, extra: string[] = []) =>
  async (): Promise<Count> => {
    const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-gate-'));
    const report = path.join(dir, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await run(bin('vitest'), ['run', '--project', project, ...reporters, ...extra]);
    try {
      const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
      const failed = numFailedTests ?? 0;
      // A file that could not be loaded, or an error outside of any test, fails the project without failing a test.
      return { passed: numPassedTests ?? 0, failed: code !== 0 && failed === 0 ? 1 : failed };
    } catch {
      return { passed: 0, failed: 1 };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

/** The lockfile serves a clean clone; npm says what is missing from it, here on one page. */
const lockfile = check('npm', [
  'ci',
  '--dry-run',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
  '--silent',
]);

const quick: Array<[string, () => Promise<Count>]> = [
  ['lockfile', lockfile],
  ['types', check(bin('tsc'), ['-p', '.'])],
  ['lint and format', check(bin('biome'), ['check', '--error-on-warnings'])],
  ['database', checkDatabase],
  ['unit tests', tests('unit')],
  ['SQL tests', tests('sql', ['--no-file-parallelism'])],
];
const slow: Array<[string, () => Promise<Count>]> = [
  // Each file has a cloud of its own and mostly waits: two at once keep two cores busy.
  ['integration tests', tests('integration', ['--maxWorkers=2'])],
  ['browser tests', tests('browser', ['--no-file-parallelism'])],
];

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { all: { type: 'boolean', default: false } } });
  const steps = values.all ? [...quick, ...slow] : quick;
  const total: Count = { passed: 0, failed: 0 };
  const lines: string[] = [];
  for (const [index, [name, step]] of steps.entries()) {
    process.stdout.write(`\n── ${index + 1}/${steps.length} ${name} ──\n`);
    const startedMs = performance.now();
    const count = await step();
    total.passed += count.passed;
    total.failed += count.failed;
    lines.push(
      `${count.failed === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(20)} ${String(count.passed).padStart(5)} passed ${String(count.failed).padStart(4)} failed  ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
    );
  }
  process.stdout.write(`\n${lines.join('\n')}\n\n${total.passed} passed, ${total.failed} failed\n`);
  return total.failed === 0 ? 0 : 1;
}

process.exit(await main());
