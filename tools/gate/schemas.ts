import { copyFileSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * The source of the database: the files that `schema_paths` in supabase/config.toml names, in that order.
 *
 * The files of a glob are sorted by name, and a file that an earlier entry named is not read again. The
 * Supabase CLI reads the setting in the same way.
 */
export const supabaseDir = path.resolve(import.meta.dirname, '../../supabase');
export const migrationsDir = path.join(supabaseDir, 'migrations');

/** Name of the only migration until a release is tagged. */
export const firstMigration = '20261121090000_schema.sql';

/** Widest line of SQL that a person reads. */
export const maxColumns = 120;

function schemaPaths(): string[] {
  const config = readFileSync(path.join(supabaseDir, 'config.toml'), 'utf8');
  const list = /^schema_paths = \[([^\]]*)\]/m.exec(config)?.[1];
  if (list === undefined) throw new Error('supabase/config.toml: schema_paths is missing');
  return [...list.matchAll(/"([^"]+)"/g)].map(([, glob]) => glob as string);
}

/** Files of the source in order, relative to supabase/. Throws if an entry of schema_paths matches no file. */
export function schemaFiles(): string[] {
  const named = schemaPaths().flatMap((glob) => {
    const found = globSync(glob, { cwd: supabaseDir }).sort();
    if (found.length === 0) throw new Error(`supabase/config.toml: no file matches ${glob} in schema_paths`);
    return found.map((file) => path.normalize(file));
  });
  return [...new Set(named)];
}

const heading = `-- Generated from supabase/schemas by \`npm run generate:database\`: edit the files there.
`;

/** The files of the source as one migration. */
export function joinedSchemas(): string {
  const parts = schemaFiles().map((file) => {
    const text = readFileSync(path.join(supabaseDir, file), 'utf8').trim();
    return `-- ── ${file} ──\n${text}\n`;
  });
  return [heading, ...parts].join('\n');
}

/** Copies the files of the source into a folder of migrations, one migration per file. */
export function writeSchemasAsMigrations(dir: string): void {
  for (const [index, file] of schemaFiles().entries()) {
    const name = `${String(index + 1).padStart(4, '0')}_${file.replaceAll('/', '_')}`;
    copyFileSync(path.join(supabaseDir, file), path.join(dir, name));
  }
}

/** Finds a rank compared with a number. A number has no meaning to a reader, and there are two scales to mix up. */
const bareRank = /rank(_of\([^()]*\))?\s*(<|>|=|<=|>=|<>|(not )?between)\s*\d/;

function complaintsOf(line: string): string[] {
  const columns = [...line].length;
  return [
    ...(columns > maxColumns ? [`${columns} columns, more than ${maxColumns}`] : []),
    ...(bareRank.test(line) ? [`compare a rank by name: app.rank_of('finalizing'), app.life_rank_of('claimed')`] : []),
  ];
}

/** Style errors in the source and the seed, each as `file:line: …`. */
export function styleComplaints(files: string[] = [...schemaFiles(), 'seed.sql']): string[] {
  return files.flatMap((file) =>
    readFileSync(path.join(supabaseDir, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => complaintsOf(line).map((complaint) => `supabase/${file}:${index + 1}: ${complaint}`)),
  );
}
