import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { databaseDiff } from '../../tools/gate/command.ts';
import { styleComplaints, writeSchemasAsMigrations } from '../../tools/gate/schemas.ts';
import { migrationsDir, type Project, startProject } from './support/project.ts';

/** The whole schema: commented, closed by default, and the same from source and from migrations. */
let project: Project;
beforeAll(async () => {
  project = await startProject();
});
afterAll(() => project?.stop());

const list = async (query: string): Promise<string[]> =>
  (await project.owner.query(query)).rows.map((row) => Object.values(row).join('.'));

describe('comments in the schema', () => {
  test('every table and view has a comment', async () => {
    expect(
      await list(`select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
        and obj_description(c.oid, 'pg_class') is null`),
    ).toEqual([]);
  });

  test('every column of a table has a comment, except columns that every table has', async () => {
    expect(
      await list(`select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname not in ('id', 'tenant_id', 'created_at', 'updated_at')
          and col_description(c.oid, a.attnum) is null order by 1, 2`),
    ).toEqual([]);
  });

  test('every function has a comment', async () => {
    expect(
      await list(`select p.oid::regprocedure from pg_proc p where pronamespace in ('public'::regnamespace, 'app'::regnamespace)
        and obj_description(p.oid, 'pg_proc') is null`),
    ).toEqual([]);
  });
});

describe('rights in the schema', () => {
  test('every table has RLS, and every view reads with the rights of its caller', async () => {
    expect(
      await list(`select relname from pg_class where relnamespace = 'public'::regnamespace and
        (relkind in ('r', 'p') and not relrowsecurity or relkind = 'v' and not coalesce(reloptions, '{}') @> '{security_invoker=true}')`),
    ).toEqual([]);
  });

  test('every policy applies to one operation and one role', async () => {
    expect(
      await list(
        "select tablename, policyname from pg_policies where schemaname = 'public' and (cmd = 'ALL' or cardinality(roles) <> 1 or roles @> '{public}')",
      ),
    ).toEqual([]);
  });

  test('every function fixes its search path or was parsed at its definition', async () => {
    expect(
      await list(`select p.oid::regprocedure from pg_proc p where pronamespace in ('public'::regnamespace, 'app'::regnamespace)
        and prosqlbody is null and not coalesce(proconfig, '{}') @> array['search_path=""']`),
    ).toEqual([]);
  });

  test('a table or function of a later migration is closed until the migration grants access', async () => {
    await project.owner.query(
      "create table public.next_one (id int); create function public.next_function() returns int language sql as 'select 1'",
    );
    try {
      const roles = "unnest(array['anon', 'authenticated', 'service_role', 'orchestrator', 'session_worker']) r";
      expect(
        await list(
          `select r from ${roles} where has_table_privilege(r, 'public.next_one', 'select, insert, update, delete')`,
        ),
      ).toEqual([]);
      expect(
        await list(`select r from ${roles} where has_function_privilege(r, 'public.next_function()', 'execute')`),
      ).toEqual([]);
    } finally {
      await project.owner.query('drop table public.next_one; drop function public.next_function()');
    }
  });
});

test('updated_at changes with every update in every table that has it', async () => {
  expect(
    await list(`select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'updated_at'
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        and not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid where t.tgrelid = c.oid and p.proname = 'touch')`),
  ).toEqual([]);
});

test('no function names a table, column or function that does not exist', async () => {
  // The source defines functions before the objects they name. Here all objects exist, so the bodies can be checked.
  const { rows } = await project.owner.query<{ name: string; definition: string }>(
    `select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as definition from pg_proc p
     join pg_language l on l.oid = p.prolang
     where pronamespace in ('public'::regnamespace, 'app'::regnamespace) and l.lanname = 'sql'`,
  );
  expect(rows.length).toBeGreaterThan(50);
  const client = await project.owner.connect();
  try {
    await client.query('begin; set local check_function_bodies = on');
    for (const { name, definition } of rows) {
      await client.query('savepoint before_function');
      const error = await client.query(definition).then(
        () => undefined,
        (reason: Error) => `${name}: ${reason.message}`,
      );
      expect(error).toBeUndefined();
      await client.query('release before_function');
    }
  } finally {
    await client.query('rollback');
    client.release();
  }
});

describe('source and migrations', () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const dir of folders) rmSync(dir, { recursive: true, force: true });
  });

  test('the gate’s comparison reports every kind of difference', async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-schemas-'));
    folders.push(dir);
    writeSchemasAsMigrations(dir);
    const other = await startProject(dir);
    const compare = () => databaseDiff(project.supabase.dbUrl, other.supabase.dbUrl, dir);
    try {
      expect(await compare()).toBe('');
      await other.owner.query(differences.map(([change]) => change).join(';'));
      const diff = (await compare()).replaceAll('"', '');
      expect(differences.filter(([, reported]) => !reported.test(diff)).map(([change]) => change)).toEqual([]);
    } finally {
      await other.stop();
    }
  });

  test('the SQL check names the place of a line that is too wide or compares a rank with a number', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-width-'));
    folders.push(dir);
    const file = path.join(dir, 'wide.sql');
    writeFileSync(
      file,
      `select s.state_rank;\n-- ${'é'.repeat(117)}\n-- ${'é'.repeat(118)}\nwhere m.life_rank >= 40\n`,
    );
    const relative = path.relative(path.join(migrationsDir, '..'), file);
    expect(styleComplaints([relative])).toEqual([
      `supabase/${relative}:3: 121 columns, more than 120`,
      `supabase/${relative}:4: compare a rank by name: app.rank_of('finalizing'), app.life_rank_of('claimed')`,
    ]);
  });
});

/** Changes of a database, and how the comparison reports each. */
const differences: Array<[change: string, reported: RegExp]> = [
  ['alter table public.positions add column x int', /add column x\b/i],
  ["alter table public.positions alter column title set default 'x'", /column title set default 'x'/i],
  ['alter table public.positions drop constraint positions_title_check', /drop constraint positions_title_check/i],
  ['drop index public.positions_newest', /drop index public\.positions_newest/i],
  ['drop trigger touch on public.positions', /drop trigger touch on public\.positions/i],
  ['alter table public.consents disable row level security', /consents\s+disable row level security/i],
  ['drop policy "members add positions" on public.positions', /drop policy members add positions/i],
  ['grant delete on public.positions to authenticated', /grant delete, select on table public\.positions/i],
  ['grant update (tenant_id) on public.positions to authenticated', /update \(tenant_id\) on table public\.positions/i],
  [
    'grant execute on function public.get_tenant(uuid) to authenticated',
    /grant execute on function public\.get_tenant/i,
  ],
  [
    "create or replace function app.worker_session() returns uuid language sql stable set search_path = '' as 'select null::uuid'",
    /function app\.worker_session/i,
  ],
  ["comment on column public.positions.title is 'x'", /comment on column public\.positions\.title is 'x'/i],
  ['drop view public.interview_transcripts', /drop view public\.interview_transcripts/i],
];

const files = readdirSync(migrationsDir)
  .filter((file) => file.endsWith('.sql'))
  .sort();
const released: { release: string | null; migrations: Record<string, string> } = JSON.parse(
  readFileSync(path.join(migrationsDir, '../released.json'), 'utf8'),
);

describe('migrations', () => {
  test('migrations have distinct versions that follow the released ones', () => {
    const versions = files.map((file) => file.split('_')[0]);
    expect(new Set(versions).size).toBe(versions.length);
    expect(files.slice(0, Object.keys(released.migrations).length)).toEqual(Object.keys(released.migrations));
  });

  test('released migrations are never changed', () => {
    const hashOf = (file: string) =>
      createHash('sha256')
        .update(readFileSync(path.join(migrationsDir, file)))
        .digest('hex');
    expect(Object.fromEntries(Object.keys(released.migrations).map((file) => [file, hashOf(file)]))).toEqual(
      released.migrations,
    );
  });
});

test('the seed makes a demo tenant, and running it again changes nothing', async () => {
  const seed = readFileSync(path.join(migrationsDir, '../seed.sql'), 'utf8');
  const state = () =>
    list(`select t.slug, t.max_live_sessions, (select count(*) from public.positions p where p.tenant_id = t.id) as positions,
      (select count(*) from public.tenant_candidates c where c.tenant_id = t.id) as candidates from public.tenants t`);
  await project.owner.query(seed);
  const once = await state();
  await project.owner.query(seed);
  expect([once, await state()]).toEqual([['demo.5.1.1'], ['demo.5.1.1']]);
});
