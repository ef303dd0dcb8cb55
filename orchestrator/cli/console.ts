import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';

/**
 * Input, output and errors, shared by all commands of `greenroom`.
 *
 * - Results go to standard output, as text or with `--json` as one JSON document. Progress goes to standard error.
 * - A command that fails throws a CliError. Its message says what happened and what to do; it contains no secret.
 */
export interface Console {
  environment: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** A line of the result. */
  print(line: string): void;
  /** A line of progress. */
  progress(line: string): void;
  /** Asks a person. Missing without a terminal. */
  ask?(question: string): Promise<string>;
  /** Whether the result may be coloured. Default no. */
  colour?: boolean;
}

/** Exit codes, the same for every command. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  alreadySo: 5,
  timedOut: 6,
  /** The database or the deployment is in a state that needs a person. */
  inconsistent: 65,
  /** A service does not answer. */
  away: 69,
  configuration: 78,
} as const;
type ExitCode = keyof typeof exitCodes;

export class CliError extends Error {
  readonly exit: ExitCode;
  /** Stable snake_case code in the JSON document. */
  readonly code: string;
  constructor(exit: ExitCode, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exit = exit;
    this.code = code;
  }
}

/** The result of a command: the document that `--json` prints, and the same content as lines of text. */
export interface Finished {
  document: object;
  lines: string[];
  /** Default `done`. */
  exit?: ExitCode;
}

/** Prints the result of a command. @returns its exit code */
export function present({ document, lines, exit = 'done' }: Finished, json: boolean, { print }: Console): number {
  if (json) print(JSON.stringify({ ok: exit === 'done', ...document }));
  else for (const line of lines) print(line);
  return exitCodes[exit];
}

/**
 * Adds the variables of a file to the process's environment. A variable in the environment takes precedence. An empty
 * variable counts as unset.
 * @param file absolute path; a file that does not exist is an error only when `required`
 */
export function environmentWithFile(
  own: Record<string, string | undefined>,
  file: string,
  required: boolean,
): Record<string, string | undefined> {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (required)
      throw new CliError('configuration', 'no_environment_file', `${file} cannot be read.`, { cause: error });
  }
  const set = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined && value !== ''));
  return { ...parseEnv(text), ...set };
}

/** The root of the repository that this command belongs to; in an image, the folder of the bundle. */
export const homeOf = (module: string): string => {
  const dir = path.dirname(module);
  return path.basename(dir) === 'cli' ? path.resolve(dir, '../..') : dir;
};

/** A variable that a command needs. */
export function needed({ environment }: Console, name: string, what: string): string {
  const value = environment[name];
  if (value === undefined || value === '')
    throw new CliError('configuration', 'not_configured', `Set ${name}: ${what}`);
  return value;
}
