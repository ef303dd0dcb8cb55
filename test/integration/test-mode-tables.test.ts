import { scopes } from '@greenroom/shared/protocol/access.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';

/**
 * What a front end that is signed in with Supabase Auth reads directly: a user of the live tenant sees no row of test mode, and a
 * user of test mode no live one. Which tables, views and functions there are is read from the database's grants, so no new one is forgotten.
 */
interface Side {
  tenant: string;
  session: string;
  token: string;
}
type Name = 'live' | 'test';

/** One row of each kind for a session. A table that is missing here fails the test below. */
const filling = [
  'insert into public.consent_texts (tenant_id, version, text) select tenant_id, $$v1$$, $$We record.$$ from s',
  'insert into public.consents (tenant_id, session_id, candidate_id, text_version) select tenant_id, id, candidate_id, $$v1$$ from s',
  "insert into public.pool_policies (tenant_id, region) select tenant_id, 'ams' from s",
  "insert into public.interview_results (session_id, tenant_id, status) select id, tenant_id, 'done' from s",
  "insert into public.video_segments (session_id, tenant_id, video_id) select id, tenant_id, 'vi-' || id from s",
  "insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, speaker, text, verified) select id, tenant_id, 1, 'item_1', 'ai', 'Hello', true from s",
  "with m as (insert into public.machines (tenant_id, app_name, region, image, state) select s.tenant_id, a.name, 'ams', 'worker:1', 'reserved' from s join public.tenant_apps a on a.tenant_id = s.tenant_id limit 1 returning id, tenant_id) insert into public.machine_usage (machine_id, tenant_id, region, size, started_seconds, cost_usd) select id, tenant_id, 'ams', 'x', 1, 1 from m",
];

let world: ApiWorld;
let sides: Record<Name, Side>;
beforeAll(async () => {
  world = await startApiWorld();
  const { id: tenant } = await world.tenant('acme');
  const key = await world.key(tenant, [...scopes]);
  const body = { name: 'test', scopes };
  const made = await world.send(`/api/tenants/${tenant}/test-keys`, { method: 'POST', as: key, body });
  const fill = async (id: string, as: string): Promise<Side> => {
    const session = { candidate: { name: 'Ada' }, position: { title: 'Cook' }, placement: 'on_join' };
    const { json } = await world.send('/api/sessions', { method: 'POST', as, body: session });
    await world.send(`/api/tenants/${id}/api-keys`, { method: 'POST', as, body: { name: 'another' } });
    for (const statement of filling) {
      const s = `with s as (select * from public.interview_sessions where id = '${json.session_id}')`;
      await world.db.query(statement.startsWith('with ') ? statement.replace('with ', `${s}, `) : `${s} ${statement}`);
    }
    const { token } = await world.user(`${id}@example.com`, { [id]: 'admin' });
    return { tenant: id, session: json.session_id, token };
  };
  sides = { live: await fill(tenant, key), test: await fill(made.json.tenant_id, made.json.key) };
});
afterAll(() => world?.stop());

/** Asks PostgREST as a signed-in user. */
async function ask(side: Name, at: string, body?: object): Promise<Array<Record<string, unknown>>> {
  const { url, publishableKey } = world.supabase;
  const answer = await fetch(`${url}/rest/v1/${at}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...{ apikey: publishableKey, authorization: `Bearer ${sides[side].token}` },
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.status, `${at}: ${await answer.clone().text()}`).toBe(200);
  return (await answer.json()) as Array<Record<string, unknown>>;
}

const directions: Array<[me: Name, them: Name]> = [
  ['live', 'test'],
  ['test', 'live'],
];

describe.each(directions)('a user of the %s tenant', (me, them) => {
  test('reads rows of its own, and none of the other, in each table and view', async () => {
    const { rows } = await world.db.query<{ name: string; columns: string }>(
      `select table_name as name, string_agg(column_name, ',' order by column_name) as columns
       from information_schema.column_privileges
       where table_schema = 'public' and grantee = 'authenticated' and privilege_type = 'SELECT' group by 1 order by 1`,
    );
    expect(rows.length).toBeGreaterThan(10);
    for (const { name, columns } of rows) {
      const found = await ask(me, `${name}?select=${columns}`);
      const owner = name === 'tenants' ? 'id' : 'tenant_id';
      expect([name, [...new Set(found.map((row) => row[owner]))]]).toEqual([name, [sides[me].tenant]]);
      expect(await ask(me, `${name}?select=${owner}&${owner}=eq.${sides[them].tenant}`)).toEqual([]);
    }
  });

  test('gets no row of the other from a function', async () => {
    const { rows } = await world.db.query<{ name: string }>(
      `select proname as name from pg_proc where pronamespace = 'public'::regnamespace
       and has_function_privilege('authenticated', oid, 'execute')`,
    );
    expect(rows).toEqual([{ name: 'transcript_of' }]);
    expect(await ask(me, 'rpc/transcript_of', { p_session_id: sides[me].session })).toHaveLength(1);
    expect(await ask(me, 'rpc/transcript_of', { p_session_id: sides[them].session })).toEqual([]);
  });
});
