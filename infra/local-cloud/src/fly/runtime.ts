/**
 * The inside of a machine: a real child process (or, for benchmarks, a function in this one).
 *
 * - A guest inherits none of our environment except PATH, like a VM.
 * - A signal goes to the first process only, as to PID 1. When that exits, the rest of its group is killed.
 * - Guests end with this process, even when it is killed (`spawnTied`).
 */
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { spawnTied } from '../process.ts';

export interface GuestExit {
  /** As a shell reports it: 128 + the signal's number after a signal. */
  exitCode: number;
  /** The number of the signal that ended it, or -1. */
  signal: number;
}

export interface RunningGuest {
  /** Undefined for an in-process guest. */
  readonly pid: number | undefined;
  readonly exited: Promise<GuestExit>;
  /** Sends the signal to the first process. */
  signal(signal: NodeJS.Signals): void;
  /** Kills everything inside at once. */
  kill(): void;
}

export interface GuestContext {
  machineId: string;
  machineName: string;
  appName: string;
  region: string;
  /** Address to listen on. */
  host: string;
  env: Readonly<Record<string, string>>;
  log(line: string): void;
  /** Ends the machine from inside. */
  exit(exitCode: number): void;
}

/** `stop` is called for every signal. When its result is done, the guest exits with code 0. */
export type InProcessGuest = (
  context: GuestContext,
) => { stop(signal: NodeJS.Signals): unknown } | Promise<{ stop(signal: NodeJS.Signals): unknown }>;

export interface ProcessSpec {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  onLine(line: string): void;
}

const signalNumber = (signal: NodeJS.Signals | null): number => (signal === null ? -1 : constants.signals[signal]);

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has already ended.
  }
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream }).on('line', onLine);
}

/** Starts a guest process. If its command cannot run, the guest exits with 127. */
export function startProcess(spec: ProcessSpec): RunningGuest {
  const [file = '', ...args] = spec.command;
  const child = spawnTied(file, args, {
    env: { ...spec.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    endSignal: 'SIGKILL',
  });
  const pid = child.pid;
  readLines(child.stdout!, spec.onLine);
  readLines(child.stderr!, spec.onLine);

  let alive = pid !== undefined;
  const exited = new Promise<GuestExit>((resolve) => {
    child.once('error', (error) => {
      spec.onLine(`failed to spawn command: ${error.message}`);
      if (pid === undefined) resolve({ exitCode: 127, signal: -1 });
    });
    child.once('exit', (code, signal) => {
      const number = signalNumber(signal);
      alive = false;
      if (pid !== undefined) tryKill(-pid, 'SIGKILL');
      resolve({ exitCode: code ?? 128 + number, signal: number });
    });
  });
  return {
    pid,
    exited,
    signal: (signal) => void (alive && tryKill(pid!, signal)),
    kill: () => void (alive && tryKill(-pid!, 'SIGKILL')),
  };
}

/** Starts a guest inside this process. If it fails to start, it exits with code 1. */
export function startInProcess(guest: InProcessGuest, context: Omit<GuestContext, 'exit'>): RunningGuest {
  const { promise: exited, resolve } = Promise.withResolvers<GuestExit>();
  const exit = (exitCode: number, signal = -1) => resolve({ exitCode, signal });
  const fail = (error: unknown) => {
    context.log(`guest failed: ${error instanceof Error ? error.message : String(error)}`);
    exit(1);
  };
  const running = Promise.resolve().then(() => guest({ ...context, exit }));
  running.catch(fail);
  const stop = (signal: NodeJS.Signals) => running.then((started) => started.stop(signal));
  return {
    pid: undefined,
    exited,
    signal: (signal) => void stop(signal).then(() => exit(0), fail),
    kill: () => {
      exit(128 + constants.signals.SIGKILL, constants.signals.SIGKILL);
      stop('SIGKILL').catch(() => undefined);
    },
  };
}
