import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Whose a data folder is.
 *
 * L1  A server whose parent is the process that started it belongs to a running project: the folder is taken.
 * L2  A server whose starter is gone is being ended by the reaper (`process.ts`), or is the remains of a crash: the next
 *     start waits for that.
 */
export const dataFolder = (stateDir: string): string => path.join(stateDir, 'data');
const starterFile = (stateDir: string): string => path.join(stateDir, 'started-by');

const settleMs = 10_000;

/** To be called by the process that starts a server, before it does. */
export const markStarter = (stateDir: string): void => writeFileSync(starterFile(stateDir), String(process.pid));

/** The server on this data folder, by its lock file; undefined when there is none. */
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

/** Waits until no server uses the folder's data. Throws at once when it is taken (L1), and when L2 takes over 10 s. */
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
