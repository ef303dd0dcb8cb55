import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dumpSchema } from '../../tools/gate/schema-dump.ts';
import { migrationsDir, type Project, startProject } from './support/project.ts';
import { insertRow, type Row } from './support/world.ts';

/** The schema as a whole: explained, closed by default, and the same by every way that leads to it. */
let project: Project;
let fromZero: string;
beforeAll(async () => {
  project = await startProject();
  fromZero = await dump(project);
});
afterAll(() => project?.stop());

async function dump({ supabase }: Project): Promise<string> {
  const client = new pg.Client({ connectionString: supabase.dbUrl });
  await client.connect();
  return dumpSchema(client).finally(() => client.end());
}
const list = async (query: string): Promise<string[]> =>
  (await project.owner.query(query)).rows.map((row) => Object.values(row).join('.'));

describe('everything is explained', () => {
  test('every table and view has a comment', async () => {
    expect(
      await list(`select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
        and obj_description(c.oid, 'pg_class') is null`),
    ).toEqual([]);
  });

  test('every column of a table has one, but for those that every table has', async () => {
    expect(
      await list(`select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname not in ('id', 'tenant_id', 'created_at', 'updated_at')
          and col_description(c.oid, a.attnum) is null order by 1, 2`),
    ).toEqual([]);
  });

  test('every function has one', async () => {
    expect(
      await list(`select p.oid::regprocedure from pg_proc p where pronamespace in ('public'::regnamespace, 'app'::regnamespace)
        and obj_description(p.oid, 'pg_proc') is null`),
    ).toEqual([]);
  });
});

describe('everything is closed by default', () => {
  test('every table has RLS, every view reads with the rights of its caller', async () => {
    expect(
      await list(`select relname from pg_class where relnamespace = 'public'::regnamespace and
        (relkind in ('r', 'p') and not relrowsecurity or relkind = 'v' and not coalesce(reloptions, '{}') @> '{security_invoker=true}')`),
    ).toEqual([]);
  });

  test('every policy is for one operation and one role', async () => {
    expect(
      await list(
        "select tablename, policyname from pg_policies where schemaname = 'public' and (cmd = 'ALL' or cardinality(roles) <> 1 or roles @> '{public}')",
      ),
    ).toEqual([]);
  });

  test('every function fixes its search path, or its body was parsed when it was defined', async () => {
    expect(
      await list(`select p.oid::regprocedure from pg_proc p where pronamespace in ('public'::regnamespace, 'app'::regnamespace)
        and prosqlbody is null and not coalesce(proconfig, '{}') @> array['search_path=""']`),
    ).toEqual([]);
  });

  test('a table or function that the next migration makes is closed until that grants it', async () => {
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

test('updated_at follows every change, wherever there is one', async () => {
  expect(
    await list(`select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'updated_at'
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        and not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid where t.tgrelid = c.oid and p.proname = 'touch')`),
  ).toEqual([]);
});

describe('the text of the schema', () => {
  test('is the same whenever it is made', async () => {
    expect(await dump(project)).toBe(fromZero);
  });

  test.each([
    ['a column', 'alter table public.positions add column x int'],
    ['a default', "alter table public.positions alter column title set default 'x'"],
    ['a check', 'alter table public.positions drop constraint positions_title_check'],
    ['an index', 'drop index public.positions_newest'],
    ['a trigger', 'alter table public.positions disable trigger touch; drop trigger touch on public.positions'],
    ['RLS', 'alter table public.positions disable row level security'],
    ['a policy', 'drop policy "members add positions" on public.positions'],
    ['a grant', 'grant delete on public.positions to authenticated'],
    ['a grant of a column', 'grant update (tenant_id) on public.positions to authenticated'],
    ['a grant of a function', 'grant execute on function public.get_tenant(uuid) to authenticated'],
    [
      'a function',
      "create or replace function app.worker_session() returns uuid language sql stable set search_path = '' as 'select null::uuid'",
    ],
    ['a comment', "comment on column public.positions.title is 'x'"],
    ['a view', 'drop view public.interview_transcripts'],
  ])('changes with %s', async (_what, change) => {
    const client = new pg.Client({ connectionString: project.supabase.dbUrl });
    await client.connect();
    try {
      await client.query(`begin; ${change}`);
      expect(await dumpSchema(client)).not.toBe(fromZero);
    } finally {
      await client.end();
    }
  });
});

const files = readdirSync(migrationsDir)
  .filter((file) => file.endsWith('.sql'))
  .sort();
const released: { release: string | null; migrations: Record<string, string> } = JSON.parse(
  readFileSync(path.join(migrationsDir, '../released.json'), 'utf8'),
);

/** A project with the first of the migrations; `upgrade` applies the others. */
async function projectWith(first: string[]): Promise<Project & { upgrade(): Promise<void> }> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-migrations-'));
  const copy = (names: string[]) => {
    for (const file of names) copyFileSync(path.join(migrationsDir, file), path.join(dir, file));
  };
  copy(first);
  const started = await startProject(dir);
  return {
    ...started,
    upgrade: async () => {
      copy(files.filter((file) => !first.includes(file)));
      await started.supabase.migrate();
    },
    stop: () => started.stop().finally(() => rmSync(dir, { recursive: true, force: true })),
  };
}

describe('migrations', () => {
  test('have distinct versions and come after those that are released', () => {
    const versions = files.map((file) => file.split('_')[0]);
    expect(new Set(versions).size).toBe(versions.length);
    expect(files.slice(0, Object.keys(released.migrations).length)).toEqual(Object.keys(released.migrations));
  });

  test('that are released are frozen', () => {
    const hashOf = (file: string) =>
      createHash('sha256')
        .update(readFileSync(path.join(migrationsDir, file)))
        .digest('hex');
    expect(Object.fromEntries(Object.keys(released.migrations).map((file) => [file, hashOf(file)]))).toEqual(
      released.migrations,
    );
  });

  test('replayed on top of the previous release come to the same as from zero', async () => {
    const upgraded = await projectWith(Object.keys(released.migrations));
    try {
      await upgraded.upgrade();
      expect(await dump(upgraded)).toBe(fromZero);
    } finally {
      await upgraded.stop();
    }
  });

  test('applied to a database in use keep its rows, and come to the same', async () => {
    const upgraded = await projectWith(files.slice(0, 3));
    try {
      const before = await someRows(upgraded.owner);
      await upgraded.upgrade();
      expect(await dump(upgraded)).toBe(fromZero);
      const { rows } = await upgraded.owner.query(
        'select id, status, placement, consent_text_version from public.interview_sessions',
      );
      expect(rows).toEqual([{ id: before.id, status: 'in_progress', placement: 'now', consent_text_version: null }]);
    } finally {
      await upgraded.stop();
    }
  });
});

/** What a database of the first three migrations may hold. */
async function someRows(db: pg.Pool): Promise<Row> {
  const id = '11111111-1111-4111-8111-111111111111';
  const of = { tenant_id: id };
  await insertRow(db, 'tenants', { id, name: 'Acme', slug: 'acme' });
  await insertRow(db, 'tenant_counters', of);
  await insertRow(db, 'candidates', { id });
  await insertRow(db, 'tenant_candidates', { ...of, candidate_id: id, name: 'Ada' });
  await insertRow(db, 'positions', { ...of, id, title: 'Cook' });
  const session = { ...of, id, candidate_id: id, position_id: id, expires_at: '2099-01-01', status: 'in_progress' };
  await insertRow(db, 'interview_sessions', session);
  return session;
}

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
