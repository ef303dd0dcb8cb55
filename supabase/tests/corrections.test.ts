import { beforeAll, describe, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { call, digest, entry, eventsOf, move, newTenant, servedSession, type TestTenant } from './support/sessions.ts';

/** Corrections: what a candidate says they really said. */
const project = useProject();
const db = () => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db(), { max_live_sessions: 500 });
});

async function interview() {
  const session = await servedSession(db(), tenant);
  const of = { p_session_id: session.id, p_code_hash: digest(`code of ${session.id}`) };
  await call(db(), 'create_invitation', { ...of, p_tenant_id: tenant.id, p_expires_ms: 3_600_000, p_by: {} });
  await call(db(), 'exchange_invitation', { ...of, p_browser_hash: digest('phone') });
  await db().query('select app.merge_transcript(s, $2) from public.interview_sessions s where s.id = $1', [
    session.id,
    JSON.stringify([
      entry('question', null, 'Which cache?', { speaker: 'ai' }),
      entry('answer', 'question', 'I like Readies.'),
      entry('silence', 'answer', ''),
    ]),
  ]);
  return {
    ...session,
    end: () => move(db(), session.id, 'completed', 'completed', 'interviewer_finished'),
    correct: (correction: string | null, changes: object = {}) =>
      call(db(), 'correct_entry', {
        ...of,
        ...{ p_browser_hash: digest('phone'), p_ordinal: 1, p_item_id: 'answer', p_correction: correction },
        ...changes,
      }),
    answer: async () =>
      (await call(db(), 'transcript_to_evaluate', { p_session_id: session.id })).find(
        ({ item_id }: { item_id: string }) => item_id === 'answer',
      ),
    revisions: async () =>
      (await eventsOf(db(), session.id)).filter(({ type }) => type === 'transcript.revised').length,
    invitation: (change: string) =>
      db().query(`update public.session_invitations set ${change} where session_id = $1`, [session.id]),
  };
}

describe('a correction', () => {
  test('stands beside the text, appears in every form of the transcript, and is evaluated', async () => {
    const { id, end, correct, answer, revisions } = await interview();
    await end();
    const first = await correct('I like Redis.');
    expect(first).toMatchObject({ kind: 'corrected', corrected_at: expect.any(String) });
    expect(await answer()).toMatchObject({ text: 'I like Readies.', correction: 'I like Redis.', verified: true });
    const { rows } = await db().query('select transcript from public.interview_transcripts where session_id = $1', [
      id,
    ]);
    expect(rows[0].transcript).toContain('Candidate: I like Readies. [corrected by the candidate: I like Redis.]');
    expect(await correct('I like Redis.')).toEqual(first);
    expect(await revisions()).toBe(1);
    const { rows: results } = await db().query(
      'select wanted_revision from public.interview_results where session_id = $1',
      [id],
    );
    expect(results).toEqual([{ wanted_revision: 1 }]);
  });

  test('can be changed and removed, and survives the sideband’s own text', async () => {
    const { id, end, correct, answer } = await interview();
    await end();
    await correct('I like Redis.');
    await db().query('select app.merge_transcript(s, $2) from public.interview_sessions s where s.id = $1', [
      id,
      JSON.stringify([entry('answer', 'question', 'I like readies.')]),
    ]);
    expect(await answer()).toMatchObject({ text: 'I like readies.', correction: 'I like Redis.' });
    await correct('I like Valkey.');
    expect(await answer()).toMatchObject({ correction: 'I like Valkey.' });
    expect(await correct(null)).toEqual({ kind: 'corrected', corrected_at: null });
    expect(await answer()).toMatchObject({ correction: null });
  });

  test('is refused during the interview, of the interviewer’s words, and of what was not said', async () => {
    const { end, correct } = await interview();
    expect(await correct('x')).toEqual({ kind: 'not_ended' });
    await end();
    for (const [item, ordinal] of [
      ['question', 1],
      ['silence', 1],
      ['unknown', 1],
      ['answer', 2],
    ] as const)
      expect(await correct('x', { p_item_id: item, p_ordinal: ordinal })).toEqual({ kind: 'unknown_entry' });
  });

  test('is refused from another browser, with another code and with a revoked one', async () => {
    const { end, correct, invitation } = await interview();
    await end();
    expect(await correct('x', { p_browser_hash: digest('laptop') })).toEqual({ kind: 'used' });
    expect(await correct('x', { p_code_hash: digest('guess') })).toEqual({ kind: 'invalid' });
    await invitation('revoked_at = now()');
    expect(await correct('x')).toEqual({ kind: 'invalid' });
  });

  test('is possible for a day after the end, though the invitation has expired', async () => {
    const { id, end, correct, invitation } = await interview();
    await end();
    await invitation("expires_at = now() - interval '1 minute'");
    expect(await correct('Redis')).toMatchObject({ kind: 'corrected' });
    await db().query("update public.interview_sessions set completed_at = now() - interval '25 hours' where id = $1", [
      id,
    ]);
    expect(await correct('Valkey')).toEqual({ kind: 'invalid' });
  });

  test('counts against a limit for each session', async () => {
    const { id, end, correct } = await interview();
    await end();
    await correct('Redis');
    await db().query('update public.transcript_writes set corrections = 300 where session_id = $1', [id]);
    expect(await correct('Redis')).toMatchObject({ kind: 'corrected' });
    expect(await correct('Valkey')).toEqual({ kind: 'limit_exceeded', limit: 300 });
  });

  test('is erased with the transcript and cannot be added afterwards', async () => {
    const { id, end, correct } = await interview();
    await end();
    await correct('Redis');
    await call(db(), 'app.erase_transcript', { p_session_id: id });
    expect(await correct('Valkey')).toEqual({ kind: 'erased' });
    const { rows } = await db().query('select 1 from public.transcript_entries where session_id = $1', [id]);
    expect(rows).toEqual([]);
  });
});
