import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Supabase, startSupabase } from '@greenroom/local-cloud/supabase/supabase.ts';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { bin, root, run } from '../../tools/gate/command.ts';

/** The database of a hosted project before anything of ours is in it: Supabase's own CLI and `greenroom migrate` bring it up to date. */
const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-migrate-'));
let supabase: Supabase;
let admin: pg.Client;

beforeAll(async () => {
  const migrationsDir = path.join(dir, 'none');
  mkdirSync(migrationsDir);
  supabase = await startSupabase({ dir: path.join(dir, 'project'), migrationsDir });
  admin = new pg.Client({ connectionString: supabase.adminDbUrl });
  await admin.connect();
});
afterAll(async () => {
  await admin?.end();
  await supabase?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Takes everything of ours away again. */
afterEach(async () => {
  await admin.query(`
    drop schema if exists app cascade; drop schema public cascade; create schema public authorization postgres;
    grant usage on schema public to anon, authenticated, service_role;
    drop schema if exists supabase_migrations cascade;
    do $$ declare r text; begin
      foreach r in array array['orchestrator', 'session_worker'] loop
        if exists (select from pg_roles where rolname = r) then
          execute format('drop owned by %I cascade', r); execute format('drop role %I', r);
        end if;
      end loop;
    end $$`);
});

async function migrate(...args: string[]) {
  const printed: string[] = [];
  const console = {
    environment: { SUPABASE_DB_URL: supabase.dbUrl },
    cwd: dir,
    print: (line: string) => void printed.push(line),
    progress: () => undefined,
  };
  const code = await runProgram(['--json', 'migrate', ...args], console, root);
  return { code, document: JSON.parse(printed.at(-1) ?? '{}') as Record<string, unknown> & { message: string } };
}
const push = () => run(bin('supabase'), ['db', 'push', `--remote=${supabase.dbUrl}`, '--yes'], { cwd: root });
const asPostgres = async (sql: string) => {
  const client = new pg.Client({ connectionString: supabase.dbUrl });
  await client.connect();
  await client.query(sql).finally(() => client.end());
};

describe('a hosted project with nothing in it', () => {
  test('supabase db push makes the database, and greenroom migrate finds it up to date', async () => {
    const { code, stderr } = await push();
    expect(code, stderr).toBe(0);
    expect((await migrate()).document).toMatchObject({ ok: true, applied: [] });
    const { rows } = await admin.query(
      "select rolname from pg_roles where rolname in ('orchestrator', 'session_worker')",
    );
    expect(rows).toHaveLength(2);
  });

  test('greenroom migrate makes the database, and supabase db push finds it up to date', async () => {
    expect(await migrate()).toMatchObject({ code: 0, document: { applied: [expect.any(String)] } });
    const { code, stdout, stderr } = await push();
    expect(code, stderr).toBe(0);
    expect(`${stdout}${stderr}`).toMatch(/up to date/i);
  });

  test('two migrations at once apply each file once', async () => {
    const both = await Promise.all([migrate(), migrate()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both.flatMap(({ document }) => document.applied)).toHaveLength(1);
  });
});

describe('a database whose records do not explain its state is left as it is', () => {
  test('a migration that broke off half way is named with what exists', async () => {
    await asPostgres('create schema app; create table public.tenants (id int)');
    const { code, document } = await migrate();
    expect([code, document.code]).toEqual([65, 'half_applied']);
    expect(document.message).toContain('app, public.tenants');
    const { rows } = await admin.query("select count(*)::int as n from pg_tables where schemaname = 'public'");
    expect(rows).toEqual([{ n: 1 }]);
  });

  test('a complete database without records, as after a restore by hand: the message has the command that records it', async () => {
    await migrate();
    await admin.query('drop schema supabase_migrations cascade');
    const { code, document } = await migrate();
    expect([code, document.code]).toEqual([65, 'not_recorded']);
    expect(document.message).toContain('supabase migration repair --status applied');
  });

  test('a database of a newer release is refused by an older one', async () => {
    await migrate();
    await admin.query("insert into supabase_migrations.schema_migrations (version) values ('29990101000000')");
    const { code, document } = await migrate();
    expect([code, document.code]).toEqual([65, 'database_ahead']);
    expect(document.message).toContain('29990101000000');
  });

  test('a migration that fails is rolled back as a whole, and the message names its line', async () => {
    const broken = path.join(dir, 'broken');
    mkdirSync(broken, { recursive: true });
    writeFileSync(
      path.join(broken, '20300101000000_broken.sql'),
      'create table public.first (id int);\nselect nothing_of_this_name;\n',
    );
    const { code, document } = await migrate('--dir', broken);
    expect([code, document.code]).toEqual([1, 'migration_failed']);
    expect(document.message).toContain('20300101000000_broken line 2');
    expect((await admin.query("select to_regclass('public.first') as there")).rows).toEqual([{ there: null }]);
  });

  test('a role that may not create roles is refused before anything is tried', async () => {
    await admin.query("create role reader login password 'p'");
    const url = new URL(supabase.dbUrl);
    [url.username, url.password] = ['reader', 'p'];
    const { code, document } = await migrate('--db-url', url.href).finally(() => admin.query('drop role reader'));
    expect([code, document.code]).toEqual([4, 'database_role']);
  });
});
