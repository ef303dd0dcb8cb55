import type pg from 'pg';
import { type Check, fail, ok } from './check.ts';
import { lookInside, migrationsOf, notLooked } from './migrations.ts';

/**
 * Whether somebody has changed the database by hand: the functions' bodies, the tables and their row level security are compared
 * with the migrations of this release. What the release does not have is not looked at.
 */
const functionStart = /create (?:or replace )?function /i;
const tablePattern = /create table (?:if not exists )?((?:[a-z_]+\.)?[a-z_]+)\s*\(/gi;

const qualified = (name: string): string => (name.includes('.') ? name : `public.${name}`);

/** The functions with their bodies and the tables that a text of SQL creates; a later definition replaces an earlier one. */
export function definedBy(sql: string) {
  const functions = new Map<string, Set<string>>();
  for (const text of sql.split(functionStart).slice(1)) {
    const name = /^([a-z_]+\.[a-z_]+)\(/i.exec(text)?.[1];
    const [begin = '', quote = ''] = /\bas (\$[a-z]*\$)/i.exec(text) ?? [];
    const body = text.slice(text.indexOf(begin) + begin.length).split(quote)[0];
    if (name !== undefined && quote !== '')
      functions.set(name, (functions.get(name) ?? new Set()).add((body ?? '').trim()));
  }
  const tables = [...sql.matchAll(tablePattern)].map(([, name = '']) => qualified(name));
  return { functions, tables };
}

const bodies = `select n.nspname || '.' || p.proname as name, p.prosrc as body from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'app') and p.prolang <> 12`;
const secured = `select n.nspname || '.' || c.relname as name, c.relrowsecurity as secured from pg_class c
  join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname in ('public', 'app')`;

async function differences(client: pg.Client, sql: string): Promise<string[]> {
  const { functions, tables } = definedBy(sql);
  const there = new Map<string, string[]>();
  for (const { name, body } of (await client.query(bodies)).rows as Array<{ name: string; body: string }>)
    there.set(name, [...(there.get(name) ?? []), body.trim()]);
  const security = new Map(
    ((await client.query(secured)).rows as Array<{ name: string; secured: boolean }>).map((row) => [
      row.name,
      row.secured,
    ]),
  );
  const ofFunctions = [...functions].flatMap(([name, expected]) => {
    const found = there.get(name);
    if (found === undefined) return [`function ${name} is missing`];
    return found.some((body) => !expected.has(body)) ? [`function ${name} was changed`] : [];
  });
  const ofTables = tables.flatMap((name) => {
    if (!security.has(name)) return [`table ${name} is missing`];
    return security.get(name) ? [] : [`table ${name} has no row level security`];
  });
  return [...ofFunctions, ...ofTables];
}

export const databaseDrift: Check = {
  id: 'database-drift',
  means: 'The database no longer guarantees what it promises: one tenant may read another, or sessions may hang.',
  run: async (context) => {
    const sql = migrationsOf(context)
      .map((migration) => migration.sql)
      .join('\n');
    const looked = lookInside(context, (client) => differences(client, sql));
    if (looked === undefined) return notLooked;
    const found = await looked;
    if (found.length === 0) return ok('Functions, tables and row level security are those of this release.');
    const more = found.length > 5 ? `, and ${found.length - 5} more` : '';
    return fail(
      `${found.slice(0, 5).join(', ')}${more}.`,
      'See the differences: supabase db diff --db-url "$SUPABASE_DB_URL". Undo them, or restore the database.',
    );
  },
};
