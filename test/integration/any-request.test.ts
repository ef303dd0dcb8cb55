import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeCursor } from '../../orchestrator/src/http/cursor.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';

/**
 * Sends random requests to every published route as every kind of caller: no 500 and no data of another tenant.
 *
 * Every text in a tenant's rows carries the tenant's mark; no answer to another tenant may contain it. The list of
 * routes comes from the OpenAPI document, so a new route is tested without being named here.
 */
let world: ApiWorld;
interface Marked extends SeededTenant {
  mark: string;
  ids: string[];
}
let tenants: Marked[];
interface Actor {
  name: string;
  token: string | undefined;
  /** The tenants whose data this caller may see. */
  sees: string[];
}
let actors: Actor[];
interface Route {
  method: string;
  path: string;
  body: Schema | undefined;
}
interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}
let routes: Route[];
const all = [
  'sessions:read',
  'sessions:write',
  'people:read',
  'people:write',
  'webhooks:read',
  'webhooks:write',
  'tenant:read',
  'tenant:admin',
];

async function mark(tenant: SeededTenant): Promise<Marked> {
  const word = `mark-of-${tenant.slug}`;
  const as = await world.key(tenant.id, all);
  const post = (at: string, body: object) => world.send(at, { method: 'POST', as, body });
  const ids = [tenant.id];
  for (let n = 0; n < 2; n += 1) {
    const made = await post('/api/sessions', {
      candidate: { name: word, email: `${n}@${word}.example`, external_id: `${word}-${n}` },
      position: { title: word, description: word },
      metadata: { ref: word },
      settings: { instructions: word },
      region: 'fra',
    });
    expect(made.status, made.text).toBe(201);
    const { session_id, interview_context } = made.json;
    ids.push(session_id, interview_context.candidate.id, interview_context.position.id);
    await world.db.query(
      "insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, speaker, text, verified) values ($1, $2, 1, 'item_1', 'ai', $3, true)",
      [session_id, tenant.id, word],
    );
    const invited = await post(`/api/sessions/${session_id}/invitations`, {});
    ids.push(invited.json.id);
  }
  const webhook = await post('/api/webhooks', { url: `https://${word}.example/` });
  const delivery = await post(`/api/webhooks/${webhook.json.id}/test`, {});
  const key = await post(`/api/tenants/${tenant.id}/api-keys`, { name: word });
  await world.send(`/api/tenants/${tenant.id}`, {
    method: 'PATCH',
    as,
    body: { name: word, consent: { required: false, text_version: word, text: word } },
  });
  ids.push(webhook.json.id, delivery.json.id, key.json.id);
  return { ...tenant, mark: word, ids };
}

async function makeActors(): Promise<Actor[]> {
  const made: Actor[] = [
    { name: 'nobody', token: undefined, sees: [] },
    { name: 'a stranger', token: `gr_live_${'x'.repeat(43)}`, sees: [] },
    { name: 'a user of no tenant', token: (await world.user('none@x.test', {})).token, sees: [] },
    // Operators see the names and settings of tenants, and no data inside a tenant.
    { name: 'an operator', token: world.operatorToken, sees: tenants.map((tenant) => tenant.mark) },
  ];
  for (const { id, slug, mark: word } of tenants) {
    for (const role of ['viewer', 'member', 'admin'] as const)
      made.push({
        name: `a ${role} of ${slug}`,
        token: (await world.user(`${role}@${slug}.test`, { [id]: role })).token,
        sees: [word],
      });
    made.push({ name: `a key of ${slug}`, token: await world.key(id, all), sees: [word] });
    made.push({ name: `a reading key of ${slug}`, token: await world.key(id, ['sessions:read']), sees: [word] });
  }
  return made;
}

beforeAll(async () => {
  world = await startApiWorld();
  tenants = [await mark(await world.tenant('acme')), await mark(await world.tenant('globex'))];
  actors = await makeActors();
  const document = (await world.send('/docs/json')).json as {
    paths: Record<string, Record<string, { requestBody?: { content?: Record<string, { schema?: Schema }> } }>>;
  };
  routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      body: requestBody?.content?.['application/json']?.schema,
    })),
  );
  expect(routes.length).toBeGreaterThan(40);
});
afterAll(() => world.stop());

const word = () =>
  fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom(
      "' or 1=1 --",
      '\u0000',
      '\ud800',
      '💥',
      '',
      'x'.repeat(5_000),
      '2026-11-21T10:00:00Z',
      '0000-00-00T00:00:00+23:59',
      'https://a.example/\ud800',
      'openai',
      'fra',
      'session.ready',
      'sessions:read',
    ),
  );
const anyId = () => fc.constantFrom(...tenants.flatMap((tenant) => tenant.ids));
const scalar = () =>
  fc.oneof(
    word(),
    anyId(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom(0, -1, 1, 2 ** 31, 2 ** 53, 1e308),
  );

/** A value that mostly matches the schema and sometimes does not. */
function bodyOf(schema: Schema | undefined, depth = 0): fc.Arbitrary<unknown> {
  const wild = fc.oneof(scalar(), fc.jsonValue({ maxDepth: 2 }));
  if (schema === undefined || depth > 3) return wild;
  const options = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (options) return fc.oneof({ weight: 6, arbitrary: fc.oneof(...options.map((one) => bodyOf(one, depth))) }, wild);
  return fc.oneof({ weight: 8, arbitrary: fitting(schema, depth) }, wild);
}

function fitting(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const type = [schema.type].flat()[0];
  if (type === 'object' && schema.properties)
    return fc.record(
      Object.fromEntries(
        Object.entries(schema.properties).map(([name, property]) => [name, bodyOf(property, depth + 1)]),
      ),
      { requiredKeys: [] },
    );
  if (type === 'object') return fc.dictionary(word(), word(), { maxKeys: 3 });
  if (type === 'array') return fc.array(bodyOf(schema.items, depth + 1), { maxLength: 3 });
  if (type === 'integer' || type === 'number')
    return fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer(), fc.double());
  if (type === 'boolean') return fc.boolean();
  return fc.oneof(word(), anyId());
}

const cursorOf = () =>
  fc
    .record(
      { createdAt: fc.oneof(word(), fc.constant('2999-01-01T00:00:00Z')), id: fc.oneof(word(), anyId()), slug: word() },
      { requiredKeys: [] },
    )
    .chain((position) =>
      fc.constantFrom('candidates?{}', 'sessions?{}', 'tenants?{}').map((list) => encodeCursor(position, list)),
    );
const queryOf = () =>
  fc.record(
    {
      limit: scalar(),
      cursor: fc.oneof(word(), cursorOf()),
      status: word(),
      search: word(),
      session_id: fc.oneof(word(), anyId()),
      format: word(),
      tenant_id: anyId(),
    },
    { requiredKeys: [] },
  );
const headerText = () => fc.oneof(anyId(), fc.constantFrom('acme', 'globex', 'x', '%0d%0a', 'a'.repeat(300)));

const anyRequest = () =>
  fc.constantFrom(...routes).chain((route) =>
    fc.record({
      route: fc.constant(route),
      actor: fc.constantFrom(...actors),
      ids: fc.array(fc.oneof({ weight: 5, arbitrary: anyId() }, { weight: 1, arbitrary: word() }), {
        minLength: 3,
        maxLength: 3,
      }),
      body: fc.oneof({ weight: 6, arbitrary: bodyOf(route.body) }, { weight: 1, arbitrary: fc.constant(undefined) }),
      query: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: queryOf() }),
      headers: fc.record(
        {
          'greenroom-tenant': headerText(),
          'idempotency-key': headerText(),
          'greenroom-invitation': headerText(),
          accept: fc.constantFrom('*/*', 'text/vtt', 'x'),
        },
        { requiredKeys: [] },
      ),
    }),
  );

const wellFormed = (value: unknown): string => encodeURIComponent(String(value).toWellFormed());

test('random requests never get a 500 or data of another tenant', async () => {
  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(anyRequest(), async ({ route, actor, ids, body, query, headers }) => {
      const given = [...ids];
      const path = route.path.replaceAll(/\{\w+\}/g, () => wellFormed(given.shift()));
      // An operator could remove the tenants that the others are tried with.
      fc.pre(!(actor.name === 'an operator' && ['DELETE', 'PATCH'].includes(route.method)));
      const search = Object.entries(query)
        .map(([name, value]) => `${name}=${wellFormed(value)}`)
        .join('&');
      const answer = await fetch(`${world.url}${path}${search ? `?${search}` : ''}`, {
        method: route.method,
        redirect: 'manual',
        headers: {
          ...headers,
          ...(actor.token === undefined ? {} : { authorization: `Bearer ${actor.token}` }),
          ...(body === undefined || route.method === 'GET' ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined || route.method === 'GET' ? {} : { body: JSON.stringify(body) ?? 'null' }),
      });
      seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
      // An event stream does not end, so only its beginning is read.
      const streams = (answer.headers.get('content-type') ?? '').startsWith('text/event-stream');
      const text = streams ? '' : await answer.text();
      if (streams) await answer.body?.cancel();
      expect(answer.status, text).not.toBe(500);
      for (const { mark: foreign } of tenants) if (!actor.sees.includes(foreign)) expect(text).not.toContain(foreign);
    }),
    { numRuns: Number(process.env.ANY_REQUEST_RUNS ?? 1_500) },
  );
  // Control: some requests succeed, about twenty. The exact number is random.
  expect(seen.get(200) ?? 0).toBeGreaterThan(3);
  expect([...seen.keys()]).toEqual(expect.arrayContaining([401, 403, 404, 422]));
});
