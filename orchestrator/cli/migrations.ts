import { readdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { CliError } from './console.ts';

/**
 * Applies the migrations of this release to a Supabase project, the way the Supabase CLI records them.
 *
 * - A file and its record in `supabase_migrations.schema_migrations` are one transaction: a failed file leaves nothing behind.
 * - One migration at a time: an advisory lock makes a second one wait.
 * - Nothing is applied to a database whose state the records do not explain. The error names what was found and what to do.
 */
export interface Migration {
  version: string;
  name: string;
  sql: string;
}

export interface MigrationPlan {
  recorded: string[];
  pending: Migration[];
}

const lockLimitMs = 60_000;
const connectLimitMs = 10_000;
const history = `
  create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key, statements text[], name text);
`;

/** @param dir folder of `<version>_<name>.sql` */
export function readMigrations(dir: string): Migration[] {
  const files = readdirSync(dir).sort();
  return files.flatMap((file) => {
    const [, version, name] = /^(\d+)_(.*)\.sql$/.exec(file) ?? [];
    if (version === undefined || name === undefined) return [];
    return [{ version, name, sql: readFileSync(path.join(dir, file), 'utf8') }];
  });
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** TLS to every host except this machine. The certificate is verified if its authority is given. */
function connectionOptions(url: string, ca: string | undefined): pg.ClientConfig {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new CliError(
      'configuration',
      'database_url',
      'SUPABASE_DB_URL is not a URL: postgresql://postgres:…@host:5432/postgres',
    );
  }
  const ssl = isLoopback(parsed.hostname) ? false : { rejectUnauthorized: ca !== undefined, ...(ca ? { ca } : {}) };
  parsed.searchParams.delete('sslmode');
  return {
    connectionString: parsed.href,
    ssl,
    connectionTimeoutMillis: connectLimitMs,
    application_name: 'greenroom migrate',
  };
}

/** Turns a failed connection into an error that says what to do. */
function connectionError(error: unknown): CliError {
  const { code = '', message } = error as { code?: string; message: string };
  if (code === '28P01' || code === '28000')
    return new CliError(
      'notAllowed',
      'database_password',
      'The database refuses the user or password of SUPABASE_DB_URL.',
      { cause: error },
    );
  if (code === '3D000')
    return new CliError('configuration', 'database_name', 'SUPABASE_DB_URL names a database that does not exist.', {
      cause: error,
    });
  const why = code === '' ? message : code;
  return new CliError('away', 'database_away', `The database of SUPABASE_DB_URL does not answer (${why}).`, {
    cause: error,
  });
}

/** Runs `work` on a connection as the role that owns the tables. */
export async function withDatabase<T>(
  url: string,
  ca: string | undefined,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client(connectionOptions(url, ca));
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw connectionError(error);
  }
  return work(client).finally(() => client.end());
}

/** Tables and schemas that a migration creates. */
const createdBy = (sql: string): string[] =>
  [...sql.matchAll(/^create (table|schema)\s+(?:if not exists\s+)?([a-z_]+(?:\.[a-z_]+)?)/gim)].map(([, kind, name]) =>
    kind?.toLowerCase() === 'schema' || name?.includes('.') ? `${name}` : `public.${name}`,
  );

const present = `select name from unnest($1::text[]) as name
  where case when position('.' in name) > 0 then to_regclass(name) is not null
             else exists (select from pg_namespace where nspname = name) end`;

/** Refuses a database that contains tables of a migration that is not recorded. */
async function refuseHalfApplied(client: pg.Client, { version, name, sql }: Migration): Promise<void> {
  const expected = createdBy(sql);
  const found = (await client.query(present, [expected])).rows.map((row) => row.name as string);
  if (found.length === 0) return;
  const what = `${version}_${name}`;
  if (found.length === expected.length)
    throw new CliError(
      'inconsistent',
      'not_recorded',
      `All ${expected.length} tables and schemas of migration ${what} exist, but it is not recorded as applied. If the database was restored or made by hand, record it: supabase migration repair --status applied ${version} --remote="$SUPABASE_DB_URL"`,
    );
  const missing = expected.filter((one) => !found.includes(one));
  throw new CliError(
    'inconsistent',
    'half_applied',
    `Migration ${what} is half applied: ${found.length} of its ${expected.length} tables and schemas exist (${found.slice(0, 3).join(', ')}, …), ${missing.slice(0, 3).join(', ')} … do not. Nothing was changed. Restore the database from before it, or drop what exists, then run greenroom migrate again.`,
  );
}

/** Refuses a database that is newer than this release. */
function refuseUnknown(recorded: string[], migrations: Migration[]): void {
  const unknown = recorded.filter((version) => !migrations.some((migration) => migration.version === version));
  if (unknown.length === 0) return;
  throw new CliError(
    'inconsistent',
    'database_ahead',
    `The database records migrations that this release does not have: ${unknown.join(', ')}. Deploy the release that made them, or a newer one.`,
  );
}

const rolesNeeded = `select rolcreaterole as ok, current_user as name from pg_roles where rolname = current_user`;

/** The migrations still to apply. Throws if the records do not explain the state of the database. */
export async function planMigrations(client: pg.Client, migrations: Migration[]): Promise<MigrationPlan> {
  const [who] = (await client.query(rolesNeeded)).rows as Array<{ ok: boolean; name: string }>;
  if (!who?.ok)
    throw new CliError(
      'notAllowed',
      'database_role',
      `Role ${who?.name} may not create roles. SUPABASE_DB_URL must be that of role postgres.`,
    );
  const [kept] = (
    await client.query("select to_regclass('supabase_migrations.schema_migrations') is not null as there")
  ).rows;
  const recorded = kept.there
    ? (await client.query('select version from supabase_migrations.schema_migrations order by version')).rows.map(
        (row) => row.version as string,
      )
    : [];
  refuseUnknown(recorded, migrations);
  const pending = migrations.filter(({ version }) => !recorded.includes(version));
  for (const migration of pending) await refuseHalfApplied(client, migration);
  return { recorded, pending };
}

/** The database's error message with the line of the file that caused it. */
function sqlFailure({ version, name, sql }: Migration, error: unknown): CliError {
  const { message, detail, hint, position, code } = error as pg.DatabaseError;
  const line = position ? ` line ${sql.slice(0, Number(position) - 1).split('\n').length}` : '';
  const more = [detail, hint].filter(Boolean).join(' ');
  const advice = code === '55P03' ? ' Another session holds a lock: try again when fewer interviews run.' : '';
  return new CliError(
    'failed',
    'migration_failed',
    `Migration ${version}_${name}${line}: ${message}.${more ? ` ${more}` : ''}${advice} It was rolled back as a whole; earlier migrations stay applied.`,
    { cause: error },
  );
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  const { version, name, sql } = migration;
  await client.query('begin');
  try {
    await client.query("set local lock_timeout = '10s'");
    await client.query(sql);
    await client.query(
      'insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)',
      [version, name, [sql]],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw sqlFailure(migration, error);
  }
}

/**
 * Applies what is missing.
 * @param onApplied called after each file that was applied
 * @returns the versions applied now
 */
export async function applyPending(
  client: pg.Client,
  migrations: Migration[],
  onApplied: (migration: Migration) => void,
): Promise<string[]> {
  await client.query(`set lock_timeout = '${lockLimitMs}'`);
  await client.query("select pg_advisory_lock(hashtextextended('greenroom migrate', 0))").catch((error: unknown) => {
    throw new CliError(
      'timedOut',
      'migrating_elsewhere',
      'Another migration has been running for a minute. Wait for it, then try again.',
      { cause: error },
    );
  });
  const { pending } = await planMigrations(client, migrations);
  await client.query(history);
  for (const migration of pending) {
    await apply(client, migration);
    onApplied(migration);
  }
  await client.query("notify pgrst, 'reload schema'");
  return pending.map(({ version }) => version);
}
