import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcess, hasExited, spawnTied, systemPath } from '../process.ts';
import type { Account, Command } from './account.ts';
import { dataFolder, markStarter, waitUntilUnused } from './data-lock.ts';
import { isPortFree } from './ports.ts';

/**
 * One Postgres server. It is initialised once and can be started and stopped repeatedly.
 *
 * - It listens only on 127.0.0.1 and on a socket in its own folder, and requires a password on both.
 * - After a kill its folder and shared memory stay locked for a moment; a start retries for up to `settleMs`.
 * - It gets none of our environment: a PGPORT or PGDATA of the shell must not redirect it.
 * - Its log contains neither statements nor rows, because both can hold data that must not be logged.
 */
export interface PostgresOptions {
  account: Account;
  port: number;
  superuser: { name: string; password: string };
  /** False: no fsync, for throw-away databases. A crash of the server loses nothing; a crash of the system may. */
  durable: boolean;
  /** Default 100. */
  maxConnections?: number;
  log: (line: string) => void;
}

export interface PostgresServer {
  readonly port: number;
  /** Folder of the unix socket, or undefined when its path would be too long for the system. */
  readonly socketDir: string | undefined;
  readonly running: boolean;
  /** Initialises the cluster and deletes an existing one. */
  init(): Promise<void>;
  /** Resolves when the server accepts connections. Throws if it cannot start. Does nothing if it runs. */
  start(): Promise<void>;
  /** Fast shutdown: disconnects clients and writes committed data. */
  stop(limitMs?: number): Promise<void>;
  /** Sends SIGKILL to the server, like a crash. Committed data survives. */
  kill(): Promise<void>;
}

const settleMs = 10_000;
const longestSocketPath = 107;
const cleanEnvironment = { PATH: systemPath, TZ: 'UTC', LC_ALL: 'C' };

async function run({ command, args, ids }: Command): Promise<void> {
  const child = spawn(command, args, { ...ids, cwd: '/', env: cleanEnvironment, stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk) => {
    complaints += chunk;
  });
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`${path.basename(command)} failed (${code}): ${complaints.trim()}`);
}

function settings({ port, durable, maxConnections = 100 }: PostgresOptions, socketDir: string | undefined): string[] {
  const values: Record<string, string | number> = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: socketDir ?? '',
    max_connections: maxConnections,
    timezone: 'UTC',
    log_timezone: 'UTC',
    jit: 'off',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    ...(durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Resolves with `ready` when the server accepts connections, or with its last log lines when it exits before. */
function awaitReady(child: ChildProcess, log: (line: string) => void): Promise<'ready' | { lastWords: string }> {
  return new Promise((resolve, reject) => {
    const lastWords: string[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => {
      log(line);
      if (line.includes('ready to accept connections')) resolve('ready');
      if (lastWords.push(line) > 8) lastWords.shift();
    });
    child.once('error', reject);
    child.once('close', () => resolve({ lastWords: lastWords.join('\n') }));
  });
}

export function createPostgres(options: PostgresOptions): PostgresServer {
  const { account, port, superuser, log } = options;
  const dataDir = dataFolder(account.stateDir);
  const socketFits = path.join(account.stateDir, `.s.PGSQL.${port}.lock`).length <= longestSocketPath;
  const socketDir = socketFits ? account.stateDir : undefined;
  let child: ChildProcess | undefined;
  const isRunning = () => child !== undefined && !hasExited(child);

  const launch = () => {
    const args = ['-D', dataDir, ...settings(options, socketDir)];
    const { command, args: wrapped, ids } = account.wrap(path.join(account.binDir, 'postgres'), args);
    const stdio: ['ignore', 'ignore', 'pipe'] = ['ignore', 'ignore', 'pipe'];
    return spawnTied(command, wrapped, { ...ids, cwd: '/', env: cleanEnvironment, stdio, endSignal: 'SIGINT' });
  };

  const init = async () => {
    await waitUntilUnused(account.stateDir);
    rmSync(dataDir, { recursive: true, force: true });
    const passwordFile = path.join(account.stateDir, 'initial-password');
    writeFileSync(passwordFile, superuser.password, { mode: 0o600 });
    account.own(passwordFile);
    const args = ['-D', dataDir, '-U', superuser.name, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
    args.push('--no-sync', '--no-instructions', '--locale=C.UTF-8', '--encoding=UTF8');
    await run(account.wrap(path.join(account.binDir, 'initdb'), args));
    rmSync(passwordFile);
  };

  const start = async () => {
    if (isRunning()) return;
    markStarter(account.stateDir);
    for (const deadline = performance.now() + settleMs; ; await sleep(50)) {
      child = launch();
      const result = await awaitReady(child, log);
      if (result === 'ready') return;
      const settling = /lock file .* already exists|is still in use/.test(result.lastWords);
      if (settling && performance.now() < deadline) continue;
      if (!(await isPortFree(port))) throw new Error(`port ${port} on 127.0.0.1 is in use: Postgres cannot start`);
      throw new Error(`Postgres did not start: ${result.lastWords}`);
    }
  };

  return {
    port,
    socketDir,
    get running() {
      return isRunning();
    },
    init,
    start,
    stop: async (limitMs = 10_000) => {
      if (child) await endProcess(child, { signal: 'SIGINT', limitMs });
    },
    kill: async () => {
      if (child) await endProcess(child, { signal: 'SIGKILL' });
    },
  };
}
