import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { endProcess, spawnTied } from './process.ts';

const processModule = path.join(import.meta.dirname, 'process.ts');

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function untilGone(pid: number, limitMs: number): Promise<void> {
  for (const deadline = performance.now() + limitMs; isAlive(pid); ) {
    if (performance.now() > deadline) throw new Error(`process ${pid} is still alive after ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A parent process with one tied child; it prints the child's id. */
async function parentOf(childScript: string): Promise<{ parent: ChildProcess; childPid: number }> {
  const script = `
    import { spawnTied } from ${JSON.stringify(processModule)};
    const child = spawnTied('sh', ['-c', ${JSON.stringify(childScript)}], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.once('data', () => console.log(child.pid));
    setInterval(() => undefined, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: parent.stdout! }), 'line');
  return { parent, childPid: Number(line) };
}

test('a child ends when its parent is killed', async () => {
  const { parent, childPid } = await parentOf('echo ready; exec sleep 1000');
  expect(isAlive(childPid)).toBe(true);
  parent.kill('SIGKILL');
  await untilGone(childPid, 3_000);
});

test('a child that ignores the first signal is killed', { timeout: 20_000 }, async () => {
  const { parent, childPid } = await parentOf("trap '' TERM; echo ready; while :; do sleep 1; done");
  parent.kill('SIGKILL');
  await untilGone(childPid, 12_000);
});

test('endProcess returns whether the process ended, was killed or was gone before', async () => {
  const willing = spawnTied('sleep', ['1000'], { stdio: 'ignore' });
  expect(await endProcess(willing)).toBe('ended');
  expect(await endProcess(willing)).toBe('gone');
  const stubborn = spawnTied('sh', ['-c', "trap '' TERM; echo ready; while :; do sleep 1; done"], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(stubborn.stdout!, 'data');
  expect(await endProcess(stubborn, { limitMs: 50 })).toBe('killed');
});

test('a command that does not exist emits an error event, and ending it does nothing', async () => {
  const child = spawnTied('/nowhere/at/all', [], { stdio: 'ignore' });
  const [error] = await once(child, 'error');
  expect(error).toMatchObject({ code: 'ENOENT' });
  expect(await endProcess(child)).toBe('gone');
});
