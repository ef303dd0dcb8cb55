import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrationsDir, type Project, startProject } from './support/project.ts';

/**
 * The schema on both kinds of Supabase project: new ones grant nothing by default; older and self-hosted ones grant
 * every new object in schema public to the API's roles. The resulting rights must be the same.
 */
let closed: Project;
let open: Project;
const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-defaults-'));
beforeAll(async () => {
  for (const file of readdirSync(migrationsDir)) copyFileSync(path.join(migrationsDir, file), path.join(dir, file));
  const grants = ['tables', 'functions', 'sequences'].map(
    (kind) => `alter default privileges in schema public grant all on ${kind} to anon, authenticated, service_role;`,
  );
  writeFileSync(path.join(dir, '20000101000000_open_project.sql'), grants.join('\n'));
  [closed, open] = [await startProject(), await startProject(dir)];
});
afterAll(async () => {
  await Promise.all([closed?.stop(), open?.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

/** Every right of every API role on every object of the schema, one a line. */
async function rightsOf({ owner }: Project): Promise<string[]> {
  const { rows } = await owner.query(`
    with role as (select unnest(array['anon', 'authenticated', 'service_role', 'orchestrator', 'session_worker']) as r)
    select r || ' ' || p || ' ' || relname as line
    from role, pg_class c, unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p
    where relnamespace in ('public'::regnamespace, 'app'::regnamespace) and relkind in ('r', 'v', 'p') and has_table_privilege(r, c.oid, p)
    union all
    select r || ' ' || p || ' ' || relname || '.' || attname
    from role, pg_class c join pg_attribute a on a.attrelid = c.oid and attnum > 0 and not attisdropped, unnest(array['select', 'insert', 'update']) p
    where relnamespace in ('public'::regnamespace, 'app'::regnamespace) and relkind in ('r', 'v', 'p') and has_column_privilege(r, c.oid, attnum, p)
    union all
    select r || ' ' || p || ' ' || relname from role, pg_class c, unnest(array['usage', 'select', 'update']) p
    where relnamespace in ('public'::regnamespace, 'app'::regnamespace) and relkind = 'S' and has_sequence_privilege(r, c.oid, p)
    union all
    select r || ' execute ' || f.oid::regprocedure from role, pg_proc f
    where pronamespace in ('public'::regnamespace, 'app'::regnamespace) and has_function_privilege(r, f.oid, 'execute')
    order by 1`);
  return rows.map(({ line }) => line);
}

test('every right is the same on both kinds of Supabase project', async () => {
  const rights = await rightsOf(closed);
  expect(rights.length).toBeGreaterThan(300);
  expect(await rightsOf(open)).toEqual(rights);
});

test('a caller without a token can execute no function of the API and read no table', async () => {
  // A few helpers of generated columns are granted to every role, but anon has no access to their schema app.
  expect((await rightsOf(open)).filter((line) => /^anon (?!execute app\.)/.test(line))).toEqual([]);
});

test('the publishable key alone cannot create an API key', async () => {
  const { rows } = await open.owner.query(
    "insert into public.tenants (name, slug) values ('Acme', 'acme') returning id",
  );
  const { error } = await open.withKey(open.supabase.publishableKey).rpc('create_api_key', {
    ...{ p_tenant_id: rows[0].id, p_name: 'mine', p_prefix: 'gr_live_mine', p_key_hash: 'a'.repeat(64) },
    ...{ p_scopes: ['tenant:admin'], p_by: { actor: 'nobody' } },
  });
  expect(error?.code).toBe('42501');
});
