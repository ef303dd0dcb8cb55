import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './command.ts';
import { schemaFiles, supabaseDir } from './schemas.ts';

/**
 * Finds functions of the database that nobody calls, and grants to servers that nobody uses.
 *
 * It compares names as text. A function of schema `public` that a server may execute must be named in quotes in
 * the code of a server (the name in `callFunction`). Every other function must be named in the SQL outside its
 * own definition: by another function, a trigger, a policy or a column.
 */
const servers = new Set(['orchestrator', 'session_worker']);

/** The product's code that calls the database, without tests. */
export function callingCode(): string {
  const files = globSync(['orchestrator/**/*.ts', 'session-worker/**/*.ts', 'supabase/functions/**/*.ts'], {
    cwd: root,
    exclude: ['**/node_modules/**', '**/*.test.ts'],
  });
  return files.map((file) => readFileSync(path.join(root, file), 'utf8')).join('\n');
}

/** The source of the database as one text. */
export const declaredSql = (): string =>
  schemaFiles()
    .map((file) => readFileSync(path.join(supabaseDir, file), 'utf8'))
    .join('\n');

/** Statements that name a function without calling it. */
const naming = /^(comment on|grant [^;]*? on|revoke [^;]*? on) function [^;]*;|create (or replace )?function [\w.]+/gm;

function rolesOf(sql: string, name: string): string[] {
  const grants = sql.matchAll(new RegExp(`^grant execute on function ${name}\\([^)]*\\)\\s+to ([^;]+);`, 'gm'));
  return [...grants].flatMap(([, roles]) => (roles as string).split(',').map((role) => role.trim()));
}

/**
 * @param sql the source of the database
 * @param code the code of the servers
 * @returns one sentence for each function that nobody calls
 */
export function uncalledFunctions(sql: string, code: string): string[] {
  const calls = sql.replace(naming, '');
  const names = new Set(
    [...sql.matchAll(/create (?:or replace )?function ((?:public|app)\.\w+)/g)].map(([, name]) => name as string),
  );
  const complaints = [...names].flatMap((name) => {
    const [schema, bare] = name.split('.') as [string, string];
    const inSql = new RegExp(`\\b${name.replace('.', '\\.')}\\b`).test(calls);
    const inCode = new RegExp(`['"\`]${bare}['"\`]`).test(code);
    const granted = schema === 'public' && rolesOf(sql, name).some((role) => servers.has(role));
    if (!inSql && !inCode) return [`${name} is called by nobody: remove it`];
    // Policies run with the rights of the caller, so a function that only SQL calls may need a grant to `authenticated`.
    return granted && !inCode && !rolesOf(sql, name).includes('authenticated')
      ? [`${name} is called by SQL only: revoke it from the servers`]
      : [];
  });
  return complaints.sort();
}
