import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/session.ts';

/** docs/quick-start.md: each block as printed, in one shell, from `npm start` on. Only the two values that it prints are put in. */
describe('docs/quick-start.md', () => {
  const root = path.resolve(import.meta.dirname, '../..');
  let blocks: string[];
  let dir: string;
  let product: ChildProcessWithoutNullStreams;
  let shell: ChildProcessWithoutNullStreams;
  let [printed, output] = ['', ''];

  /** Runs a block in the shell of the page. @returns what it printed */
  const run = async (block: string, number: number): Promise<string> => {
    output = '';
    shell.stdin.write(`${block}\necho; echo "== $? of ${number}"\n`);
    const end = await until(`block ${number} has run:\n${block}${output}`, () => / of \d+\n$/.test(output));
    expect([block, output, end]).toEqual([block, expect.stringContaining(`== 0 of ${number}`), true]);
    return output;
  };

  beforeAll(async () => {
    const page = await readFile(path.join(root, 'docs/quick-start.md'), 'utf8');
    blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
    dir = await mkdtemp(path.join(tmpdir(), 'greenroom-quick-start-'));
    // A group of its own: npm does not pass on every signal.
    product = spawn('sh', ['-c', blocks[0] ?? ''], { cwd: root, detached: true });
    product.stdout.on('data', (part) => (printed += part));
    product.stderr.on('data', (part) => (printed += part));
    await until('npm start has printed how to use it', () => printed.includes('Press Ctrl-C'), 240_000);
    shell = spawn('bash', [], { cwd: dir });
    shell.stdout.on('data', (part) => (output += part));
    shell.stderr.on('data', (part) => (output += part));
  });
  afterAll(async () => {
    shell?.kill();
    if (product?.pid) process.kill(-product.pid, 'SIGINT');
    await until('it has stopped', () => printed.includes('Nothing is left running'));
    await rm(dir, { recursive: true, force: true });
  });

  test('leads from npm start to a stored result with curl alone', async () => {
    const [, values = '', ...rest] = blocks;
    const url = /API +(http\S+)\/api/.exec(printed)?.[1] ?? '';
    const key = /gr_live_[\w-]+/.exec(printed)?.[0] ?? '';
    await run(values.replace('http://localhost:PORT', url).replace('gr_live_…', key), 1);
    const outputs: string[] = [];
    for (const [index, block] of rest.entries()) outputs.push(await run(block, index + 2));
    const [, testKey, created, simulated, events, result] = outputs;
    expect(testKey).toMatch(/^gr_test_[\w-]+\n/);
    expect(created).toMatch(/^ready\n/);
    expect(simulated).toContain('"script":"completes"');
    expect(events).toMatch(/event: session\.completed[\s\S]*event: result\.done/);
    expect(result).toContain('What did you build last?');
    expect(result).toContain('"recommendation":');
    expect(rest).toHaveLength(6);
  });
});
