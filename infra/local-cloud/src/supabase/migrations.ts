import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';

/**
 * Applies `<version>_<name>.sql` files in order, as role postgres, the way the Supabase CLI does.
 *
 * - Each file and its record in `supabase_migrations.schema_migrations` are one transaction.
 * - A recorded version is not applied again.
 * - At the end PostgREST is notified to reload the schema.
 */
export interface AppliedMigration {
  version: string;
  name: string;
}

const history = `
  create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key, statements text[], name text);
`;

interface MigrationFile extends AppliedMigration {
  file: string;
}

async function migrationFiles(dir: string): Promise<MigrationFile[]> {
  const names = (await readdir(dir)).sort();
  return names.flatMap((fileName) => {
    const [, version, name] = /^(\d+)_(.*)\.sql$/.exec(fileName) ?? [];
    return version !== undefined && name !== undefined ? [{ version, name, file: path.join(dir, fileName) }] : [];
  });
}

/** The database's error, with the file that caused it, and its line where Postgres says where in the text it is. */
export function sqlError(file: string, text: string, error: unknown): Error {
  const { message, detail, hint, position } = error as pg.DatabaseError;
  const line = position ? `:${text.slice(0, Number(position) - 1).split('\n').length}` : '';
  const more = [detail && `Detail: ${detail}`, hint && `Hint: ${hint}`].filter(Boolean).join(' ');
  return new Error(`${file}${line}: ${message}${more ? ` (${more})` : ''}`, { cause: error });
}

async function apply(client: pg.Client, { version, name, file }: MigrationFile): Promise<void> {
  const text = await readFile(file, 'utf8');
  await client.query('begin');
  try {
    await client.query(text).catch((error) => {
      throw sqlError(file, text, error);
    });
    await client.query(
      'insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)',
      [version, name, [text]],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/**
 * Applies the missing migrations and returns them.
 * @param dbUrl connection string of role postgres
 * Throws an error that names file and line; earlier files stay applied.
 */
export async function applyMigrations(dbUrl: string, dir: string): Promise<AppliedMigration[]> {
  const files = await migrationFiles(dir);
  const client = new pg.Client({ connectionString: dbUrl });
  await client.connect();
  try {
    await client.query(history);
    const { rows } = await client.query('select version from supabase_migrations.schema_migrations');
    const done = new Set(rows.map((row) => row.version as string));
    const missing = files.filter(({ version }) => !done.has(version));
    for (const file of missing) await apply(client, file);
    await client.query("notify pgrst, 'reload schema'");
    return missing.map(({ version, name }) => ({ version, name }));
  } finally {
    await client.end();
  }
}
