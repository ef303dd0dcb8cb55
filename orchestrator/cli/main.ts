#!/usr/bin/env node
import { homeOf } from './console.ts';
import { runProgram } from './program.ts';

/** `greenroom`, the command for operators and deployers. */
process.exitCode = await runProgram(
  process.argv.slice(2),
  {
    environment: process.env,
    cwd: process.cwd(),
    print: (line) => void process.stdout.write(`${line}\n`),
    progress: (line) => void process.stderr.write(`${line}\n`),
  },
  homeOf(import.meta.filename),
);
