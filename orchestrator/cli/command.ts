import type { Command } from 'commander';
import type { Console, Finished } from './console.ts';

/** The interface between `program.ts` and the command files in `commands/`. */

/** Turns a command's work into the action of its subcommand: environment, `--json`, errors and exit code are the same for all. */
export type Run = <O extends object>(
  work: (options: O, console: Console) => Promise<Finished>,
) => (...args: unknown[]) => Promise<void>;

/** Adds one command. `home`: the root of the repository, or of the image. */
export type Register = (program: Command, run: Run, home: string) => void;
