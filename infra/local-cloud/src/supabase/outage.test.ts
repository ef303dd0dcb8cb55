import type { SupabaseClient } from '@supabase/supabase-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Supabase } from './supabase.ts';
import { keyClient, startTestProject, until } from './test-project.ts';

let supabase: Supabase;
let service: SupabaseClient;

beforeAll(async () => {
  supabase = await startTestProject();
  service = keyClient(supabase, supabase.secretKey);
}, 60_000);
afterAll(() => supabase?.stop());

const count = async () => (await service.from('jobs').select('*', { count: 'exact', head: true })).count;
const works = async () => (await service.rpc('add', { a: 1, b: 1 })).data === 2;

test('while the database is stopped the answer is 503; when it is back, PostgREST recovers by itself', async () => {
  await supabase.postgres.stop();
  expect((await service.rpc('add', { a: 1, b: 1 })).status).toBe(503);
  expect(await supabase.health()).toMatchObject({ ok: false, postgres: 'down' });
  await supabase.postgres.start();
  await until(works, 20_000);
  await until(async () => (await supabase.health()).ok, 20_000);
}, 45_000);

test('a crash of the database loses no acknowledged data', async () => {
  await service.from('jobs').insert({ holder: 'x' }).throwOnError();
  const before = await count();
  await supabase.postgres.kill();
  await supabase.postgres.start();
  await until(works, 40_000);
  expect(await count()).toBe(before);
}, 60_000);

test('restart closes open connections and then accepts new ones', async () => {
  await supabase.postgres.restart();
  await until(works, 40_000);
}, 60_000);
