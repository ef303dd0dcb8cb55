import type { SupabaseClient } from '@supabase/supabase-js';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import {
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

/** The transcript: fenced by epoch, merged from two sources, read in the order of the conversation. */
const project = useProject();
const db = () => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db(), { max_live_sessions: 500 });
});

const workerOf = (session: TestSession, epoch = 1): Promise<SupabaseClient> =>
  project().as(workerClaims(session, epoch));
const textsOf = async (sessionId: string): Promise<string[]> => {
  const { rows } = await db().query(
    'select text, sequence_number from public.transcript_of($1) order by sequence_number',
    [sessionId],
  );
  expect(rows.map(({ sequence_number }) => Number(sequence_number))).toEqual(rows.map((_, i) => i + 1));
  return rows.map(({ text }) => text);
};
/** Stores entries one by one, in this order of arrival, as the owner and without the fence. */
async function store(sessionId: string, entries: object[]): Promise<void> {
  for (const one of entries)
    await db().query('select app.merge_transcript(s, $2) from public.interview_sessions s where id = $1', [
      sessionId,
      JSON.stringify([one]),
    ]);
}
const told = async (entries: object[]): Promise<string[]> => {
  const { id } = await servedSession(db(), tenant);
  await store(id, entries);
  return textsOf(id);
};

describe('fencing of transcript writes', () => {
  test('a worker of an earlier epoch gets HTTP 409 PT409 and writes nothing', async () => {
    const session = await servedSession(db(), tenant);
    const worker = await workerOf(session);
    expect((await worker.rpc('append_transcript', { p_entries: [entry('a', null, 'one')] })).error).toBeNull();
    await db().query('update public.interview_sessions set epoch = 2 where id = $1', [session.id]);
    const { error, status } = await worker.rpc('append_transcript', { p_entries: [entry('b', 'a', 'two')] });
    expect({ status, code: error?.code }).toEqual({ status: 409, code: 'PT409' });
    expect((await worker.rpc('worker_report', { p_status: 'in_progress' })).status).toBe(409);
    expect(await textsOf(session.id)).toEqual(['one']);
    expect((await sessionRow(db(), session.id)).status).toBe('ready');
  });

  test('a write from another machine, for another session or without claims is refused with PT409', async () => {
    const [session, other] = [await servedSession(db(), tenant), await servedSession(db(), tenant)];
    const wrong = [
      { ...workerClaims(session, 1), machine_id: other.machineId },
      { ...workerClaims(session, 1), session_id: other.id },
      { role: 'session_worker' },
    ];
    for (const claims of wrong) {
      const client = await project().as(claims);
      expect((await client.rpc('append_transcript', { p_entries: [entry('a', null, 'x')] })).status).toBe(409);
    }
    expect([...(await textsOf(session.id)), ...(await textsOf(other.id))]).toEqual([]);
  });

  test('a change of epoch waits for a write under way, and the next write of the old epoch is refused', async () => {
    const session = await servedSession(db(), tenant);
    const [writer, changer] = [await db().connect(), await db().connect()];
    const asWorker = "select set_config('request.jwt.claims', $1, true)";
    const append = (text: string) =>
      writer.query('select public.append_transcript($1)', [JSON.stringify([entry(text, null, text)])]);
    try {
      await writer.query('begin');
      await writer.query(asWorker, [JSON.stringify(workerClaims(session, 1))]);
      await append('before');
      const changed = changer.query('update public.interview_sessions set epoch = 2 where id = $1', [session.id]);
      // The database itself reports that the change waits for the write's lock.
      const { processID } = changer as unknown as { processID: number };
      await expect
        .poll(async () => (await db().query('select pg_blocking_pids($1) as pids', [processID])).rows[0].pids.length)
        .toBe(1);
      await append('still before');
      await writer.query('commit');
      await changed;
      await writer.query('begin');
      await writer.query(asWorker, [JSON.stringify(workerClaims(session, 1))]);
      await expect(append('after')).rejects.toMatchObject({ code: 'PT409' });
      await writer.query('rollback');
    } finally {
      writer.release();
      changer.release();
    }
    expect(await textsOf(session.id)).toEqual(['before', 'still before']);
  });

  test('a write that arrives during a change of epoch waits and is then refused', async () => {
    const session = await servedSession(db(), tenant);
    const changer = await db().connect();
    try {
      await changer.query('begin');
      await changer.query('update public.interview_sessions set epoch = 2 where id = $1', [session.id]);
      const worker = await workerOf(session);
      const write = worker.rpc('append_transcript', { p_entries: [entry('a', null, 'late')] }).then((answer) => answer);
      const waiting =
        "select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%append_transcript%'";
      await expect.poll(async () => (await project().admin.query(waiting)).rows[0].n).toBe(1);
      await changer.query('commit');
      expect((await write).status).toBe(409);
    } finally {
      changer.release();
    }
    expect(await textsOf(session.id)).toEqual([]);
  });
});

describe('merging of entries', () => {
  test('storing the same entries again changes nothing and acknowledges them again', async () => {
    const session = await servedSession(db(), tenant);
    const worker = await workerOf(session);
    const p_entries = [entry('a', null, 'one'), entry('b', 'a', 'two')];
    const first = await worker.rpc('append_transcript', { p_entries });
    const stored = (
      await db().query('select * from public.transcript_entries where session_id = $1 order by arrival', [session.id])
    ).rows;
    const second = await worker.rpc('append_transcript', { p_entries });
    expect([first.data.sort(), second.data.sort()]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect(
      (await db().query('select * from public.transcript_entries where session_id = $1 order by arrival', [session.id]))
        .rows,
    ).toEqual(stored);
  });

  test('sideband text replaces browser text, and browser text replaces neither sideband text nor an earlier browser copy', async () => {
    const session = await servedSession(db(), tenant);
    const show = async () =>
      (await db().query('select text, verified from public.transcript_entries where session_id = $1', [session.id]))
        .rows;
    const browser = (text: string) => entry('a', null, text, { verified: false });
    await store(session.id, [browser('browser')]);
    expect(await show()).toEqual([{ text: 'browser', verified: false }]);
    await store(session.id, [browser('browser again')]);
    expect(await show()).toEqual([{ text: 'browser', verified: false }]);
    await store(session.id, [entry('a', null, 'sideband')]);
    await store(session.id, [browser('forged')]);
    expect(await show()).toEqual([{ text: 'sideband', verified: true }]);
  });

  test('sideband text wins over browser text in the same batch, in either order', async () => {
    for (const order of [
      [true, false],
      [false, true],
    ]) {
      const { id } = await servedSession(db(), tenant);
      const both = order.map((verified) => entry('a', null, verified ? 'sideband' : 'browser', { verified }));
      await db().query('select app.merge_transcript(s, $2) from public.interview_sessions s where id = $1', [
        id,
        JSON.stringify(both),
      ]);
      expect(await textsOf(id)).toEqual(['sideband']);
    }
  });

  test('an entry after the end raises the revision once, and its repetition does not', async () => {
    const session = await servedSession(db(), tenant);
    await move(db(), session.id, 'completed', 'completed', 'interviewer_finished');
    const late = [entry('z', null, 'late')];
    await store(session.id, late);
    await store(session.id, late);
    expect((await sessionRow(db(), session.id)).transcript_revision).toBe(1);
    expect((await eventsOf(db(), session.id)).filter(({ type }) => type === 'transcript.revised')).toHaveLength(1);
  });

  test('twenty writers with overlapping entries store each entry once', async () => {
    const session = await servedSession(db(), tenant);
    const worker = await workerOf(session);
    const chain = Array.from({ length: 30 }, (_, i) => entry(`i${i}`, i === 0 ? null : `i${i - 1}`, `text ${i}`));
    const batches = Array.from({ length: 20 }, (_, i) => chain.slice(i, i + 11));
    const answers = await Promise.all(batches.map((p_entries) => worker.rpc('append_transcript', { p_entries })));
    expect(answers.map(({ error }) => error?.message ?? 'stored')).toEqual(batches.map(() => 'stored'));
    expect(await textsOf(session.id)).toEqual(chain.map(({ text }) => text));
  });
});

describe('order of entries', () => {
  test('entries follow previous_item_id for any order of arrival', async () => {
    const chain = [entry('a', null, '1'), entry('b', 'a', '2'), entry('c', 'b', '3'), entry('d', 'c', '4')];
    expect(await told([chain[3]!, chain[1]!, chain[0]!, chain[2]!])).toEqual(['1', '2', '3', '4']);
  });

  test('every order of arrival of a conversation with an empty item reads the same', async () => {
    const chain = [entry('a', null, '1'), entry('tool', 'a', ''), entry('b', 'tool', '2'), entry('c', 'b', '3')];
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(chain, { minLength: 4 }), async (arrival) => {
        expect(await told(arrival)).toEqual(['1', '2', '3']);
      }),
      { numRuns: 12 },
    );
  });

  test('an entry whose predecessor was never stored keeps its place of arrival, followed by its followers', async () => {
    expect(await told([entry('a', null, '1'), entry('x', 'lost', '2'), entry('y', 'x', '3')])).toEqual(['1', '2', '3']);
  });

  test('calls follow each other by ordinal and may use the same item ids', async () => {
    const second = { ordinal: 2 };
    const entries = [
      entry('a', null, 'second 1', second),
      entry('b', 'a', 'second 2', second),
      entry('b', 'a', 'first 2'),
      entry('a', null, 'first 1'),
    ];
    expect(await told(entries)).toEqual(['first 1', 'first 2', 'second 1', 'second 2']);
  });

  test('two entries after the same one are ordered by arrival, each with its own followers', async () => {
    const entries = [entry('a', null, '1'), entry('c', 'a', '2'), entry('b', 'a', '4'), entry('d', 'c', '3')];
    expect(await told(entries)).toEqual(['1', '2', '3', '4']);
  });

  test('a circle of links loses and repeats no entry', async () => {
    const entries = [
      entry('ok', null, '1'),
      entry('a', 'b', '2'),
      entry('b', 'a', '3'),
      entry('self', 'self', '4'),
      entry('tail', 'b', '5'),
    ];
    expect(await told(entries)).toEqual(['1', '2', '3', '4', '5']);
  });

  test('random links never lose or repeat an entry', async () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const link = fc.option(fc.constantFrom(...ids, 'lost'));
    await fc.assert(
      fc.asyncProperty(fc.tuple(...ids.map(() => link)), async (links) => {
        const texts = await told(ids.map((id, i) => entry(id, links[i] ?? null, id)));
        expect(texts.sort()).toEqual(ids);
      }),
      { numRuns: 25 },
    );
  });

  test('the view shows the whole conversation as one text', async () => {
    const session = await servedSession(db(), tenant);
    await store(session.id, [entry('a', null, 'Hello', { speaker: 'ai' }), entry('b', 'a', 'Hi')]);
    const { rows } = await db().query(
      'select transcript, revision from public.interview_transcripts where session_id = $1',
      [session.id],
    );
    expect(rows).toEqual([{ transcript: 'Interviewer: Hello\n\nCandidate: Hi', revision: 0 }]);
  });

  test('a chain of 800 entries is read in its order', async () => {
    const session = await servedSession(db(), tenant);
    const chain = Array.from({ length: 800 }, (_, i) => entry(`i${i}`, i === 0 ? null : `i${i - 1}`, `${i}`));
    await db().query('select app.merge_transcript(s, $2) from public.interview_sessions s where id = $1', [
      session.id,
      JSON.stringify(chain),
    ]);
    expect(await textsOf(session.id)).toEqual(chain.map(({ text }) => text));
  });
});
