import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, openShell, type PageShell } from '../support/page-shell.ts';
import { until } from '../support/session.ts';

/** Runs each block of docs/quick-start.md, from `npm start` on, in one shell. Only the two values that `npm start` prints are filled in. */
describe('docs/quick-start.md', () => {
  const root = path.resolve(import.meta.dirname, '../..');
  let blocks: string[];
  let dir: string;
  let product: ChildProcessWithoutNullStreams;
  let shell: PageShell;
  let printed = '';

  beforeAll(async () => {
    blocks = await blocksOf('quick-start.md');
    dir = await mkdtemp(path.join(tmpdir(), 'greenroom-quick-start-'));
    // A group of its own: npm does not pass on every signal.
    product = spawn('sh', ['-c', blocks[0] ?? ''], { cwd: root, detached: true });
    product.stdout.on('data', (part) => (printed += part));
    product.stderr.on('data', (part) => (printed += part));
    await until('npm start has printed how to use it', () => printed.includes('Press Ctrl-C'), 240_000);
    shell = openShell(dir);
  });
  afterAll(async () => {
    shell?.stop();
    if (product?.pid) process.kill(-product.pid, 'SIGINT');
    await until('it has stopped', () => printed.includes('Nothing is left running'));
    await rm(dir, { recursive: true, force: true });
  });

  test('leads from npm start to a stored result with curl alone', async () => {
    const [, values = '', ...rest] = blocks;
    const url = /API +(http\S+)\/api/.exec(printed)?.[1] ?? '';
    const key = /gr_live_[\w-]+/.exec(printed)?.[0] ?? '';
    await shell.run(values.replace('http://localhost:PORT', url).replace('gr_live_…', key));
    // `sed` stops reading the stream of events when it has seen enough, and curl fails because of that.
    await shell.run('set +o pipefail');
    const outputs: string[] = [];
    for (const block of rest) outputs.push(await shell.run(block));
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
