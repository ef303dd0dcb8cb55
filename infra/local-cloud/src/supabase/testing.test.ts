import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Supabase } from './supabase.ts';
import { startTestProject } from './test-project.ts';
import { installPgtap, parseTap, runPgtap } from './testing.ts';

let supabase: Supabase;
beforeAll(async () => {
  supabase = await startTestProject();
  await installPgtap(supabase.adminDbUrl);
}, 60_000);
afterAll(() => supabase?.stop());

test('a pgTAP file runs as role postgres; every assertion is returned, with the reason of a failure', async () => {
  const result = await runPgtap(path.join(import.meta.dirname, 'fixtures/rights.pgtap.sql'), supabase.dbUrl);
  expect(result.assertions.map(({ ok }) => ok)).toEqual([true, true, true, false]);
  expect(result.assertions[3]).toMatchObject({ name: 'one is two', number: 4 });
  expect(result.assertions[3]?.diagnostics.join(' ')).toMatch(/have: 1.*want: 2/);
  expect(result).toMatchObject({ ok: false, planned: 4 });
});

test('the changes of a file are rolled back, so that it can run again', async () => {
  const file = path.join(import.meta.dirname, 'fixtures/rights.pgtap.sql');
  expect((await runPgtap(file, supabase.dbUrl)).assertions).toEqual((await runPgtap(file, supabase.dbUrl)).assertions);
});

test('installing twice is not an error', () => installPgtap(supabase.adminDbUrl));

test('fewer assertions than planned are not ok, and neither is a failed one', () => {
  expect(parseTap(['1..2', 'ok 1 - a']).ok).toBe(false);
  expect(parseTap(['1..2', 'ok 1 - a', 'not ok 2 - b']).ok).toBe(false);
  expect(parseTap(['1..2', 'ok 1 - a', 'ok 2 - b']).ok).toBe(true);
});
