import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Supabase, startSupabase } from '@greenroom/local-cloud/supabase/supabase.ts';
import pg from 'pg';
import { bin, databaseDiff, root, run } from './command.ts';
import {
  firstMigration,
  joinedSchemas,
  migrationsDir,
  styleComplaints,
  supabaseDir,
  writeSchemasAsMigrations,
} from './schemas.ts';

/**
 * Generates the files derived from supabase/schemas, and checks the database.
 *
 *   npm run generate:database   writes supabase/migrations and shared/src/database/types.ts
 *   npm run verify              fails if they differ from the generated ones, or if a linter finds something
 *   node tools/gate/database.ts --release 1.2.0   freezes the migrations of a release in supabase/released.json
 *
 * It uses temporary Supabase projects on this machine: no account, no Docker, no network traffic.
 */
interface Workshop {
  dir: string;
  /** A project made from the files of the source, one by one. */
  declared: Supabase;
}

interface WorkshopOfTwo extends Workshop {
  /** A project made from the migrations. */
  migrated: Supabase;
}

async function withProject<T>(dir: string, migrations: string, work: (project: Supabase) => Promise<T>): Promise<T> {
  const supabase = await startSupabase({ dir, migrationsDir: migrations });
  return work(supabase).finally(() => supabase.stop());
}

async function withDeclared<T>(work: (workshop: Workshop) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-database-'));
  const schemas = path.join(dir, 'schemas');
  mkdirSync(schemas);
  writeSchemasAsMigrations(schemas);
  try {
    return await withProject(path.join(dir, 'declared'), schemas, (declared) => work({ declared, dir }));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const withBoth = <T>(work: (workshop: WorkshopOfTwo) => Promise<T>): Promise<T> =>
  withDeclared((workshop) =>
    withProject(path.join(workshop.dir, 'migrated'), migrationsDir, (migrated) => work({ ...workshop, migrated })),
  );

const typesHeading = `// Generated from supabase/schemas by \`npm run generate:database\` (the Supabase CLI): do not edit.\n`;

/** The types, generated from the source, so that they can be generated before the migration. */
async function typesOf({ declared, dir }: Workshop): Promise<string> {
  const remote = `--remote=${declared.dbUrl}`;
  const made = await run(bin('supabase'), ['gen', 'types', '--lang=typescript', '--schema=public', remote], {
    cwd: dir,
  });
  if (made.code !== 0) throw new Error(`supabase gen types failed (${made.code}): ${made.stderr}`);
  // Formatted under another file name, because biome ignores types.ts.
  const args = ['format', '--stdin-file-path=shared/src/database/generated-types.ts'];
  const formatted = await run(bin('biome'), args, { input: typesHeading + made.stdout });
  if (formatted.code !== 0) throw new Error(`formatting the types failed: ${formatted.stderr}`);
  return formatted.stdout;
}

interface Released {
  release: string | null;
  migrations: Record<string, string>;
}

const released = async (): Promise<Released> =>
  JSON.parse(await readFile(path.join(supabaseDir, 'released.json'), 'utf8')) as Released;

/** The generated files that are committed. After the first release, migrations are written by hand. */
async function derivedFiles(): Promise<Array<[file: string, make: (workshop: Workshop) => Promise<string>]>> {
  const types: [string, typeof typesOf] = ['shared/src/database/types.ts', typesOf];
  if ((await released()).release !== null) return [types];
  return [[`supabase/migrations/${firstMigration}`, async () => joinedSchemas()], types];
}

/** The first line that differs between two texts. */
function difference(committed: string, made: string): string {
  const [old, now] = [committed.split('\n'), made.split('\n')];
  const at = now.findIndex((line, i) => line !== old[i]);
  const line = at < 0 ? now.length : at;
  return `line ${line + 1}:\n  committed: ${old[line] ?? '(end)'}\n  generated: ${now[line] ?? '(end)'}`;
}

/** Compares source and migrations in both directions, because a diff can miss what only one side has. */
async function sameDatabases({ migrated, declared, dir }: WorkshopOfTwo): Promise<string | undefined> {
  const missing = await databaseDiff(migrated.dbUrl, declared.dbUrl, dir);
  if (missing !== '') return `supabase/migrations lack something that supabase/schemas declare:\n${missing}`;
  const extra = await databaseDiff(declared.dbUrl, migrated.dbUrl, dir);
  if (extra !== '') return `supabase/migrations make something that supabase/schemas do not declare:\n${extra}`;
  return undefined;
}

async function styleOfSql(): Promise<string | undefined> {
  const complaints = styleComplaints();
  return complaints.length === 0 ? undefined : complaints.join('\n');
}

interface Advice {
  name: string;
  level: string;
  detail: string;
  metadata?: { schema?: string; name?: string };
}

/** Supabase's lints (Splinter). Of the hints only missing indexes on foreign keys count; the others need real usage. */
async function advisors({ migrated, dir }: WorkshopOfTwo): Promise<string | undefined> {
  const args = ['db', 'advisors', `--remote=${migrated.dbUrl}`, '--level=info', '--output-format=json'];
  const { code, stdout, stderr } = await run(bin('supabase'), args, { cwd: dir });
  if (code !== 0) return `supabase db advisors failed (${code}): ${stderr}`;
  const parsed = await parsedFunctions(migrated);
  const found = adviceIn(stdout).filter(
    ({ level, name, metadata }) =>
      (level !== 'INFO' || name === 'unindexed_foreign_keys') &&
      !(name === 'function_search_path_mutable' && parsed.has(`${metadata?.schema}.${metadata?.name}`)),
  );
  return found.length === 0 ? undefined : found.map(({ name, detail }) => `${name}: ${detail}`).join('\n');
}

async function withClient<T>(dbUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: dbUrl });
  await client.connect();
  return work(client).finally(() => client.end());
}

/** Functions whose body was parsed when they were created, so that no search path can change their meaning. */
async function parsedFunctions({ dbUrl }: Supabase): Promise<Set<string>> {
  const query = `select n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.prosqlbody is not null`;
  return new Set((await withClient(dbUrl, (client) => client.query(query))).rows.map(({ name }) => name as string));
}

function adviceIn(output: string): Advice[] {
  const answer = JSON.parse(output);
  const list = Array.isArray(answer) ? answer : (answer.data?.results ?? answer.results ?? answer.data);
  if (!Array.isArray(list))
    throw new Error(`supabase db advisors printed something unexpected: ${output.slice(0, 200)}`);
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
    return `${file} differs from supabase/schemas; run npm run generate:database. ${difference(committed, made)}`;
  };

/**
 * Runs all checks and prints what is wrong.
 * @returns how many checks passed and failed; a check that could not be run counts as failed
 */
export async function checkDatabase(): Promise<{ passed: number; failed: number }> {
  const derived = await derivedFiles();
  const checks: Array<[name: string, check: (workshop: WorkshopOfTwo) => Promise<string | undefined>]> = [
    ...derived.map(([file, make]): [string, ReturnType<typeof checkDerived>] => [file, checkDerived(file, make)]),
    ['supabase db diff, both ways', sameDatabases],
    ['style of SQL', styleOfSql],
    ['supabase db advisors', advisors],
    ['squawk', squawk],
  ];
  const count = { passed: 0, failed: 0 };
  await withBoth(async (workshop) => {
    for (const [name, check] of checks) {
      const complaint = await check(workshop).catch((error: Error) => error.message);
      count[complaint === undefined ? 'passed' : 'failed'] += 1;
      process.stdout.write(complaint === undefined ? `ok   ${name}\n` : `FAIL ${name}\n${complaint}\n`);
    }
  });
  return count;
}

/** Writes the derived files. */
export function generateDatabase(): Promise<void> {
  return withDeclared(async (workshop) => {
    for (const [file, make] of await derivedFiles()) {
      await writeFile(path.join(root, file), await make(workshop));
      process.stdout.write(`wrote ${file}\n`);
    }
  });
}

/** Records the migrations as released. From then on they are frozen, and later migrations are applied on top of them. */
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
