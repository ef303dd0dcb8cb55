import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Decides whether a data folder is free.
 *
 * - Taken: a server runs on it, and the process that started the server still runs.
 * - Soon free: a server runs on it, but the process that started it has exited. The reaper (`process.ts`) is stopping the
 *   server, so the next start waits.
 */
export const dataFolder = (stateDir: string): string => path.join(stateDir, 'data');
const starterFile = (stateDir: string): string => path.join(stateDir, 'started-by');

const settleMs = 30_000;

/** Records this process as the one that starts the server. Call it before the start. */
export const markStarter = (stateDir: string): void => writeFileSync(starterFile(stateDir), String(process.pid));

/** The server that runs on this data folder, according to its lock file; undefined if there is none. */
function serverOf(stateDir: string): { pid: number; parent: number } | undefined {
  try {
    const pid = Number(readFileSync(path.join(dataFolder(stateDir), 'postmaster.pid'), 'utf8').split('\n')[0]);
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dataFolder(stateDir))) return undefined;
    const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return { pid, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

function starterOf(stateDir: string): number | undefined {
  try {
    return Number(readFileSync(starterFile(stateDir), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Waits until no server uses the data folder. Throws at once if it is taken, and after 30 s if it does not become free. */
export async function waitUntilUnused(stateDir: string): Promise<void> {
  const deadline = performance.now() + settleMs;
  for (let server = serverOf(stateDir); server !== undefined; server = serverOf(stateDir)) {
    const taken = server.parent === starterOf(stateDir);
    if (taken || performance.now() > deadline) {
      throw new Error(`${dataFolder(stateDir)} is in use by another Postgres, process ${server.pid}`);
    }
    await sleep(20);
  }
}
