import { randomUUID } from 'node:crypto';
import type { SupabaseClient } from '@supabase/supabase-js';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { type Answer, newSession, newTenant, sessionRequest, type TestTenant } from './support/sessions.ts';

/** The rows of Idempotency-Keys, used as the orchestrators use them: with their role, through PostgREST. */
const project = useProject();
const db = () => project().owner;
let orchestrator: SupabaseClient;
let tenant: TestTenant;
beforeAll(async () => {
  orchestrator = await project().as({ role: 'orchestrator' });
});
beforeEach(async () => {
  tenant = await newTenant(db());
});

async function rpc(name: string, args: Record<string, unknown> = {}): Promise<Answer> {
  const { data, error } = await orchestrator.rpc(name, args);
  if (error) throw error;
  return data;
}
const request = (changes: Record<string, unknown> = {}) => ({
  scope: tenant.id,
  tenant_id: tenant.id,
  key: 'k',
  request_hash: 'h',
  taken_by: randomUUID(),
  hold_ms: 60_000,
  ...changes,
});
type Request = ReturnType<typeof request>;
const take = async (...requests: Request[]): Promise<Answer[]> =>
  rpc('take_idempotency_keys', { p_requests: requests });
const store = async (of: Request, sealed_answer: string | null, more = {}): Promise<string | null> =>
  (await rpc('store_idempotent_answers', { p_answers: [{ ...of, sealed_answer, ...more }] }))[0].sealed_answer;
const kinds = (answers: Answer[]): string[] => answers.map(({ kind }) => kind);
const keys = async (): Promise<string[]> =>
  (await db().query('select key from public.idempotency_keys where tenant_id = $1 order by key', [tenant.id])).rows.map(
    ({ key }) => key,
  );

describe('an Idempotency-Key', () => {
  test('of twenty concurrent requests one runs, and the others are told that it runs', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => take(request())));
    expect(kinds(answers.flat()).toSorted()).toEqual([...Array(19).fill('running'), 'taken']);
  });

  test('the same request in one batch runs once, and answers come in the order of the requests', async () => {
    expect(kinds(await take(request({ key: 'b' }), request({ key: 'a' }), request({ key: 'b' })))).toEqual([
      'taken',
      'taken',
      'running',
    ]);
  });

  test('the stored answer comes back to the same request only, and other scopes have keys of their own', async () => {
    const first = request();
    await take(first);
    expect(await store(first, 'sealed')).toBe('sealed');
    expect(await take(request())).toEqual([{ kind: 'answered', sealed_answer: 'sealed' }]);
    expect(await take(request({ request_hash: 'other' }))).toEqual([{ kind: 'mismatch' }]);
    expect(kinds(await take(request({ scope: 'operator', tenant_id: null, key: tenant.id })))).toEqual(['taken']);
  });

  test('a hold that lapsed lets the request run again, a prolonged hold does not', async () => {
    const [held, lapsed] = [request({ key: 'held', hold_ms: 0 }), request({ key: 'lapsed', hold_ms: 0 })];
    await take(held, lapsed);
    await rpc('hold_idempotency_keys', { p_taken_by: [held.taken_by], p_hold_ms: 60_000 });
    expect(kinds(await take(request({ key: 'held' }), request({ key: 'lapsed' })))).toEqual(['running', 'taken']);
  });

  test('of two runs of one request the first stored answer stays, and both are given it', async () => {
    const [slow, second] = [request({ hold_ms: 0 }), request()];
    await take(slow);
    await take(second);
    expect(await store(second, 'of the second')).toBe('of the second');
    expect(await store(slow, 'of the slow one')).toBe('of the second');
  });

  test('a run without an answer to keep frees the key, but not the key of the run that took over', async () => {
    const [slow, second] = [request({ hold_ms: 0 }), request()];
    await take(slow);
    await take(second);
    expect(await store(slow, null)).toBeNull();
    expect(kinds(await take(request()))).toEqual(['running']);
    await store(second, null);
    expect(kinds(await take(request({ request_hash: 'another request' })))).toEqual(['taken']);
  });

  test('a session is written with its key, and the next run of the request finds it and its sealed code', async () => {
    const first = request({ hold_ms: 0 });
    await take(first);
    const wish = () => sessionRequest(tenant.id, { idempotency_key: 'k', request_hash: 'h', sealed_code: 'code' });
    const [made] = await rpc('create_sessions', { p_requests: [wish()] });
    expect(made.kind).toBe('created');
    await store(first, null);
    expect(kinds(await take(request()))).toEqual(['taken']);
    expect(await rpc('create_sessions', { p_requests: [wish()] })).toMatchObject([
      { kind: 'replayed', session: { session_id: made.session.session_id }, sealed_code: 'code' },
    ]);
    await store(request(), 'sealed');
    const { rows } = await db().query('select sealed_code, session_id from public.idempotency_keys where scope = $1', [
      tenant.id,
    ]);
    expect(rows).toEqual([{ sealed_code: null, session_id: made.session.session_id }]);
  });

  test('an answer about a row that is gone is stored without it', async () => {
    const first = request();
    await take(first);
    expect(await store(first, 'sealed', { session_id: randomUUID(), candidate_id: randomUUID() })).toBe('sealed');
  });

  test('after a day a key may be used for another request, and is deleted in small batches', async () => {
    await newSession(db(), tenant);
    await db().query(
      `insert into public.idempotency_keys (scope, tenant_id, key, request_hash, created_at)
       select $1, $1::uuid, 'old-' || n, 'h', now() - interval '24 hours 1 minute' from generate_series(1, 5) n
       union all select $1, $1::uuid, 'fresh', 'h', now() - interval '23 hours 59 minutes'`,
      [tenant.id],
    );
    expect(kinds(await take(request({ key: 'old-1', request_hash: 'new' })))).toEqual(['taken']);
    expect(await rpc('prune_idempotency_keys', { p_limit: 3 })).toBe(3);
    expect(await rpc('prune_idempotency_keys', { p_limit: 3 })).toBe(1);
    expect(await keys()).toEqual(['fresh', 'old-1']);
  });
});
