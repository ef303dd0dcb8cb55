import { installPgtap, parseTap } from '@greenroom/local-cloud/supabase/testing.ts';
import type { SupabaseClient } from '@supabase/supabase-js';
import pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  actors,
  allCases,
  type Case,
  claims,
  columnCases,
  coveredTables,
  functionCases,
  verbs,
} from './cases.ts';
import { rolledBack, useProject } from './support/project.ts';
import { createWorld, idOf, insertRow, type Row, targetsOf } from './support/world.ts';

/** Runs the table in `cases.ts` twice: in SQL with pgTAP, and through supabase-js with real tokens. */
const project = useProject();
const clients = new Map<Actor, SupabaseClient>();
beforeAll(async () => {
  const { supabase, owner, as, withKey } = project();
  await installPgtap(supabase.adminDbUrl);
  await createWorld(owner);
  for (const actor of actors) clients.set(actor, await as(claims[actor]));
  clients.set('anon', withKey(supabase.publishableKey));
  clients.set('service', withKey(supabase.secretKey));
});

/** All cases, about 2,000. */
const cases = allCases();

// ── as SQL ───────────────────────────────────────────────────────────────────────────────────────────────────────
const { escapeIdentifier, escapeLiteral } = pg;
const quoted = (value: unknown): string =>
  escapeLiteral(typeof value === 'object' ? JSON.stringify(value) : String(value));
const pairs = (row: Row, glue: string): string =>
  Object.entries(row)
    .map(([column, value]) => `${escapeIdentifier(column)} = ${quoted(value)}`)
    .join(glue);
const columns = (row: Row): string => Object.keys(row).map(escapeIdentifier).join(', ');

function statementOf({ table, verb, target: { key, patch, fresh } }: Pick<Case, 'table' | 'verb' | 'target'>): string {
  const name = `public.${table}`;
  if (verb === 'read') return `select ${columns(key)} from ${name} where ${pairs(key, ' and ')}`;
  if (verb === 'create')
    return `insert into ${name} (${columns(fresh)}) values (${Object.values(fresh).map(quoted).join(', ')})`;
  if (verb === 'update') return `update ${name} set ${pairs(patch, ', ')} where ${pairs(key, ' and ')}`;
  return `delete from ${name} where ${pairs(key, ' and ')}`;
}

/** Runs a statement as a role and rolls it back. Returns the number of rows or the SQLSTATE. */
const attempt = `
create function pg_temp.attempt(p_role text, p_claims text, p_sql text) returns text language plpgsql as $$
declare
  n integer;
begin
  perform set_config('request.jwt.claims', p_claims, true);
  execute format('set local role %I', p_role);
  execute p_sql;
  get diagnostics n = row_count;
  raise exception using errcode = 'UNDOX', message = n;
exception
  when sqlstate 'UNDOX' then return sqlerrm;
  when others then return sqlstate;
end $$`;

/** A refused insert must be forbidden; another refused statement may also find no row. */
const expected = ({ allowed, verb }: Case): string => (allowed ? '^1$' : verb === 'create' ? '^42501$' : '^(0|42501)$');

async function failuresInSql(all: Case[]): Promise<string[]> {
  return rolledBack(project().admin, async (client) => {
    await client.query('set local search_path = public, extensions');
    await client.query(attempt);
    const rows = all.map((one) => ({
      role: claims[one.actor].role,
      claims: JSON.stringify(claims[one.actor]),
      sql: statementOf(one),
      expected: expected(one),
      name: one.name,
    }));
    const plan = await client.query('select plan($1) as line', [rows.length]);
    const lines = await client.query(
      'select matches(pg_temp.attempt(x.role, x.claims, x.sql), x.expected, x.name) as line from jsonb_to_recordset($1) as x (role text, claims text, sql text, expected text, name text)',
      [JSON.stringify(rows)],
    );
    const result = parseTap([...plan.rows, ...lines.rows].map(({ line }) => line));
    expect(result.assertions).toHaveLength(rows.length);
    return result.assertions
      .filter(({ ok }) => !ok)
      .map(({ name, diagnostics }) => `${name}: ${diagnostics.join(' ')}`);
  });
}

describe('in SQL', () => {
  test.each(coveredTables)('SQL gives exactly the rights in the table of cases: %s', async (table) => {
    expect(await failuresInSql(cases.filter((one) => one.table === table))).toEqual([]);
  });

  test('control: each statement works for the owner of the tables, so a refusal means missing rights', async () => {
    const outcomes = await rolledBack(project().admin, async (client) => {
      await client.query(attempt);
      const statements = Object.entries(targetsOf('own'))
        .filter(([table]) => table !== 'interview_transcripts')
        .flatMap(([table, target]) =>
          verbs.map((verb) => ({ table, verb, sql: statementOf({ table, verb, target }) })),
        );
      const tried = [];
      for (const { table, verb, sql } of statements) {
        const { rows } = await client.query("select pg_temp.attempt('postgres', '{}', $1) as outcome", [sql]);
        tried.push(`${verb} ${table}: ${rows[0].outcome}`);
      }
      return tried;
    });
    // 23503: other rows reference this row.
    expect(outcomes.filter((outcome) => !/: 1$|^delete .*: 23503$/.test(outcome))).toEqual([]);
  });

  test('control: the test detects a case that grants too little or too much', async () => {
    const wrong = cases.filter(({ table }) => table === 'positions').map((one) => ({ ...one, allowed: !one.allowed }));
    expect(await failuresInSql(wrong)).toHaveLength(wrong.length);
  });
});

// ── through supabase-js ──────────────────────────────────────────────────────────────────────────────────────────
async function fingerprint(table: string): Promise<string> {
  const { rows } = await project().owner.query(
    `select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as print from public.${table} t`,
  );
  return rows[0].print;
}

async function send({ actor, table, verb, target: { key, patch, fresh } }: Case): Promise<string> {
  const from = clients.get(actor)!.from(table);
  const shown = Object.keys(key).join(', ');
  const { data, error } =
    verb === 'read'
      ? await from.select(shown).match(key)
      : verb === 'create'
        ? await from.insert(fresh).select(shown)
        : verb === 'update'
          ? await from.update(patch).match(key).select(shown)
          : await from.delete().match(key).select(shown);
  return error ? error.code : String(data.length);
}

/** Reverts the change of an allowed write. */
async function restore({ table, verb, target: { key, row, fresh } }: Case): Promise<void> {
  const { owner } = project();
  await owner
    .query(`delete from public.${table} where ${pairs(verb === 'create' ? fresh : key, ' and ')}`)
    .catch(() => owner.query(`update public.${table} set ${pairs(row, ', ')} where ${pairs(key, ' and ')}`));
  const { rowCount } = await owner.query(`select from public.${table} where ${pairs(key, ' and ')}`);
  if (rowCount === 0) await insertRow(owner, table, row);
}

async function failuresThroughClient(all: Case[]): Promise<string[]> {
  const failures: string[] = [];
  let before = await fingerprint(all[0]!.table);
  for (const one of all) {
    const outcome = await send(one);
    if (!new RegExp(expected(one)).test(outcome)) failures.push(`${one.name}: ${outcome}`);
    if (one.verb === 'read') continue;
    const changed = (await fingerprint(one.table)) !== before;
    if (changed !== one.allowed) failures.push(`${one.name}: rows ${changed ? 'changed' : 'did not change'}`);
    if (!changed) continue;
    await restore(one);
    before = await fingerprint(one.table);
  }
  return failures;
}

describe('through supabase-js', () => {
  test.each(coveredTables)(
    'supabase-js gives exactly the rights in the table of cases, and refused rows stay unchanged: %s',
    async (table) => {
      expect(await failuresThroughClient(cases.filter((one) => one.table === table))).toEqual([]);
    },
  );
});

// ── what the table cannot say ────────────────────────────────────────────────────────────────────────────────────
async function tryColumn([actor, verb, table, column]: (typeof columnCases)[number]): Promise<string> {
  const { key, row, fresh } = targetsOf('own')[table]!;
  const samples: Row = { id: idOf('chosen'), candidate_id: idOf('chosen'), created_at: 'now', erased_at: 'now' };
  const value = samples[column] ?? row[column] ?? 'x';
  const statement =
    verb === 'read'
      ? `select ${column} from public.${table} where ${pairs(key, ' and ')}`
      : verb === 'update'
        ? `update public.${table} set ${pairs({ [column]: value }, '')} where ${pairs(key, ' and ')}`
        : statementOf({ table, verb: 'create', target: { key, row, patch: {}, fresh: { ...fresh, [column]: value } } });
  return rolledBack(project().admin, async (client) => {
    await client.query(attempt);
    const { rows } = await client.query('select pg_temp.attempt($1, $2, $3) as outcome', [
      claims[actor].role,
      JSON.stringify(claims[actor]),
      statement,
    ]);
    return rows[0].outcome;
  });
}

test.each(columnCases)('column rights match the table of cases: %s %s %s.%s: %s', async (...one) => {
  expect(await tryColumn(one)).toBe(one[4] ? '1' : '42501');
});

test('the table of cases lists every table and view of schema public and nothing else', async () => {
  const { rows } = await project().owner.query(
    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p') order by relname",
  );
  expect(rows.map(({ relname }) => relname)).toEqual([...coveredTables].sort());
});

test('every function of schema public has exactly the callers in the table of cases, and anon has none', async () => {
  const { rows } = await project().owner.query(`
    select p.proname as name, array_agg(r.rolname::text order by r.rolname) filter (where has_function_privilege(r.oid, p.oid, 'execute')) as callers
    from pg_proc p cross join pg_roles r
    where p.pronamespace = 'public'::regnamespace and r.rolname in ('anon', 'authenticated', 'orchestrator', 'service_role', 'session_worker')
    group by p.oid order by 1`);
  const wrong = rows.filter(({ name, callers }) => {
    const allowed = functionCases[name as keyof typeof functionCases] ?? ['orchestrator'];
    return JSON.stringify(callers ?? []) !== JSON.stringify(allowed);
  });
  expect(wrong).toEqual([]);
});

test('only the owner may call helpers of schema app, except those that policies and defaults need', async () => {
  const { rows } = await project().owner.query(`
    select distinct p.proname as name from pg_proc p cross join pg_roles r
    where p.pronamespace = 'app'::regnamespace and has_function_privilege(r.oid, p.oid, 'execute')
      and r.rolname in ('anon', 'authenticated', 'orchestrator', 'service_role', 'session_worker') order by 1`);
  expect(rows.map(({ name }) => name)).toEqual([
    'claims',
    'conversation_order',
    'event_audience',
    'folded',
    'follow_links',
    'is_email',
    'is_name',
    'life_rank_of',
    'my_tenants',
    'new_candidate',
    'rank_of',
    'worker_serves',
    'worker_session',
  ]);
});

test('two tenants that know the same person each see only their own candidate', async () => {
  const { owner, as } = project();
  await insertRow(owner, 'tenant_candidates', {
    tenant_id: idOf('tenant-b'),
    candidate_id: idOf('candidate tenant-a'),
    name: 'Countess',
    email: 'countess@example.org',
  });
  for (const [tenant, name] of [
    ['tenant-a', 'Ada'],
    ['tenant-b', 'Countess'],
  ] as const) {
    const member = await as({ role: 'authenticated', sub: idOf(`member of ${tenant}`) });
    const { data } = await member
      .from('tenant_candidates')
      .select('tenant_id, name')
      .eq('candidate_id', idOf('candidate tenant-a'));
    expect(data).toEqual([{ tenant_id: idOf(tenant), name }]);
  }
});

test('changes that an admin makes directly to memberships are audited', async () => {
  const { owner } = project();
  const admin = clients.get('admin')!;
  const row = { tenant_id: idOf('tenant-a'), user_id: idOf('outsider'), role: 'viewer' };
  expect((await admin.from('tenant_users').insert(row)).error).toBeNull();
  expect((await admin.from('tenant_users').delete().eq('user_id', row.user_id)).error).toBeNull();
  const { rows } = await owner.query('select actor, action from public.audit_log where target = $1 order by id', [
    row.user_id,
  ]);
  const actor = `user:${idOf('admin of tenant-a')}`;
  expect(rows).toEqual([
    { actor, action: 'member.put' },
    { actor, action: 'member.remove' },
  ]);
});
