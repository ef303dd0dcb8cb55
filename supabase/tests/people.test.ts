import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { by, call, newTenant, sessionRequest, type TestTenant } from './support/sessions.ts';

/** Candidate identity and consent: never overwritten silently, and never lost to a concurrent change. */
const project = useProject();
const db = () => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db(), { max_live_sessions: 1_000 });
});

const create = async (candidate: object, of = tenant) => {
  const [result] = await call(db(), 'create_sessions', { p_requests: [sessionRequest(of.id, { candidate })] });
  return result;
};
const shown = async (candidate: object) => (await create(candidate)).session.interview_context.candidate;
const unique = () => randomUUID().slice(0, 8);

describe('inline candidates', () => {
  test('an inline candidate whose e-mail is stored with another external id is a conflict and changes nothing', async () => {
    const [email, id] = [`${unique()}@x.example`, unique()];
    const stored = await shown({ name: 'A', email, external_id: id });
    const counts = () =>
      db().query('select count(*)::int as n from public.tenant_candidates where tenant_id = $1', [tenant.id]);
    const before = (await counts()).rows;
    expect(await create({ name: 'B', email, external_id: unique() })).toEqual({
      kind: 'candidate_conflict',
      fields: ['external_id'],
    });
    expect((await counts()).rows).toEqual(before);
    expect(await shown({ name: 'A', external_id: id })).toEqual(stored);
  });

  test('an inline candidate whose external id is stored with another e-mail is a conflict; letter case is ignored', async () => {
    const [email, id] = [`${unique()}@x.example`, unique()];
    await create({ name: 'A', email, external_id: id });
    expect(await create({ name: 'A', email: `${unique()}@x.example`, external_id: id })).toEqual({
      kind: 'candidate_conflict',
      fields: ['email'],
    });
    expect(await shown({ name: 'A', email: email.toUpperCase(), external_id: id })).toMatchObject({ email });
  });

  test('an inline candidate whose e-mail and external id match two people is a conflict of both fields', async () => {
    const [email, id] = [`${unique()}@x.example`, unique()];
    await create({ name: 'A', email });
    await create({ name: 'B', external_id: id });
    expect(await create({ name: 'A', email, external_id: id })).toEqual({
      kind: 'candidate_conflict',
      fields: ['email', 'external_id'],
    });
  });

  test('an inline candidate that matches one person updates the name and adds missing fields', async () => {
    const [email, id] = [`${unique()}@x.example`, unique()];
    const first = await shown({ name: 'Ada', email });
    const second = await shown({ name: 'Ada Lovelace', email, external_id: id });
    expect(second).toEqual({ id: first.id, name: 'Ada Lovelace', email, external_id: id });
    expect((await shown({ name: 'Ada Lovelace', external_id: id })).id).toBe(first.id);
  });

  test("an inline candidate with an e-mail that another tenant knows becomes this tenant's own candidate", async () => {
    const other = await newTenant(db());
    const email = `${unique()}@x.example`;
    const own = await shown({ name: 'A', email, external_id: unique() });
    const { session } = await create({ name: 'B', email, external_id: unique() }, other);
    expect(session.interview_context.candidate.id).not.toBe(own.id);
    expect(await shown({ name: 'A', email })).toEqual(own);
  });

  test('the candidate lookup uses an index, so many candidates do not slow down session creation', async () => {
    const home = await newTenant(db());
    await db().query(
      `insert into public.tenant_candidates (tenant_id, name, email, external_id)
       select $1, 'N', n || '@x.example', n::text from generate_series(1, 5000) n`,
      [home.id],
    );
    await db().query('analyze public.tenant_candidates');
    for (const [where, index] of [
      ["app.folded(email) = app.folded('77@x.example')", 'tenant_candidates_email'],
      ["external_id = '77'", 'tenant_candidates_external'],
    ]) {
      const query = `explain select * from public.tenant_candidates where tenant_id = '${home.id}' and ${where}`;
      const plan = (await db().query(query)).rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).toContain(index);
    }
  });

  test('a candidate conflict does not count against the session starts per minute', async () => {
    const slow = await newTenant(db(), { starts_per_minute: 2 });
    const email = `${unique()}@x.example`;
    await create({ name: 'A', email, external_id: 'a' }, slow);
    for (let n = 0; n < 5; n += 1)
      expect((await create({ name: 'A', email, external_id: 'b' }, slow)).kind).toBe('candidate_conflict');
    expect((await create({ name: 'A', email }, slow)).kind).toBe('created');
  });
});

describe('search by name', () => {
  test.each([
    ['Jose\u0301 Nu\u0301n\u0303ez', 'jos\u00e9 n\u00fa\u00f1ez'],
    ['Ng\u00f4 \u0110\u00ecnh', 'ngo\u0302 \u0111i\u0300nh'],
    ['\u0130pek', '\u0130PEK'],
  ])('a search finds %s by %s: Unicode composition of accents does not matter', async (name, search) => {
    const home = await newTenant(db());
    await call(db(), 'create_candidate', { p_tenant_id: home.id, p_candidate: { name } });
    const found = await call(db(), 'list_candidates', { p_tenant_id: home.id, p_limit: 10, p_search: search });
    expect(found.map((one: { name: string }) => one.name)).toEqual([name]);
  });

  test('one e-mail address is one candidate in every Unicode form of its accents', async () => {
    const home = await newTenant(db());
    const make = (email: string) =>
      call(db(), 'create_candidate', { p_tenant_id: home.id, p_candidate: { name: 'N', email } });
    expect((await make('jos\u00e9@x.example')).kind).toBe('created');
    expect(await make('jose\u0301@x.example')).toEqual({ kind: 'conflict', fields: ['email'] });
  });
});

describe('concurrent changes', () => {
  /** Runs two changes so that the second waits for the first one's lock. Returns the stored row. */
  async function both(first: [string, unknown[]], second: [string, unknown[]]): Promise<void> {
    const [one, two] = [await db().connect(), await db().connect()];
    try {
      await one.query('begin');
      await one.query(...first);
      const waiting = two.query(...second);
      const { processID } = two as unknown as { processID: number };
      await expect
        .poll(async () => (await db().query('select pg_blocking_pids($1) as pids', [processID])).rows[0].pids.length)
        .toBe(1);
      await one.query('commit');
      await waiting;
    } finally {
      one.release();
      two.release();
    }
  }

  test('concurrent changes of different fields of a candidate are both kept', async () => {
    const { candidate } = await call(db(), 'create_candidate', {
      p_tenant_id: tenant.id,
      p_candidate: { name: 'Ada', email: `${unique()}@x.example` },
    });
    const change = (changes: object): [string, unknown[]] => [
      'select public.change_candidate($1, $2, $3)',
      [tenant.id, candidate.id, JSON.stringify(changes)],
    ];
    await both(change({ name: 'Ada Lovelace' }), change({ status: 'screening' }));
    const stored = await call(db(), 'get_candidate', { p_tenant_id: tenant.id, p_candidate_id: candidate.id });
    expect(stored).toMatchObject({ name: 'Ada Lovelace', status: 'screening' });
  });

  test('concurrent changes of different fields of a position are both kept', async () => {
    const { position } = await call(db(), 'create_position', { p_tenant_id: tenant.id, p_position: { title: 'Cook' } });
    const change = (changes: object): [string, unknown[]] => [
      'select public.change_position($1, $2, $3)',
      [tenant.id, position.id, JSON.stringify(changes)],
    ];
    await both(change({ title: 'Chef' }), change({ description: 'Cooks.' }));
    const stored = await call(db(), 'get_position', { p_tenant_id: tenant.id, p_position_id: position.id });
    expect(stored).toMatchObject({ title: 'Chef', description: 'Cooks.' });
  });

  test('concurrent changes of different settings of a tenant are both kept', async () => {
    const home = await newTenant(db());
    const change = (changes: object): [string, unknown[]] => [
      'select public.update_tenant($1, $2, $3)',
      [home.id, JSON.stringify(changes), JSON.stringify(by)],
    ];
    await both(change({ settings: { interviewer_template: 'T' } }), change({ settings: { greeting: 'Hello.' } }));
    expect((await call(db(), 'get_tenant', { p_tenant_id: home.id })).settings).toEqual({
      interviewer_template: 'T',
      greeting: 'Hello.',
    });
    await db().query(...change({ settings: { interviewer_template: null } }));
    expect((await call(db(), 'get_tenant', { p_tenant_id: home.id })).settings).not.toHaveProperty(
      'interviewer_template',
    );
  });
});

describe('the text of a consent', () => {
  const update = (home: TestTenant, changes: object) =>
    call(db(), 'update_tenant', { p_tenant_id: home.id, p_changes: changes, p_by: by });
  const text = (consent_text_version: string, consent_text: string) => ({ consent_text_version, consent_text });
  const stored = async (home: TestTenant) =>
    (
      await db().query('select version, text from public.consent_texts where tenant_id = $1 order by version', [
        home.id,
      ])
    ).rows;

  test('the text of a consent never changes under the same version, even when the rest of the change is valid', async () => {
    const home = await newTenant(db());
    expect((await update(home, text('v1', 'For 7 days.'))).kind).toBe('updated');
    expect(await update(home, { name: 'New', ...text('v1', 'For ever.') })).toEqual({
      kind: 'consent_text_fixed',
      text_version: 'v1',
    });
    expect((await update(home, text('v1', 'For 7 days.'))).kind).toBe('updated');
    expect((await update(home, text('v2', 'For ever.'))).kind).toBe('updated');
    const { name, consent_text } = await call(db(), 'get_tenant', { p_tenant_id: home.id });
    expect([name === 'New', consent_text]).toEqual([false, 'For ever.']);
    expect(await stored(home)).toEqual([
      { version: 'v1', text: 'For 7 days.' },
      { version: 'v2', text: 'For ever.' },
    ]);
  });

  test('a session keeps showing the text that was current when it was created', async () => {
    const home = await newTenant(db());
    await update(home, { require_consent: true, ...text('v1', 'For 7 days.') });
    const { session } = await create({ name: 'Ada' }, home);
    await update(home, text('v2', 'For ever.'));
    const shown = await db().query('select app.consent_json($1) as consent', [session.session_id]);
    expect(shown.rows[0].consent).toMatchObject({ required: true, text_version: 'v1', text: 'For 7 days.' });
  });

  test('a tenant has at most 100 texts; the hundred-and-first is refused and nothing changes', async () => {
    const home = await newTenant(db());
    await db().query(
      `insert into public.consent_texts (tenant_id, version, text) select $1, 'v' || n, 'Text ' || n from generate_series(1, 99) n`,
      [home.id],
    );
    expect((await update(home, text('v100', 'The last one.'))).kind).toBe('updated');
    expect(await update(home, { name: 'New', ...text('v101', 'One more.') })).toEqual({
      kind: 'limit_exceeded',
      limit: 100,
    });
    expect((await update(home, text('v1', 'Text 1'))).kind).toBe('updated');
    expect([
      (await stored(home)).length,
      (await call(db(), 'get_tenant', { p_tenant_id: home.id })).name,
    ]).not.toContain('New');
    expect(await stored(home)).toHaveLength(100);
  });

  test('a consent text stored elsewhere is not added after a candidate agreed to its version', async () => {
    const home = await newTenant(db(), { require_consent: true, consent_text_version: 'v1' });
    const { session } = await create({ name: 'Ada' }, home);
    await call(db(), 'record_consent', { p_session_id: session.session_id, p_text_version: 'v1' });
    expect(await update(home, text('v1', 'Another text.'))).toMatchObject({ kind: 'consent_text_fixed' });
  });
});
