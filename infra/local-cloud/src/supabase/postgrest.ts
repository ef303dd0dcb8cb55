import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JSONWebKeySet } from 'jose';
import { endProcess, hasExited, spawnTied, systemPath } from '../process.ts';

/**
 * The real PostgREST, configured as on a hosted project.
 *
 * - It is ready when its admin server says so (`/ready`: connected, schema loaded). No table or function of ours has to exist.
 * - It gets none of our environment: PGRST_ or PG variables of the shell must not configure it.
 */
export interface PostgrestOptions {
  bin: string;
  /** Connection string of `authenticator`. */
  dbUri: string;
  /** Read at each start. */
  jwks: () => JSONWebKeySet;
  port: number;
  adminPort: number;
  /** Connections to Postgres. Default 10. */
  poolSize?: number;
  log: (line: string) => void;
}

export interface PostgrestServer {
  readonly port: number;
  readonly running: boolean;
  /** Resolves when it is ready. Throws if it exits, or is not ready within 15 s. */
  start(): Promise<void>;
  stop(limitMs?: number): Promise<void>;
  isReady(): Promise<boolean>;
}

const readyLimitMs = 15_000;

function environment({ dbUri, jwks, port, adminPort, poolSize = 10 }: PostgrestOptions): Record<string, string> {
  return {
    PATH: systemPath,
    PGRST_DB_URI: dbUri,
    PGRST_DB_SCHEMAS: 'public',
    PGRST_DB_EXTRA_SEARCH_PATH: 'public,extensions',
    PGRST_DB_ANON_ROLE: 'anon',
    PGRST_DB_MAX_ROWS: '1000',
    PGRST_DB_POOL: String(poolSize),
    PGRST_JWT_SECRET: JSON.stringify(jwks()),
    PGRST_JWT_AUD: 'authenticated',
    PGRST_SERVER_HOST: '127.0.0.1',
    PGRST_SERVER_PORT: String(port),
    PGRST_ADMIN_SERVER_PORT: String(adminPort),
    PGRST_OPENAPI_MODE: 'disabled',
    PGRST_LOG_LEVEL: 'warn',
  };
}

export function createPostgrest(options: PostgrestOptions): PostgrestServer {
  const { bin, port, adminPort, log } = options;
  let child: ChildProcess | undefined;
  const isRunning = () => child !== undefined && !hasExited(child);

  const isReady = async () => {
    if (!isRunning()) return false;
    try {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/ready`, { signal: AbortSignal.timeout(1_000) });
      await answer.body?.cancel();
      return answer.ok;
    } catch {
      return false;
    }
  };

  const launch = (): { lastWords: string[] } => {
    const lastWords: string[] = [];
    child = spawnTied(bin, [], { cwd: '/', env: environment(options), stdio: ['ignore', 'pipe', 'pipe'] });
    child.once('error', (error) => lastWords.push(error.message));
    for (const input of [child.stdout!, child.stderr!]) {
      createInterface({ input }).on('line', (line) => {
        log(line);
        if (lastWords.push(line) > 8) lastWords.shift();
      });
    }
    return { lastWords };
  };

  return {
    port,
    get running() {
      return isRunning();
    },
    isReady,
    start: async () => {
      if (isRunning()) return;
      const { lastWords } = launch();
      const deadline = performance.now() + readyLimitMs;
      while (!(await isReady())) {
        if (!isRunning() || performance.now() > deadline) {
          throw new Error(`PostgREST did not become ready: ${lastWords.join('\n')}`);
        }
        await sleep(10);
      }
    },
    stop: async (limitMs = 5_000) => {
      if (child) await endProcess(child, { limitMs });
    },
  };
}
