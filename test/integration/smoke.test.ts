import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';

/** `greenroom smoke`: what it says is left rests on the answers of the services themselves. */
interface Finished {
  code: number;
  document: { message?: string; checks?: Array<{ what: string; ok: boolean; detail: string }> };
}

const root = path.resolve(import.meta.dirname, '../..');
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ voice: { turns: 2, paceMs: 80 }, flyLimits: false });
});
afterAll(() => stack?.stop());

async function smoke(): Promise<Finished> {
  const printed: string[] = [];
  const console = {
    environment: { ...stack.environment, GREENROOM_TOKEN: stack.operatorToken },
    cwd: stack.dir,
    print: (line: string) => void printed.push(line),
    progress: () => undefined,
  };
  const code = await runProgram(['--json', '--env-file', '/dev/null', 'smoke', '--region', 'fra'], console, root);
  return { code, document: JSON.parse(printed.at(-1) ?? '{}') };
}

test('the provider has no call of a whole interview any more', async () => {
  const { code, document } = await smoke();
  expect([code, document.checks?.filter(({ ok }) => !ok)], document.message).toEqual([0, []]);
  const call = document.checks?.find(({ what }) => what === 'no call left at the voice provider');
  expect(call?.detail).toBe('1 over: the provider has no such call');
});

test('a call that the provider keeps, although it confirmed the hang-up, is named and fails the smoke test', async () => {
  stack.cloud.voice.script.keepCalls(true);
  const { code, document } = await smoke();
  stack.cloud.voice.script.keepCalls(false);
  const kept = stack.cloud.voice.calls().find(({ state }) => state === 'live');
  const detail = `${kept?.id} was still open: the provider confirmed another hang-up`;
  expect([code, document.checks?.filter(({ ok }) => !ok)], document.message).toEqual([
    1,
    [{ ok: false, what: 'no call left at the voice provider', detail }],
  ]);
});
