import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operations } from '../../orchestrator/src/api/operations.ts';
import { type ApiWorld, type Got, startApiWorld } from '../support/api-world.ts';

/**
 * A test key sees and changes no live row, and a live key no row of test mode: each operation of the API, in both directions.
 * An operation that fits no rule here fails the test.
 */
interface Side {
  tenant: string;
  key: string;
  /** Value of each path parameter, by the folder that it names: `sessions` → id of a session. */
  ids: Record<string, string>;
}
const examples: Record<string, { body?: Record<string, unknown> }> = JSON.parse(
  readFileSync('orchestrator/src/api/examples.json', 'utf8'),
);
const routes = Object.entries(operations).map(([route, info]) => {
  const [method = '', path = ''] = route.split(' ');
  return { ...info, method, path };
});
/** Operations for platform operators: both keys are refused, whatever they name. */
const operators = ['createTenant', 'listTenants', 'listWithdrawals'];
/** What a creation that refers to the other side's rows answers. Other creations make a row of the caller's own. */
const creations: Record<string, (other: Side) => { body: object; status: number } | undefined> = {
  createSession: ({ ids }) => ({
    body: { candidate_id: ids.candidates, position: { title: 'Cook' } },
    status: 422,
  }),
  createCandidate: () => undefined,
  createPosition: () => undefined,
  createWebhook: () => undefined,
};

describe('live and test rows', () => {
  let world: ApiWorld;
  let sides: Record<'live' | 'test', Side>;

  const create = async (key: string, at: string, body: object) => {
    const made = await world.send(at, { method: 'POST', as: key, body });
    expect([at, made.status, made.text]).toEqual([at, expect.any(Number), expect.stringContaining('"')]);
    expect(made.status).toBeLessThan(300);
    return made.json;
  };
  const fill = async (tenant: string, key: string): Promise<Side> => {
    const mark = randomUUID();
    const candidate = await create(key, '/api/candidates', { name: 'Ada', external_id: mark });
    const position = await create(key, '/api/positions', { title: 'Engineer' });
    const session = await create(key, '/api/sessions', {
      ...{ candidate_id: candidate.id, position_id: position.id, placement: 'on_join', metadata: { mark } },
    });
    const id = session.session_id;
    const invitation = await create(key, `/api/sessions/${id}/invitations`, {});
    const webhook = await create(key, '/api/webhooks', { url: 'https://example.com/hook' });
    const delivery = await create(key, `/api/webhooks/${webhook.id}/test`, {});
    const another = await create(key, `/api/tenants/${tenant}/api-keys`, { name: 'another' });
    await world.db.query(
      "insert into public.interview_results (session_id, tenant_id, status) values ($1, $2, 'done')",
      [...[id, tenant]],
    );
    await world.db.query('insert into public.video_segments (session_id, tenant_id, video_id) values ($1, $2, $3)', [
      ...[id, tenant, `vi${mark}`],
    ]);
    return {
      ...{ tenant, key },
      ids: {
        ...{ sessions: id, candidates: candidate.id, positions: position.id, webhooks: webhook.id, tenants: tenant },
        ...{ invitation: invitation.id, delivery: delivery.id, key: another.id, video: `vi${mark}` },
        requests: (await world.send('/api/me', { as: key })).json.actor,
        ...{ region: 'fra', provider: 'openai', user: randomUUID(), withdrawals: id },
      },
    };
  };
  const pathOf = (path: string, { ids }: Side): string =>
    path.replaceAll(/(\w+)\/:(\w+)/g, (_, folder: string, name: string) => {
      const value = ids[name === 'id' ? folder : name];
      if (value === undefined) throw new Error(`no value for :${name} in ${path}`);
      return `${folder}/${value}`;
    });
  const ask = (operation: (typeof routes)[number], mine: Side, at: string, body?: object): Promise<Got> =>
    world.send(at, {
      ...{ method: operation.method, as: mine.key },
      ...(operation.method === 'GET' ? {} : { body: body ?? examples[operation.id]?.body }),
    });
  const namesNothingOf = (other: Side, text: string) =>
    Object.entries(other.ids).filter(
      ([name, id]) => !['region', 'provider', 'user'].includes(name) && text.includes(id),
    );

  beforeAll(async () => {
    world = await startApiWorld();
    const { id: tenant } = await world.tenant('acme');
    const key = await world.key(tenant, [...scopes]);
    const made = await create(key, `/api/tenants/${tenant}/test-keys`, { name: 'test', scopes });
    await world.db.query('update public.tenant_apps set creates_per_second = 1000, create_burst = 1000');
    sides = { live: await fill(tenant, key), test: await fill(made.tenant_id, made.key) };
  });
  afterAll(() => world?.stop());

  const directions = [
    ['a live key', 'live', 'test'],
    ['a test key', 'test', 'live'],
  ] as const;
  const named = routes.filter(({ path, tag }) => path.includes('/:') && tag !== 'Join');
  const unnamed = routes.filter(({ path, tag }) => !path.includes('/:') && tag !== 'Join');

  describe.each(directions)('%s', (_who, me, them) => {
    test.each(named)('$id finds nothing of the other mode', async (operation) => {
      const [mine, other] = [sides[me], sides[them]];
      const answer = await ask(operation, mine, pathOf(operation.path, other));
      expect([403, 404]).toContain(answer.status);
      expect(namesNothingOf(other, answer.text.replace(/"instance":"[^"]*"/, ''))).toEqual([]);
      // The same request about a row of its own is not refused for another reason, so the test can fail.
      if (operation.method === 'GET' && answer.status === 404 && !/\/(events|simulation)$/.test(operation.path))
        expect((await ask(operation, mine, pathOf(operation.path, mine))).status).toBe(200);
    });

    test.each(unnamed)('$id shows and takes nothing of the other mode', async (operation) => {
      const [mine, other] = [sides[me], sides[them]];
      if (operators.includes(operation.id)) {
        expect((await ask(operation, mine, operation.path)).status).toBe(403);
      } else if (operation.id === 'streamEvents') {
        const closing = new AbortController();
        const headers = { authorization: `Bearer ${mine.key}` };
        const stream = await fetch(`${world.url}/api/events?after=0`, { headers, signal: closing.signal });
        let text = '';
        for await (const part of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) {
          text += part;
          if (text.includes(mine.ids.sessions as string)) break;
        }
        closing.abort();
        expect(namesNothingOf(other, text)).toEqual([]);
      } else if (operation.method === 'GET') {
        await world.deps.requestLog.flush();
        const answer = await ask(operation, mine, operation.path);
        expect(answer.status).toBe(200);
        expect(namesNothingOf(other, answer.text)).toEqual([]);
        if (operation.id !== 'getMe') expect(answer.text).toMatch(mine.ids[operation.path.split('/')[2] ?? ''] ?? '—');
      } else {
        const refused = creations[operation.id];
        if (!refused) throw new Error(`${operation.id} has no row in this test`);
        const wanted = refused(other);
        if (wanted) expect((await ask(operation, mine, operation.path, wanted.body)).status).toBe(wanted.status);
      }
    });

    test('filters by ids of the other mode find nothing', async () => {
      const [mine, other] = [sides[me], sides[them]];
      const { candidates, positions } = other.ids;
      for (const filter of [`candidate_id=${candidates}`, `position_id=${positions}`]) {
        const answer = await world.send(`/api/sessions?${filter}`, { as: mine.key });
        expect(answer.json.data).toEqual([]);
      }
    });
  });

  test('GET /api/me says the mode, and each mode has keys of its own form', async () => {
    for (const [mode, { key, tenant }] of Object.entries(sides)) {
      expect(key).toMatch(new RegExp(`^gr_${mode}_`));
      expect((await world.send('/api/me', { as: key })).json).toMatchObject({ mode, tenant: { id: tenant } });
    }
  });

  test('a live session cannot be simulated, and a test key opens no test mode of its own', async () => {
    const at = `/api/test/sessions/${sides.live.ids.sessions}/simulate`;
    const live = await world.send(at, { method: 'POST', as: sides.live.key, body: { script: 'completes' } });
    expect([live.status, live.json.code]).toEqual([403, 'forbidden']);
    const again = await world.send(`/api/tenants/${sides.test.tenant}/test-keys`, {
      ...{ method: 'POST', as: sides.test.key, body: { name: 'x' } },
    });
    expect([again.status, again.json.code]).toEqual([409, 'conflict']);
  });

  test('a script that does not exist is refused and names the field', async () => {
    const at = `/api/test/sessions/${sides.test.ids.sessions}/simulate`;
    const answer = await world.send(at, { method: 'POST', as: sides.test.key, body: { script: 'sings' } });
    expect([answer.status, answer.json.errors?.[0]?.field]).toEqual([422, 'script']);
  });

  test('test mode is suspended and removed with its tenant', async () => {
    const change = (status: string) =>
      world.send(`/api/tenants/${sides.live.tenant}`, { method: 'PATCH', as: world.operatorToken, body: { status } });
    const seen = async () => (await world.send(`/api/tenants/${sides.test.tenant}`, { as: world.operatorToken })).json;
    await change('suspended');
    expect(await seen()).toMatchObject({ status: 'suspended', mode: 'test', live_tenant_id: sides.live.tenant });
    await change('active');
    expect(await seen()).toMatchObject({ status: 'active' });
    await world.send(`/api/tenants/${sides.live.tenant}`, { method: 'DELETE', as: world.operatorToken });
    expect(await seen()).toMatchObject({ status: 'removing' });
    const { rows } = await world.db.query('select from public.api_keys where tenant_id = $1 and revoked_at is null', [
      sides.test.tenant,
    ]);
    expect(rows).toEqual([]);
  });
});
