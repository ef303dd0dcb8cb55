import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';
import { sqlError } from './migrations.ts';

/** pgTAP on the local Supabase: installing it, and running a file of assertions. */
export interface Assertion {
  number: number;
  ok: boolean;
  name: string;
  /** pgTAP's explanation of a failure: have, want. */
  diagnostics: string[];
}

export interface PgtapResult {
  /** Every assertion is ok, and there are as many as planned. */
  ok: boolean;
  /** undefined with `no_plan()` that never finished. */
  planned: number | undefined;
  assertions: Assertion[];
}

async function withClient<T>(dbUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: dbUrl });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const cString = (bytes: Buffer): string => bytes.toString('latin1').replace(/\0.*$/s, '');

/** The files of a tar archive: 512-byte headers, then the content padded to 512. */
function* filesOf(tar: Buffer): Generator<{ name: string; content: Buffer }> {
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(cString(tar.subarray(at + 124, at + 136)), 8);
    const name = cString(tar.subarray(at, at + 100));
    yield { name, content: tar.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

function unpackPgtap(extensionDir: string): void {
  if (existsSync(path.join(extensionDir, 'pgtap.control'))) return;
  const entry = createRequire(import.meta.url).resolve('@electric-sql/pglite-pgtap');
  const archive = gunzipSync(readFileSync(path.join(path.dirname(entry), 'pgtap.tar.gz')));
  const wanted = [...filesOf(archive)].filter(({ name }) => /\/pgtap(--\d+\.\d+\.\d+\.sql|\.control)$/.test(name));
  // The control file is written last, because it makes the extension visible.
  for (const { name, content } of wanted.sort((a, b) => b.name.localeCompare(a.name))) {
    const place = path.join(extensionDir, path.basename(name));
    writeFileSync(`${place}.${process.pid}`, content);
    renameSync(`${place}.${process.pid}`, place);
  }
}

/**
 * Creates the extension pgtap in schema `extensions`, which is on the search path of role postgres.
 * @param adminDbUrl connection string of the superuser of a server on this machine (it reports where its
 * files are)
 */
export function installPgtap(adminDbUrl: string): Promise<void> {
  return withClient(adminDbUrl, async (client) => {
    const { rows } = await client.query("select setting from pg_config where name = 'SHAREDIR'");
    unpackPgtap(path.join(rows[0].setting, 'extension'));
    await client.query('create extension if not exists pgtap with schema extensions');
  });
}

/** Parses TAP lines. A failed assertion counts as failed, whatever directive stands behind it. */
export function parseTap(lines: string[]): PgtapResult {
  const assertions: Assertion[] = [];
  let planned: number | undefined;
  for (const line of lines.flatMap((row) => row.split('\n'))) {
    const [, not, number, name = ''] = /^(not )?ok (\d+)(?: - (.*))?/.exec(line) ?? [];
    const plan = /^1\.\.(\d+)/.exec(line)?.[1];
    if (number !== undefined) {
      assertions.push({ number: Number(number), ok: not === undefined, name, diagnostics: [] });
    } else if (plan !== undefined) planned = Number(plan);
    else if (line.startsWith('#')) assertions.at(-1)?.diagnostics.push(line.slice(1).trim());
  }
  return { ok: assertions.every((a) => a.ok) && assertions.length === planned, planned, assertions };
}

/**
 * Runs a pgTAP file on its own connection, so that whatever it leaves uncommitted is rolled back. Throws an
 * error with file and, if known, line when a statement fails outside an assertion.
 */
export function runPgtap(file: string, dbUrl: string): Promise<PgtapResult> {
  return withClient(dbUrl, async (client) => {
    const text = readFileSync(file, 'utf8');
    const answer = await client.query({ text, rowMode: 'array' }).catch((error) => {
      throw sqlError(file, text, error);
    });
    // One result per statement; the driver returns a single one without an array.
    const results: pg.QueryArrayResult[] = [answer].flat();
    const first = results.flatMap(({ rows }) => rows.map(([value]) => value));
    return parseTap(first.filter((value) => typeof value === 'string'));
  });
}
