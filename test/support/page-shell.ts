import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { until } from './session.ts';

/** A shell that runs the blocks of a page of docs/ one after the other, so that a later block sees what an earlier one has set. */
export interface PageShell {
  /** Runs a block. Fails if one of its commands fails, or any part of a pipeline. @returns what it printed */
  run(block: string): Promise<string>;
  stop(): void;
}

/** The code blocks of docs/`page` in this language, in their order. */
export async function blocksOf(page: string, language = 'sh'): Promise<string[]> {
  const text = await readFile(path.resolve(import.meta.dirname, '../../docs', page), 'utf8');
  return [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].flatMap(([, of, block = '']) =>
    of === language ? [block] : [],
  );
}

export function openShell(dir: string): PageShell {
  const shell: ChildProcessWithoutNullStreams = spawn('bash', [], { cwd: dir });
  shell.stdin.write("set -o pipefail; trap 'failed=$?' ERR\n");
  let output = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.on('data', (part) => {
      output += part;
    });
  return {
    run: async (block) => {
      output = '';
      shell.stdin.write(`failed=0\n${block}\necho; echo "== $failed"\n`);
      await until(`the block has run:\n${block}`, () => /\n== \d+\n$/.test(output));
      expect([block, output]).toEqual([block, expect.stringMatching(/\n== 0\n$/)]);
      return output.replace(/\n== 0\n$/, '');
    },
    stop: () => void shell.kill(),
  };
}
