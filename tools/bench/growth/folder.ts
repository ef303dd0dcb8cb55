import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startStack } from '../../stack/stack.ts';
import { loadRows } from './load.ts';

/**
 * Data folders of a stack with many rows. Each is made once and kept outside the repository, in
 * `$XDG_CACHE_HOME/greenroom/bench`. A run works on a copy. A change of the schema makes a new folder.
 */
const migration = path.resolve(import.meta.dirname, '../../../supabase/migrations/20261121090000_schema.sql');
const cache = path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'greenroom/bench');

const versionOf = (): string => {
  const hash = createHash('sha256').update(readFileSync(migration));
  return hash
    .update(readFileSync(path.join(import.meta.dirname, 'load.ts')))
    .digest('hex')
    .slice(0, 12);
};

async function make(dir: string, sessions: number, progress: (line: string) => void): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const stack = await startStack({ dir, orchestrators: 0 });
  const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
  try {
    await db.connect();
    await loadRows(db, sessions, progress);
  } finally {
    await db.end();
    await stack.stop();
  }
}

/** A copy of the folder with this many sessions, for one run. Whoever gets it removes it. */
export async function copyOf(sessions: number, progress: (line: string) => void): Promise<string> {
  const kept = path.join(cache, `${versionOf()}-${sessions}`);
  if (!existsSync(kept)) {
    progress(`making ${kept}; it is used again by later runs`);
    await make(`${kept}.new`, sessions, progress);
    renameSync(`${kept}.new`, kept);
  }
  const copy = mkdtempSync(path.join(tmpdir(), 'greenroom-growth-'));
  rmSync(copy, { recursive: true });
  // With owners and modes: Postgres refuses a folder that others may read.
  execFileSync('cp', ['-a', kept, copy]);
  return copy;
}
