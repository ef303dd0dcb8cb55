import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { until } from './session.ts';

/** A shell that runs the blocks of a page of docs/ one after the other, so that a later block sees what an earlier one has set. */
export interface PageShell {
  /** Runs a block. Fails if its last command fails; of a pipeline, the last part. @returns what it printed */
  run(block: string): Promise<string>;
  stop(): void;
}

/** The code blocks of docs/`page` whose language is `sh`, in their order. */
export async function blocksOf(page: string): Promise<string[]> {
  const text = await readFile(path.resolve(import.meta.dirname, '../../docs', page), 'utf8');
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
}

export function openShell(dir: string): PageShell {
  const shell: ChildProcessWithoutNullStreams = spawn('bash', [], { cwd: dir });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.on('data', (part) => {
      output += part;
    });
  return {
    run: async (block) => {
      output = '';
      shell.stdin.write(`${block}\ncode=$?; echo; echo "== $code"\n`);
      await until(`the block has run:\n${block}`, () => /\n== \d+\n$/.test(output));
      expect([block, output]).toEqual([block, expect.stringMatching(/\n== 0\n$/)]);
      return output.replace(/\n== 0\n$/, '');
    },
    stop: () => void shell.kill(),
  };
}
