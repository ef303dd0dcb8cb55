import { createCandidateRequest } from '@greenroom/shared/protocol/people.ts';
import { positionInput } from '@greenroom/shared/protocol/platform-api.ts';
import { memberRequest } from '@greenroom/shared/protocol/tenants.ts';
import fc from 'fast-check';
import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { rolledBack, useProject } from './support/project.ts';
import { newTenant, type TestTenant } from './support/sessions.ts';

/**
 * Members of a tenant can write rows in two ways: through the platform API, and through PostgREST with their own token.
 * Both must refuse the same values. The grants give the list of columns, so a new column is found automatically.
 */
const project = useProject();
let tenant: TestTenant;
let userId: string;
beforeAll(async () => {
  tenant = await newTenant(project().owner);
  const { rows } = await project().owner.query(
    "insert into auth.users (id, email) values (gen_random_uuid(), 'admin@x.example') returning id",
  );
  userId = rows[0].id;
  await project().owner.query("insert into public.tenant_users (tenant_id, user_id, role) values ($1, $2, 'admin')", [
    tenant.id,
    userId,
  ]);
});

interface Door {
  schema: z.ZodType;
  /** A row of the table that is valid except for the tested column. */
  row: () => Record<string, unknown>;
}
const candidate = (column: 'name' | 'email' | 'external_id' | 'status'): Door => ({
  schema: createCandidateRequest.shape[column],
  row: () => ({ tenant_id: tenant.id, name: 'Ada' }),
});
const position = (column: 'title' | 'description'): Door => ({
  schema: positionInput.shape[column],
  row: () => ({ tenant_id: tenant.id, title: 'Cook' }),
});
const doors: Record<string, Door> = {
  'tenant_candidates.name': candidate('name'),
  'tenant_candidates.email': candidate('email'),
  'tenant_candidates.external_id': candidate('external_id'),
  'tenant_candidates.status': candidate('status'),
  'positions.title': position('title'),
  'positions.description': position('description'),
  'tenant_users.role': {
    schema: memberRequest.shape.role,
    row: () => ({ tenant_id: tenant.id, user_id: spareUser }),
  },
};
/** Ids of rows: their content is not validated. */
const ids = ['tenant_candidates.tenant_id', 'positions.tenant_id', 'tenant_users.tenant_id', 'tenant_users.user_id'];
const spareUser = '11111111-1111-4111-8111-111111111111';

test('every column that a member may write has an API schema and is compared in this file', async () => {
  const { rows } = await project().owner.query(`
    select c.relname || '.' || a.attname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and attnum > 0
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') and not attisdropped and
      (has_column_privilege('authenticated', c.oid, attnum, 'insert') or has_column_privilege('authenticated', c.oid, attnum, 'update'))`);
  expect(rows.map(({ name }) => name).sort()).toEqual([...Object.keys(doors), ...ids].sort());
});

const texts = [
  '', ' ', 'Ada', 'José', 'Jose\u0301', '李小龍', '👩🏽‍💻 Ada', '\u200b', '\u202e', '\u2800', '\u3164', '\u{e0041}', '\u00ad', 'A\nB', 'A\tB', 'A\rB',
  'A\u0001', 'A\u007f', 'A\u0085B', 'A\u2028B', 'A\u2029B', 'A\u000bB', 'x'.repeat(100), 'x'.repeat(101), 'x'.repeat(200), 'x'.repeat(201),
  '😀'.repeat(100), '😀'.repeat(101), '😀'.repeat(200), '😀'.repeat(201), 'x'.repeat(10_000), 'x'.repeat(10_001), '😀'.repeat(10_000), '😀'.repeat(10_001),
  'x'.repeat(500_000), 'admin', 'member', 'viewer', 'owner', 'Admin',
  'a@b.example', 'A@B.EXAMPLE', 'a.b+c@example.co.uk', "o'neil@example.com", 'ivan@xn--e1afmkfd.xn--p1ai', '用户@例子.广告', 'first/last@x.example',
  'a@b', 'a@b@c.example', '@b.example', 'a@', 'a b@c.example', 'a..b@c.example', '.a@c.example', 'a@-b.example', 'a@b-.example', 'a@1.2.3.4',
  'a@b.example\n', 'a\u200b@b.example', `${'a'.repeat(242)}@b.example`, `${'a'.repeat(245)}@b.example`, 'ſ@b.example', 'a@K.example', 'a@b.\u0080x',
]; // biome-ignore format: a list to be read across

const strange = [
  'a',
  'B',
  '1',
  '.',
  '-',
  '@',
  'é',
  ' ',
  '\n',
  '\u200b',
  '\u2028',
  '😀',
  '\u0301',
  'ſ',
  '\u{10ffff}',
  "'",
  '/',
  '_',
];
const random = fc.sample(fc.string({ unit: fc.constantFrom(...strange), maxLength: 12 }), { numRuns: 300, seed: 7 });
const addresses = fc.sample(
  fc.tuple(...[6, 6, 4].map((max) => fc.string({ unit: fc.constantFrom('a', '1', '-', '.', 'é'), maxLength: max }))),
  { numRuns: 300, seed: 7 },
);
const samples = [...texts, ...random, ...addresses.map(([local, domain, end]) => `${local}@${domain}.${end}`)];

/** Whether a member's own insert succeeds. It is rolled back at once. */
async function isStored(client: pg.PoolClient, table: string, row: Record<string, unknown>): Promise<boolean> {
  const columns = Object.keys(row);
  const places = columns.map((_, n) => `$${n + 1}`).join(', ');
  await client.query('savepoint before');
  const stored = await client
    .query(`insert into public.${table} (${columns.join(', ')}) values (${places})`, Object.values(row))
    .then(
      () => true,
      (error: { code: string }) => {
        expect(['23514', '23502'], JSON.stringify(row).slice(0, 200)).toContain(error.code);
        return false;
      },
    );
  await client.query('rollback to before');
  return stored;
}

async function disagreements(name: string, { schema, row }: Door): Promise<string[]> {
  const [table = '', column = ''] = name.split('.');
  return rolledBack(project().admin, async (client) => {
    await client.query("insert into auth.users (id, email) values ($1, 'spare@x.example')", [spareUser]);
    await client.query("select set_config('request.jwt.claims', $1, true)", [
      JSON.stringify({ role: 'authenticated', sub: userId }),
    ]);
    await client.query('set local role authenticated');
    const found: string[] = [];
    for (const text of samples) {
      const api = schema.safeParse(text).success;
      const database = await isStored(client, table, { ...row(), [column]: text });
      if (api !== database) found.push(`${JSON.stringify(text).slice(0, 60)}: API ${api}, database ${database}`);
    }
    return found;
  });
}

describe('validation in the platform API and in the database', () => {
  test.each(Object.entries(doors))(
    'the platform API and the database accept and refuse the same values: %s',
    async (name, door) => {
      expect(await disagreements(name, door)).toEqual([]);
    },
  );

  test('control: the comparison detects a schema with other rules', async () => {
    const found = await disagreements('tenant_candidates.name', { ...candidate('name'), schema: z.string().max(200) });
    expect(found.length).toBeGreaterThan(20);
  });
});

test('the API refuses text that Postgres cannot store', () => {
  for (const { schema } of Object.values(doors))
    for (const text of ['A\u0000', 'A\ud83d', '\udc00']) expect(schema.safeParse(text).success).toBe(false);
});

describe('tenants that are not active', () => {
  test.each(['suspended', 'removing'])(
    'members of a tenant in status %s can read and write nothing directly',
    async (status) => {
      const { owner, as } = project();
      const member = await as({ role: 'authenticated', sub: userId });
      expect((await member.from('positions').insert({ tenant_id: tenant.id, title: 'Cook' })).error).toBeNull();
      await owner.query('update public.tenants set status = $2 where id = $1', [tenant.id, status]);
      try {
        const answers = [
          await member.from('positions').insert({ tenant_id: tenant.id, title: 'Cook' }),
          await member.from('tenant_candidates').insert({ tenant_id: tenant.id, name: 'Ada' }),
          await member.from('tenant_users').insert({ tenant_id: tenant.id, user_id: userId, role: 'admin' }),
        ];
        expect(answers.map(({ status: code }) => code)).toEqual([403, 403, 403]);
        expect(
          (await member.from('positions').update({ title: 'x' }).eq('tenant_id', tenant.id).select('id')).data,
        ).toEqual([]);
        expect((await member.from('positions').select('id')).data).toEqual([]);
      } finally {
        await owner.query("update public.tenants set status = 'active' where id = $1", [tenant.id]);
      }
    },
  );
});

test("the error of a member's write contains no row data", async () => {
  const member = await project().as({ role: 'authenticated', sub: userId });
  const { error } = await member.from('tenant_candidates').insert({ tenant_id: tenant.id, name: '' });
  expect(error).toMatchObject({ code: '23514', details: null });
});
