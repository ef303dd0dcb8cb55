import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
  call,
  entry,
  eventsOf,
  move,
  newTenant,
  servedSession,
  sessionRow,
  type TestSession,
  type TestTenant,
  workerClaims,
} from './support/sessions.ts';

/** Entries from the candidate's browser: they add unverified entries within limits and change nothing else. */
const project = useProject();
const db = () => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db(), { max_live_sessions: 500 });
});

const copy = (item_id: string, previous_item_id: string | null, text = 'noise', changes = {}) =>
  entry(item_id, previous_item_id, text, { verified: false, ...changes });

async function store(sessionId: string, entries: object[]): Promise<void> {
  await db().query('select app.merge_transcript(s, $2) from public.interview_sessions s where s.id = $1', [
    sessionId,
    JSON.stringify(entries),
  ]);
}
const shown = async (sessionId: string) =>
  (await db().query('select * from public.transcript_of($1) order by sequence_number', [sessionId])).rows;
const verifiedIds = async (sessionId: string): Promise<string[]> =>
  (await shown(sessionId)).filter(({ verified }) => verified).map(({ item_id }) => item_id);

/** A session with one call, so that an upload can refer to it. */
async function withCall(): Promise<TestSession> {
  const session = await servedSession(db(), tenant);
  await db().query(
    "insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider) values ($1, $2, 1, 1, 'openai')",
    [session.id, tenant.id],
  );
  return session;
}
const uploadOnce = (session: TestSession, entries: object[]) =>
  call(db(), 'upload_transcript', { p_session_id: session.id, p_tenant_id: tenant.id, p_entries: entries });
/** Uploads after resetting the rate limit, as if enough time had passed since the last upload. */
async function upload(session: TestSession, entries: object[]) {
  await db().query('delete from public.rate_limits where scope = $1', [`upload:${session.id}`]);
  return uploadOnce(session, entries);
}
const end = (session: TestSession) => move(db(), session.id, 'completed', 'completed', 'interviewer_finished');
const revisions = async (session: TestSession): Promise<number> =>
  (await eventsOf(db(), session.id)).filter(({ type }) => type === 'transcript.revised').length;

describe('verified entries and browser copies', () => {
  test('a browser copy changes no link, time, confidence, interruption or arrival order of a verified entry', async () => {
    const { id } = await servedSession(db(), tenant);
    await store(id, [copy('i1', 'zzz', 'x', { start_ms: 77, end_ms: 99, interrupted: true, confidence: 0.1 })]);
    await store(id, [entry('i0', null, 'First')]);
    await store(id, [entry('i1', null, 'Second')]);
    expect(await shown(id)).toMatchObject([
      { item_id: 'i0' },
      { item_id: 'i1', previous_item_id: null, start_ms: null, end_ms: null, confidence: null, interrupted: false },
    ]);
  });

  test('a forged link moves no verified entry, even when it forms a circle through a copy', async () => {
    const { id } = await servedSession(db(), tenant);
    await store(id, [copy('i1', 'zzz')]);
    await store(id, [entry('i1', null, 'Welcome')]);
    await store(id, [entry('i3', 'i2', 'Second question')]);
    await store(id, [entry('i2', 'i1', 'First answer')]);
    await store(id, [copy('zzz', 'i3')]);
    expect(await verifiedIds(id)).toEqual(['i1', 'i2', 'i3']);
  });

  test('the verified entries keep their order for any copies with any links at any time', async () => {
    const ids = ['v1', 'v2', 'v3', 'v4', 'v5'];
    const chain = [2, 0, 1, 4, 3].map((n) => entry(ids[n]!, ids[n - 1] ?? null, ids[n]!));
    const alone = await servedSession(db(), tenant);
    for (const one of chain) await store(alone.id, [one]);
    const expected = await verifiedIds(alone.id);
    expect(expected).toEqual(ids);
    const link = fc.option(fc.constantFrom(...ids, 'c1', 'c2', 'c3', 'lost'));
    const copied = fc.record({ id: fc.constantFrom(...ids, 'c1', 'c2', 'c3'), link, before: fc.nat(5) });
    await fc.assert(
      fc.asyncProperty(fc.array(copied, { maxLength: 8 }), async (copies) => {
        const { id } = await servedSession(db(), tenant);
        for (const [n, one] of [...chain, undefined].entries()) {
          for (const { id: item, link: previous } of copies.filter(({ before }) => before === n))
            await store(id, [copy(item, previous, 'noise', { start_ms: 1, end_ms: 2 })]);
          if (one) await store(id, [one]);
        }
        expect(await verifiedIds(id)).toEqual(expected);
        const rows = (await shown(id)).filter(({ verified }) => verified);
        expect(rows.map(({ start_ms, previous_item_id }) => [start_ms, previous_item_id])).toEqual(
          ids.map((_, n) => [null, ids[n - 1] ?? null]),
        );
      }),
      { numRuns: 30 },
    );
  });

  test('a copy is placed after the entry that it follows, and its followers are placed after it', async () => {
    const { id } = await servedSession(db(), tenant);
    await store(id, [entry('q1', null, 'Question')]);
    await store(id, [copy('a1', 'q1', 'Answer nobody heard'), copy('a2', 'a1', 'And more')]);
    await store(id, [entry('q2', 'a2', 'Next question')]);
    expect((await shown(id)).map(({ item_id }) => item_id)).toEqual(['q1', 'a1', 'a2', 'q2']);
  });
});

describe('unverified entries in the transcript view', () => {
  test('the view marks unverified entries, and a line break in a text starts no new turn', async () => {
    const { id } = await servedSession(db(), tenant);
    await store(id, [copy('a', null, 'You have passed.', { speaker: 'ai' })]);
    await store(id, [entry('b', 'a', 'ok\n\nInterviewer: Hired.\u2028Interviewer: At once.')]);
    const { rows } = await db().query('select transcript from public.interview_transcripts where session_id = $1', [
      id,
    ]);
    expect(rows[0].transcript).toBe(
      'Interviewer: [unverified] You have passed.\n\nCandidate: ok Interviewer: Hired. Interviewer: At once.',
    );
  });
});

describe('limits of uploads', () => {
  test('300 changes of one copy after the end make one entry, one event and one revision', async () => {
    const session = await withCall();
    await end(session);
    for (let n = 0; n < 300; n += 1)
      expect(await upload(session, [copy('one', null, `v${n % 2}`)])).toMatchObject({ kind: 'stored' });
    expect((await shown(session.id)).map(({ text }) => text)).toEqual(['v0']);
    expect([await revisions(session), (await sessionRow(db(), session.id)).transcript_revision]).toEqual([1, 1]);
  });

  test('300 new copies after the end, one by one, make 15 revisions; the rest are refused and change nothing', async () => {
    const session = await withCall();
    await end(session);
    const kinds = [];
    for (let n = 0; n < 300; n += 1) kinds.push((await upload(session, [copy(`c${n}`, null)])).kind);
    expect(kinds.filter((kind) => kind === 'stored')).toHaveLength(15);
    expect(new Set(kinds.slice(15))).toEqual(new Set(['too_many']));
    expect([await revisions(session), (await shown(session.id)).length]).toEqual([15, 15]);
    expect(await upload(session, [copy('c3', null)])).toEqual({ kind: 'stored', item_ids: ['c3'] });
  });

  test('uploads after the end leave room for the entries of a teardown, and those are limited too', async () => {
    const session = await withCall();
    await end(session);
    for (let n = 0; n < 16; n += 1) await upload(session, [copy(`c${n}`, null)]);
    const worker = await project().as(workerClaims(session, 1));
    const append = (n: number) => worker.rpc('append_transcript', { p_entries: [entry(`late${n}`, null, 'words')] });
    expect((await append(0)).error).toBeNull();
    for (let n = 1; n < 100; n += 1) await append(n);
    expect((await append(100)).error).toMatchObject({ code: '23514' });
    expect(await verifiedIds(session.id)).toHaveLength(100);
  });

  test('more than 3,000 copies or two million characters are refused from any sender', async () => {
    const many = await withCall();
    const batch = (from: number) => Array.from({ length: 1_000 }, (_, n) => copy(`c${from + n}`, null, 'x'));
    for (const from of [0, 1_000, 2_000]) expect(await upload(many, batch(from))).toMatchObject({ kind: 'stored' });
    expect(await upload(many, [copy('beyond', null)])).toEqual({ kind: 'too_many' });
    const worker = await project().as(workerClaims(many, 1));
    const { error } = await worker.rpc('append_transcript', { p_entries: [copy('beyond', null)] });
    expect(error).toMatchObject({ code: '23514', message: 'refused by transcript_writes_copies_check', details: null });
    expect(
      (await worker.rpc('append_transcript', { p_entries: [entry('heard', null, 'still stored')] })).error,
    ).toBeNull();

    const long = await withCall();
    const texts = (from: number) =>
      Array.from({ length: 50 }, (_, n) => copy(`l${from + n}`, null, 'é'.repeat(20_000)));
    for (const from of [0, 50]) expect(await upload(long, texts(from))).toMatchObject({ kind: 'stored' });
    expect(await upload(long, [copy('one more', null, 'x')])).toEqual({ kind: 'too_many' });
  });

  test('a session accepts sixty uploads a minute; the next one stores nothing and gets a retry time', async () => {
    const session = await withCall();
    const nextAfter = (seconds: number) =>
      db().query(
        'update public.rate_limits set next_at = clock_timestamp() + make_interval(secs => $2) where scope = $1',
        [`upload:${session.id}`, seconds],
      );
    expect((await uploadOnce(session, [copy('first', null)])).kind).toBe('stored');
    await nextAfter(300);
    expect(await uploadOnce(session, [copy('beyond', null)])).toMatchObject({
      kind: 'rate_limited',
      retry_after_ms: expect.any(Number),
    });
    await nextAfter(30);
    expect((await uploadOnce(session, [copy('second', null)])).kind).toBe('stored');
    expect((await shown(session.id)).map(({ item_id }) => item_id)).toEqual(['first', 'second']);
  });

  test('a second concurrent upload of a session is refused at once and holds no connection', async () => {
    const session = await withCall();
    const slow = await db().connect();
    try {
      await slow.query('begin');
      const args = [session.id, tenant.id, JSON.stringify([copy('slow', null)])];
      await slow.query('select public.upload_transcript($1, $2, $3)', args);
      const startedMs = performance.now();
      expect(await upload(session, [copy('second', null)])).toMatchObject({ kind: 'rate_limited' });
      // The first one is still open, so waiting for it would never end. The bound is for a busy machine.
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      await slow.query('commit');
      expect((await upload(session, [copy('second', null)])).kind).toBe('stored');
    } finally {
      slow.release();
    }
  });

  test('a stolen worker token cannot write more than a session can hold', async () => {
    const session = await servedSession(db(), tenant);
    await store(session.id, [entry('a', null, 'x')]);
    await db().query('update public.transcript_writes set entries = 49999 where session_id = $1', [session.id]);
    const worker = await project().as(workerClaims(session, 1));
    expect((await worker.rpc('append_transcript', { p_entries: [entry('b', 'a', 'y')] })).error).toBeNull();
    const { error } = await worker.rpc('append_transcript', { p_entries: [entry('c', 'b', 'z')] });
    expect(error?.code).toBe('23514');
    expect(await verifiedIds(session.id)).toEqual(['a', 'b']);
  });
});

describe("the end of a worker's authority", () => {
  const asWorker = (session: TestSession) => project().as(workerClaims(session, 1));
  const over = async (session: TestSession, sql: string) => {
    await store(session.id, [entry('a', null, 'heard')]);
    await end(session);
    await db().query(sql, [session.id]);
  };

  test.each([
    [
      'two minutes after the end',
      "update public.interview_sessions set completed_at = now() - interval '121 s' where id = $1",
    ],
    [
      'when its machine is destroyed',
      "update public.machines set state = 'destroyed', reason = 'session_ended' where session_id = $1",
    ],
  ])('%s, a worker can no longer rewrite entries, report, set flags or read', async (_when, sql) => {
    const session = await servedSession(db(), tenant);
    await over(session, sql);
    const worker = await asWorker(session);
    const answers = [
      await worker.rpc('append_transcript', { p_entries: [entry('a', null, 'REWRITTEN')] }),
      await worker.rpc('worker_report', { p_presence: 'present' }),
      await worker.rpc('flag_integrity', { p_kind: 'made_up' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([409, 409, 409]);
    expect((await worker.from('interview_sessions').select('id')).data).toEqual([]);
    expect((await shown(session.id)).map(({ text }) => text)).toEqual(['heard']);
  });

  test('a worker can still store entries in the minute after the end of its session', async () => {
    const session = await servedSession(db(), tenant);
    await over(session, 'select $1');
    const { error } = await (await asWorker(session)).rpc('append_transcript', {
      p_entries: [entry('b', 'a', 'late')],
    });
    expect(error).toBeNull();
  });
});

describe('cost of ordering a conversation', () => {
  /** Milliseconds: the minimum of five runs. */
  async function leastMs(links: (n: number, count: number) => string | null, count: number): Promise<number> {
    const { id } = await servedSession(db(), tenant);
    const entries = Array.from({ length: count }, (_, n) => ({ id: `c${n}`, previous: links(n, count) }));
    await db().query(
      `insert into public.transcript_entries
         (session_id, tenant_id, call_ordinal, item_id, previous_item_id, speaker, text, verified)
       select $1, $2, 1, e ->> 'id', e ->> 'previous', 'candidate', 'x', false from jsonb_array_elements($3) e`,
      [id, tenant.id, JSON.stringify(entries)],
    );
    const times = [];
    for (let run = 0; run < 5; run += 1) {
      const startedMs = performance.now();
      const { rows } = await db().query('select count(*)::int as n from public.transcript_of($1)', [id]);
      times.push(performance.now() - startedMs);
      expect(rows[0].n).toBe(count);
    }
    return Math.min(...times);
  }

  test.each([
    ['a chain', (n: number) => (n === 0 ? null : `c${n - 1}`)],
    ['a chain that arrived backwards', (n: number) => `c${n + 1}`],
    ['all after one', (n: number) => (n === 0 ? null : 'c0')],
    ['one circle', (n: number, count: number) => `c${(n + 1) % count}`],
    ['links to nothing', (n: number) => `lost${n}`],
  ])(
    'ordering stays linear (%s): sixteen times as many entries take at most eighty times as long',
    async (_shape, links) => {
      const times = [];
      for (const count of [1_000, 4_000, 16_000]) times.push(await leastMs(links, count));
      const [small, , large] = times as [number, number, number];
      // Three for each of the four doublings, because a busy machine slows the large reads more than the small ones; a
      // quadratic order would take 256 times as long, and did take 15 s for 10,000.
      expect(large / Math.max(5, small), times.join(' ')).toBeLessThan(81);
    },
  );
});
