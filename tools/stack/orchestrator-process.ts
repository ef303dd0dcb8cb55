import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { spawnTied } from '@greenroom/local-cloud/process.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';

/** A running orchestrator: a real process with the environment that an operator would set. */
export interface OrchestratorProcess {
  url: string;
  /** The address of the operators' API, if it has one. */
  opsUrl: string | undefined;
  pid: number;
  /** What it was started with. */
  environment: Record<string, string>;
  /** Lines of its log so far. */
  log: string[];
  /** Stops it like a deploy (SIGTERM). Resolves with its exit code. */
  stop(): Promise<number | null>;
  /** Kills it like a crash (SIGKILL). */
  kill(): Promise<void>;
}

/** One machine carries everything here: a slow event loop says that it is busy, not that callers ask too much. */
const busyMachine = { MAX_EVENT_LOOP_DELAY_MS: '60000' };

const productMain = path.resolve(import.meta.dirname, '../../orchestrator/src/main.ts');

async function waitUntilReady(url: string, child: ChildProcess, log: string[]): Promise<void> {
  const deadlineMs = performance.now() + 120_000;
  for (;;) {
    if (child.exitCode !== null)
      throw new Error(`the orchestrator ended with ${child.exitCode}:\n${log.slice(-20).join('\n')}`);
    const health = await fetch(`${url}/readyz`).then(
      (answer) => (answer.ok ? (answer.json() as Promise<{ checks: Record<string, boolean | null> }>) : undefined),
      () => undefined,
    );
    // Readiness is the process's own; here its dependencies are expected to be there as well.
    if (health && Object.values(health.checks).every((ok) => ok === true)) return;
    if (performance.now() > deadlineMs)
      throw new Error(`the orchestrator was not ready after 120 s:\n${log.slice(-20).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Starts an orchestrator on a free port and waits until it is ready.
 * @param main the script to run; default the product's own.
 * @param environment everything but HOST and PORT; the parent's own variables are not inherited, except PATH.
 */
export async function startOrchestrator(
  environment: Record<string, string>,
  onLine: (line: string) => void = () => undefined,
  main: string = productMain,
): Promise<OrchestratorProcess> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawnTied(process.execPath, [main], {
    env: { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: String(port), ...busyMachine, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on('line', (line) => {
      log.push(line);
      onLine(line);
    });
  }
  const exited = once(child, 'exit');
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
    return child.exitCode;
  };
  try {
    await waitUntilReady(url, child, log);
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
  return {
    url,
    opsUrl: environment.OPS_PORT === undefined ? undefined : `http://127.0.0.1:${environment.OPS_PORT}`,
    pid: child.pid as number,
    environment,
    log,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
  };
}
