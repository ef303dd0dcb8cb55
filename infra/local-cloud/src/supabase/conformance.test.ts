import { randomUUID } from 'node:crypto';
import type { SupabaseClient } from '@supabase/supabase-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Supabase } from './supabase.ts';
import { keyClient, startTestProject, tokenClient } from './test-project.ts';

// The unmodified supabase-js, as each role, against a project made by the fixture's migrations.
let supabase: Supabase;
let service: SupabaseClient;
let anon: SupabaseClient;
let alice: SupabaseClient;
let bob: SupabaseClient;
let clerk: SupabaseClient;
let listId: string;
const aliceId = randomUUID();
const as = async (claims: Record<string, unknown>) => tokenClient(supabase, await supabase.mint(claims));

beforeAll(async () => {
  supabase = await startTestProject();
  service = keyClient(supabase, supabase.secretKey);
  anon = keyClient(supabase, supabase.publishableKey);
  alice = await as({ sub: aliceId });
  bob = await as({ sub: randomUUID() });
  clerk = await as({ sub: 'not-a-uuid', role: 'clerk', act_for: aliceId });
  const { data } = await alice.from('lists').insert({ name: 'main', budget: 100.25 }).select().single().throwOnError();
  listId = data.id;
  await alice
    .from('items')
    .insert(
      [{ label: 'tea' }, { label: 'milk', quantity: 7, meta: { k: 1 } }].map((i) => ({ list_id: listId, ...i })),
      {
        defaultToNull: false,
      },
    )
    .throwOnError();
}, 60_000);

afterAll(() => supabase?.stop());

describe('rows and rights', () => {
  test('the owner defaults to the token’s subject, and numbers and times have the API’s form', async () => {
    const { data } = await alice.from('lists').select('owner,budget,created_at').eq('id', listId).single();
    expect(data).toMatchObject({ owner: aliceId, budget: 100.25 });
    expect(data?.created_at).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/);
  });

  test('another user sees nothing and can put nothing under the owner’s name', async () => {
    expect(await bob.from('lists').select()).toMatchObject({ error: null, data: [] });
    const forged = await bob.from('lists').insert({ name: 'x', owner: aliceId });
    expect(forged).toMatchObject({ status: 403, error: { code: '42501' } });
  });

  test('anon gets 401, a signed-in user without the right 403', async () => {
    expect(await anon.from('lists').select()).toMatchObject({ status: 401, error: { code: '42501' } });
    expect(await alice.from('jobs').select()).toMatchObject({ status: 403, error: { code: '42501' } });
  });

  test('the secret key bypasses row security but not missing grants', async () => {
    expect(await service.from('lists').select('*', { count: 'exact' }).eq('id', listId)).toMatchObject({ count: 1 });
    expect(await service.from('ungranted').select()).toMatchObject({ status: 403, error: { code: '42501' } });
  });

  test('a new table is closed to anon and to users until a migration grants it', async () => {
    expect(await anon.from('ungranted').select()).toMatchObject({ status: 401, error: { code: '42501' } });
    expect(await alice.from('ungranted').select()).toMatchObject({ status: 403, error: { code: '42501' } });
  });

  test('a custom role reads what its claims permit, and writes nothing', async () => {
    expect((await clerk.from('lists').select('name')).data).toEqual([{ name: 'main' }]);
    const stranger = await as({ role: 'clerk', act_for: randomUUID() });
    expect((await stranger.from('lists').select('name')).data).toEqual([]);
    expect(await clerk.from('lists').update({ name: 'z' }).eq('id', listId)).toMatchObject({
      error: { code: '42501' },
    });
  });

  test('a custom role has no access to schema auth, as on hosted projects', async () => {
    expect(await clerk.rpc('uid')).toMatchObject({ status: 403, error: { code: '42501' } });
    expect((await alice.rpc('uid')).data).toBe(aliceId);
  });
});

describe('queries', () => {
  test('embeds to-many and to-one with filters', async () => {
    const lists = await alice.from('lists').select('name,items(label)').order('label', { referencedTable: 'items' });
    expect(lists.data).toEqual([{ name: 'main', items: [{ label: 'milk' }, { label: 'tea' }] }]);
    const items = await alice
      .from('items')
      .select('label,lists!inner(name)')
      .eq('lists.name', 'main')
      .eq('label', 'tea');
    expect(items.data).toEqual([{ label: 'tea', lists: { name: 'main' } }]);
  });

  test('filters, orders, ranges and counts', async () => {
    const labels = async (query: PromiseLike<{ data: unknown[] | null }>) => (await query).data;
    const items = () => alice.from('items').select('label').order('label');
    expect(await labels(items().or('label.eq.tea,quantity.gt.5'))).toHaveLength(2);
    expect(await labels(items().in('label', ['tea', 'x']))).toHaveLength(1);
    expect(await labels(items().ilike('label', '%MIL%'))).toEqual([{ label: 'milk' }]);
    expect(await labels(alice.from('items').select('k:meta->k').contains('meta', { k: 1 }))).toEqual([{ k: 1 }]);
    const page = await alice.from('items').select('label', { count: 'exact' }).order('id').range(1, 1);
    expect(page).toMatchObject({ status: 206, count: 2, data: [{ label: 'milk' }] });
    expect((await alice.from('items').select('*', { count: 'exact', head: true })).count).toBe(2);
  });

  test('upserts, and ignores duplicates on request', async () => {
    const onConflict = 'list_id,label';
    const row = (quantity: number) => ({ list_id: listId, label: 'sugar', quantity });
    await alice.from('items').upsert(row(1), { onConflict }).throwOnError();
    const second = await alice.from('items').upsert(row(9), { onConflict }).select('quantity').single();
    expect(second.data).toEqual({ quantity: 9 });
    const third = await alice.from('items').upsert(row(2), { onConflict, ignoreDuplicates: true }).select();
    expect(third.data).toEqual([]);
    const gone = await alice.from('items').delete({ count: 'exact' }).eq('label', 'sugar').select('label');
    expect(gone).toMatchObject({ count: 1, data: [{ label: 'sugar' }] });
  });

  test('compare-and-set: the second of two finds nothing to change', async () => {
    const set = (from: number, to: number) =>
      alice.from('lists').update({ budget: to }).eq('id', listId).eq('budget', from).select('budget');
    expect((await set(100.25, 50)).data).toEqual([{ budget: 50 }]);
    expect((await set(100.25, 40)).data).toEqual([]);
    await set(50, 100.25);
  });

  test('csv and abort', async () => {
    expect((await alice.from('items').select('label').order('label').csv()).data).toBe('label\nmilk\ntea');
    const controller = new AbortController();
    const query = alice.from('items').select().abortSignal(controller.signal);
    controller.abort();
    expect((await query).error).not.toBeNull();
  });
});

describe('the row limit of hosted projects', () => {
  test('cuts a list at 1,000 rows without an error, also when more are asked for; only the count tells', async () => {
    const { data: list } = await alice.from('lists').insert({ name: 'long' }).select('id').single().throwOnError();
    const rows = Array.from({ length: 1_001 }, (_, index) => ({ list_id: list?.id, label: `item ${index}` }));
    await alice.from('items').insert(rows, { defaultToNull: false }).throwOnError();
    const items = () => alice.from('items').select('label', { count: 'exact' }).eq('list_id', list?.id);
    const all = await items();
    expect([all.error, all.data?.length, all.count]).toEqual([null, 1_000, 1_001]);
    expect((await items().limit(5_000)).data).toHaveLength(1_000);
    expect((await items().range(1_000, 1_999)).data).toHaveLength(1);
    await alice.from('lists').delete().eq('id', list?.id).throwOnError();
  });
});

describe('functions', () => {
  test('take parameters by POST and by GET', async () => {
    expect((await alice.rpc('add', { a: 2, b: 3 })).data).toBe(5);
    expect((await alice.rpc('add', { a: 2, b: 3 }, { get: true })).data).toBe(5);
  });

  test('run as the token’s role and see its claims', async () => {
    expect((await clerk.rpc('whoami')).data).toMatchObject({ role: 'clerk', claims: { act_for: aliceId } });
    expect((await anon.rpc('whoami')).data).toMatchObject({ role: 'anon' });
  });

  test('distribute sixty jobs to six callers, each job once', async () => {
    await service
      .from('jobs')
      .insert(Array.from({ length: 60 }, () => ({ holder: null })))
      .throwOnError();
    const claims = Array.from({ length: 6 }, (_, i) => service.rpc('claim_jobs', { p_holder: `w${i}`, p_count: 10 }));
    const ids = (await Promise.all(claims)).flatMap(({ data }) => data.map((job: { id: number }) => job.id));
    expect(new Set(ids).size).toBe(60);
    expect(ids).toHaveLength(60);
  });

  test('are closed to roles without EXECUTE', async () => {
    expect(await alice.rpc('claim_jobs', { p_holder: 'x', p_count: 1 })).toMatchObject({ error: { code: '42501' } });
  });
});

describe('errors', () => {
  test.each([
    ['P0001', 400],
    ['PT402', 402],
    ['PT409', 409],
  ])('an exception with %s is HTTP %i', async (state, status) => {
    const refused = await alice.rpc('refuse', { p_state: state });
    expect(refused).toMatchObject({ status, error: { details: 'max 10', hint: 'ask for less' } });
  });

  test('constraints keep their SQLSTATE', async () => {
    expect(await alice.from('lists').insert({ name: 'main' })).toMatchObject({ status: 409, error: { code: '23505' } });
    const negative = await alice.from('lists').insert({ name: 'n', budget: -1 });
    expect(negative).toMatchObject({ status: 400, error: { code: '23514' } });
    const orphan = await service.from('items').insert({ list_id: randomUUID(), label: 'q' });
    expect(orphan).toMatchObject({ status: 409, error: { code: '23503' } });
  });

  test('missing tables, columns and functions have their error codes', async () => {
    expect(await alice.from('nope').select()).toMatchObject({ status: 404, error: { code: 'PGRST205' } });
    expect(await alice.from('lists').select('nope')).toMatchObject({ status: 400, error: { code: '42703' } });
    expect(await alice.rpc('nope')).toMatchObject({ status: 404, error: { code: 'PGRST202' } });
    const none = () => alice.from('lists').select().eq('name', 'zzz');
    expect(await none().single()).toMatchObject({ status: 406, error: { code: 'PGRST116' } });
    expect(await none().maybeSingle()).toMatchObject({ data: null, error: null });
  });
});
