import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Supabase, startSupabase } from '@greenroom/local-cloud/supabase/supabase.ts';
import pg from 'pg';
import { dumpSchema } from './schema-dump.ts';

/**
 * What is derived from the migrations, and what is said of them.
 *
 *   npm run generate:database   writes supabase/schema.sql and shared/src/database/types.ts
 *   npm run verify              fails when they are not what the migrations make, or when a linter complains
 *   node tools/gate/database.ts --release 1.2.0   freezes the migrations of a release in supabase/released.json
 *
 * D1  Everything is done against a throwaway Supabase of this machine: no account, no Docker, no traffic elsewhere.
 * D2  The Supabase CLI is kept from telling anybody (`DO_NOT_TRACK`) and from writing into the user's home.
 */
const root = path.resolve(import.meta.dirname, '../..');
const migrationsDir = path.join(root, 'supabase/migrations');
const bin = (name: string): string => path.join(root, 'node_modules/.bin', name);

interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command; `input` goes to its stdin. Rejects only when it cannot be started. */
function run(command: string, args: string[], { cwd = root, input = '' } = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: `${path.join(root, 'node_modules/.bin')}:${process.env.PATH}`,
      HOME: tmpdir(),
      DO_NOT_TRACK: '1',
      PGSSLMODE: 'disable',
    };
    const child = spawn(command, args, { cwd, env });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      out.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      out.stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, ...out }));
    child.stdin.end(input);
  });
}

interface Workshop {
  supabase: Supabase;
  dir: string;
}

async function withDatabase<T>(work: (workshop: Workshop) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-database-'));
  const supabase = await startSupabase({ dir: path.join(dir, 'project'), migrationsDir });
  try {
    return await work({ supabase, dir });
  } finally {
    await supabase.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function withClient<T>(dbUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: dbUrl });
  await client.connect();
  return work(client).finally(() => client.end());
}

const schemaOf = ({ supabase }: Workshop): Promise<string> => withClient(supabase.dbUrl, dumpSchema);

const typesHeading = `// Derived from supabase/migrations by \`npm run generate:database\` (the Supabase CLI): do not edit.\n`;

async function typesOf({ supabase, dir }: Workshop): Promise<string> {
  const remote = `--remote=${supabase.dbUrl}`;
  const made = await run(bin('supabase'), ['gen', 'types', '--lang=typescript', '--schema=public', remote], {
    cwd: dir,
  });
  if (made.code !== 0) throw new Error(`supabase gen types failed (${made.code}): ${made.stderr}`);
  // Formatted under another name: the file itself is not ours to lint.
  const args = ['format', '--stdin-file-path=shared/src/database/generated-types.ts'];
  const formatted = await run(bin('biome'), args, { input: typesHeading + made.stdout });
  if (formatted.code !== 0) throw new Error(`formatting the types failed: ${formatted.stderr}`);
  return formatted.stdout;
}

const derived: Array<[file: string, make: (workshop: Workshop) => Promise<string>]> = [
  ['supabase/schema.sql', schemaOf],
  ['shared/src/database/types.ts', typesOf],
];

/** The first lines in which two texts differ, for a person to see what happened. */
function difference(committed: string, made: string): string {
  const [old, now] = [committed.split('\n'), made.split('\n')];
  const at = now.findIndex((line, i) => line !== old[i]);
  const line = at < 0 ? now.length : at;
  return `line ${line + 1}:\n  committed: ${old[line] ?? '(end)'}\n  generated: ${now[line] ?? '(end)'}`;
}

interface Advice {
  name: string;
  level: string;
  detail: string;
  metadata?: { schema?: string; name?: string };
}

/** Splinter's lints. Of its hints only the index missing on a foreign key is ours: the others speak of a database in use. */
async function advisors({ supabase, dir }: Workshop): Promise<string | undefined> {
  const args = ['db', 'advisors', `--remote=${supabase.dbUrl}`, '--level=info', '--output-format=json'];
  const { code, stdout, stderr } = await run(bin('supabase'), args, { cwd: dir });
  if (code !== 0) return `supabase db advisors failed (${code}): ${stderr}`;
  const parsed = await parsedFunctions(supabase);
  const found = adviceIn(stdout).filter(
    ({ level, name, metadata }) =>
      (level !== 'INFO' || name === 'unindexed_foreign_keys') &&
      !(name === 'function_search_path_mutable' && parsed.has(`${metadata?.schema}.${metadata?.name}`)),
  );
  return found.length === 0 ? undefined : found.map(({ name, detail }) => `${name}: ${detail}`).join('\n');
}

/** Functions whose body was parsed when it was defined: no search path can change what they mean. */
async function parsedFunctions({ dbUrl }: Supabase): Promise<Set<string>> {
  const query = `select n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.prosqlbody is not null`;
  return new Set((await withClient(dbUrl, (client) => client.query(query))).rows.map(({ name }) => name as string));
}

function adviceIn(output: string): Advice[] {
  const answer = JSON.parse(output);
  const list = Array.isArray(answer) ? answer : (answer.data?.results ?? answer.results ?? answer.data);
  if (!Array.isArray(list)) throw new Error(`supabase db advisors answered something else: ${output.slice(0, 200)}`);
  return list;
}

async function squawk(): Promise<string | undefined> {
  const files = (await readdir(migrationsDir))
    .filter((name) => name.endsWith('.sql'))
    .map((name) => path.join('supabase/migrations', name));
  const { code, stdout, stderr } = await run(bin('squawk'), [
    '--config',
    'supabase/.squawk.toml',
    '--reporter',
    'gcc',
    ...files,
  ]);
  return code === 0 ? undefined : stdout + stderr;
}

const checkDerived =
  (file: string, make: (workshop: Workshop) => Promise<string>) =>
  async (workshop: Workshop): Promise<string | undefined> => {
    const committed = await readFile(path.join(root, file), 'utf8').catch(() => '');
    const made = await make(workshop);
    if (committed === made) return undefined;
    return `${file} is not what the migrations make; run npm run generate:database. ${difference(committed, made)}`;
  };

/**
 * Checks everything and prints what is wrong.
 * @returns how many checks passed and failed; a check that could not be made has failed
 */
export async function checkDatabase(): Promise<{ passed: number; failed: number }> {
  const checks: Array<[string, (workshop: Workshop) => Promise<string | undefined>]> = [
    ...derived.map(([file, make]): [string, (workshop: Workshop) => Promise<string | undefined>] => [
      file,
      checkDerived(file, make),
    ]),
    ['supabase db advisors', advisors],
    ['squawk', squawk],
  ];
  const count = { passed: 0, failed: 0 };
  await withDatabase(async (workshop) => {
    for (const [name, check] of checks) {
      const complaint = await check(workshop).catch((error: Error) => error.message);
      count[complaint === undefined ? 'passed' : 'failed'] += 1;
      process.stdout.write(complaint === undefined ? `ok   ${name}\n` : `FAIL ${name}\n${complaint}\n`);
    }
  });
  return count;
}

/** Writes what is derived. */
export function generateDatabase(): Promise<void> {
  return withDatabase(async (workshop) => {
    for (const [file, make] of derived) {
      await writeFile(path.join(root, file), await make(workshop));
      process.stdout.write(`wrote ${file}\n`);
    }
  });
}

/** Records the migrations as released: from then on they are frozen, and the next ones are replayed on top of them. */
export async function recordRelease(release: string): Promise<void> {
  const files = (await readdir(migrationsDir)).filter((file) => file.endsWith('.sql')).sort();
  const hashOf = async (file: string) =>
    createHash('sha256')
      .update(await readFile(path.join(migrationsDir, file)))
      .digest('hex');
  const migrations = Object.fromEntries(await Promise.all(files.map(async (file) => [file, await hashOf(file)])));
  await writeFile(path.join(root, 'supabase/released.json'), `${JSON.stringify({ release, migrations }, null, 2)}\n`);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { write: { type: 'boolean' }, release: { type: 'string' } } });
  if (values.release) await recordRelease(values.release);
  else if (values.write) await generateDatabase();
  else process.exitCode = (await checkDatabase()).failed === 0 ? 0 : 1;
}
