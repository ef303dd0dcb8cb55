#!/usr/bin/env node
import { createInterface } from 'node:readline/promises';
import { homeOf } from './console.ts';
import { runProgram } from './program.ts';

/** `greenroom`, the command for operators and deployers. */
async function ask(question: string): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  return prompt.question(question).finally(() => prompt.close());
}

process.exitCode = await runProgram(
  process.argv.slice(2),
  {
    environment: process.env,
    cwd: process.cwd(),
    print: (line) => void process.stdout.write(`${line}\n`),
    progress: (line) => void process.stderr.write(`${line}\n`),
    ...(process.stdin.isTTY ? { ask } : {}),
    colour: process.stdout.isTTY && (process.env.NO_COLOR ?? '') === '',
  },
  homeOf(import.meta.filename),
);
