import { readFileSync } from 'node:fs';
import { webhookMessage } from '@greenroom/shared/protocol/events.ts';
import { hasSession } from '@greenroom/shared/session/events.ts';
import { describe, expect, test } from 'vitest';
import { allEvents, eventsOfAnotherShape } from '../../test/support/events.ts';
import { useProject } from './support/project.ts';
import {
  by,
  call,
  digest,
  entry,
  eventsOf,
  move,
  newSession,
  newTenant,
  servedSession,
  sessionRow,
} from './support/sessions.ts';

/** A candidate withdraws consent: what ends, what is erased, and what is refused from then on. */
const project = useProject();
const db = () => project().owner;

type Effect = 'erase_interview' | 'erase_candidate' | 'review';
interface Given {
  effect?: Effect;
  /** A worker serves the session. */
  served?: boolean;
  rules?: Record<string, unknown>;
  video?: boolean;
}

const count = async (table: string, where: string, ...values: unknown[]): Promise<number> =>
  (await db().query(`select count(*)::int as n from public.${table} where ${where}`, values)).rows[0].n;

/** A session whose candidate has consented on a phone, with something of everything that an erasure must find. */
async function consented({ effect = 'erase_interview', served = false, rules, video = false }: Given = {}) {
  const tenant = await newTenant(db(), {
    ...(rules ?? { require_consent: true, consent_text_version: 'v1' }),
    on_consent_withdrawn: effect,
  });
  const candidate = { name: 'Ada', email: `${digest(tenant.id).slice(0, 8)}@x.example` };
  const request = { candidate, settings: { record_video: video } };
  const session = await (served ? servedSession(db(), tenant, request) : newSession(db(), tenant, request));
  const { id } = session;
  const code = { p_session_id: id, p_code_hash: digest(`code of ${id}`) };
  await call(db(), 'create_invitation', { ...code, p_tenant_id: tenant.id, p_expires_ms: 60_000, p_by: by });
  const of = (browser: string) => ({ ...code, p_browser_hash: digest(browser) });
  const withdraw = (browser = 'phone') => call(db(), 'withdraw_consent', { ...of(browser), p_by: by });
  const consent = () =>
    call(db(), 'give_consent', { ...of('phone'), p_text_version: 'v1', p_remote_address_hash: digest('a') });
  if (!rules) await consent();
  return {
    ...{ id, session, tenant, of, withdraw, consent },
    look: (browser = 'phone') => call(db(), 'look_at_invitation', of(browser)),
    row: () => sessionRow(db(), id),
    say: () =>
      db().query(
        `insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, speaker, text, verified)
         values ($1, $2, 1, 'i1', 'candidate', 'I am Ada', true)`,
        [id, tenant.id],
      ),
    record: () =>
      db().query('insert into public.video_segments (session_id, tenant_id, video_id) values ($1, $2, $3)', [
        id,
        tenant.id,
        `vi-${id}`,
      ]),
    upload: () =>
      call(db(), 'upload_transcript', {
        p_session_id: id,
        p_tenant_id: tenant.id,
        p_entries: [entry('late', null, 'Late', { verified: false })],
      }),
    left: async () => ({
      entries: await count('transcript_entries', 'session_id = $1', id),
      results: await count('interview_results', 'session_id = $1', id),
      recordings: await count('video_segments', 'session_id = $1', id),
    }),
  };
}
const nothing = { entries: 0, results: 0, recordings: 0 };
const ending = { outcome: 'cancelled', reason: 'consent_withdrawn' };
const audited = async (target: string) =>
  (await db().query('select action, actor, details from public.audit_log where target = $1 order by id', [target]))
    .rows;
const withdrawals = (id: string) => eventsOf(db(), id).then((all) => all.filter((e) => e.type === 'consent.withdrawn'));

describe('withdrawing before a worker serves the session', () => {
  test('ends the session, erases it in the same transaction, and says the same when repeated', async () => {
    const { id, withdraw, row, left, look, consent } = await consented();
    const first = await withdraw();
    expect(first).toMatchObject({ kind: 'withdrawn', effect: 'erase_interview', ending, status: 'cancelled' });
    expect([first.withdrawn_at, first.settled_at]).toEqual([expect.any(String), expect.any(String)]);
    expect(await withdraw()).toEqual({ ...first, machines: [] });
    expect(await row()).toMatchObject({ status: 'cancelled', ...ending });
    expect(await left()).toEqual(nothing);
    expect((await withdrawals(id)).map(({ data }) => data)).toEqual([
      { text_version: 'v1', effect: 'erase_interview' },
    ]);
    expect((await audited(id)).map(({ action }) => action)).toEqual(['consent.withdraw', 'interview.erase']);
    expect(await look()).toMatchObject({ ending, consent: { withdrawal: { withdrawn_at: first.withdrawn_at } } });
    expect(await consent()).toEqual({ kind: 'ended' });
  });

  test('is refused to another browser, with a revoked code, without a consent, and where none is required', async () => {
    const given = await consented();
    expect((await given.withdraw('laptop')).kind).toBe('used');
    await db().query('update public.session_invitations set revoked_at = now() where session_id = $1', [given.id]);
    expect((await given.withdraw()).kind).toBe('invalid');
    const open = await consented({ rules: { require_consent: true, consent_text_version: 'v1' } });
    expect((await open.withdraw()).kind).toBe('used');
    await call(db(), 'exchange_invitation', open.of('phone'));
    expect((await open.withdraw()).kind).toBe('not_given');
    const free = await consented({ rules: {} });
    await call(db(), 'exchange_invitation', free.of('phone'));
    expect((await free.withdraw()).kind).toBe('not_required');
    for (const { row } of [given, open, free])
      expect(await row()).toMatchObject({ outcome: null, consent_withdrawn_at: null });
  });
});

describe('withdrawing during the interview', () => {
  test('stops recording at once; the interview is erased when the worker has ended the session', async () => {
    const { id, session, of, withdraw, row, say, record, upload, left } = await consented({
      served: true,
      video: true,
    });
    await say();
    await record();
    await db().query("update public.video_jobs set state = 'open', video_id = $2 where session_id = $1", [
      id,
      `vi-${id}`,
    ]);
    expect(await withdraw()).toMatchObject({
      ...{ kind: 'withdrawn', settled_at: null, status: 'ready', ending },
      machines: [{ machine_id: session.machineId }],
    });
    expect(await count('video_jobs', "session_id = $1 and state = 'closing'", id)).toBe(1);
    const jobs = await call(db(), 'take_video_jobs', { p_taken_ms: 1_000, p_grace_ms: 600_000, p_limit: 50 });
    expect(jobs.filter((job: { session_id: string }) => job.session_id === id)).toMatchObject([{ erased: true }]);
    expect(await call(db(), 'want_video', { p_session_id: id, p_ordinal: 2 })).toBe(false);
    expect(await count('video_deletions', 'video_id = $1', `vi-${id}`)).toBe(1);
    expect(await upload()).toEqual({ kind: 'withdrawn' });
    const correction = { ...of('phone'), p_ordinal: 1, p_item_id: 'i1', p_correction: 'I am Ada Lovelace' };
    expect(await call(db(), 'correct_entry', correction)).toEqual({ kind: 'not_ended' });
    await call(db(), 'erase_withdrawn');
    expect(await left()).toMatchObject({ entries: 1 });
    await move(db(), id, 'finalizing', 'completed', 'ended_by_candidate');
    await move(db(), id, 'cancelled');
    expect(await row()).toMatchObject({ status: 'cancelled', ...ending, withdrawal_settled_at: null });
    await call(db(), 'erase_withdrawn');
    expect(await left()).toEqual(nothing);
    expect(await row()).toMatchObject({ withdrawal_settled_at: expect.any(Date), candidate: { name: 'Ada' } });
    expect(await upload()).toEqual({ kind: 'erased' });
    expect(await call(db(), 'erase_withdrawn')).toBe(0);
  });
});

describe('withdrawing after the interview', () => {
  const over = async (given: Given = {}) => {
    const all = await consented({ served: true, ...given });
    await all.say();
    await all.record();
    await move(db(), all.id, 'in_progress');
    await move(db(), all.id, 'finalizing', 'completed', 'ended_by_candidate');
    await move(db(), all.id, 'completed');
    return all;
  };
  const take = async (id: string) =>
    (await call(db(), 'take_results', { p_orchestrator_id: id, p_taken_ms: 60_000, p_limit: 100, p_per_tenant: 100 }))
      .filter((taken: { session_id: string }) => taken.session_id === id)
      .map((taken: { take: number }) => taken.take);
  const evaluated = (id: string, p_take: number) =>
    call(db(), 'record_result', {
      ...{ p_session_id: id, p_take, p_revision: 0 },
      p_result: { status: 'done', summary: 'Fine', evaluation: {} },
    });

  test('keeps the ending of the interview and erases the rest, also with an expired link', async () => {
    const { id, withdraw, row, left, look } = await over();
    await db().query(
      "update public.session_invitations set expires_at = now() - interval '1 day' where session_id = $1",
      [id],
    );
    expect([(await look()).kind, (await look('laptop')).kind]).toEqual(['found', 'invalid']);
    const first = await withdraw();
    expect(first).toMatchObject({ kind: 'withdrawn', ending: { outcome: 'completed', reason: 'ended_by_candidate' } });
    expect(first.settled_at).not.toBeNull();
    expect(await left()).toEqual(nothing);
    expect(await row()).toMatchObject({ status: 'completed', integrity: {}, candidate: { name: 'Ada' } });
    expect(await count('video_deletions', 'video_id = $1', `vi-${id}`)).toBe(1);
    expect((await look()).consent.withdrawal).toMatchObject({ withdrawn_at: first.withdrawn_at });
  });

  test('no evaluation is made: neither a waiting one, nor one in progress, nor one that is requested again', async () => {
    const waiting = await over({ effect: 'review' });
    await waiting.withdraw();
    expect(await take(waiting.id)).toEqual([]);
    const correction = { ...waiting.of('phone'), p_ordinal: 1, p_item_id: 'i1', p_correction: 'I am Ada Lovelace' };
    expect(await call(db(), 'correct_entry', correction)).toEqual({ kind: 'erased' });
    const running = await over({ effect: 'review' });
    const [number] = await take(running.id);
    await running.withdraw();
    expect(await evaluated(running.id, number)).toBe('stale');
    const rerun = { p_session_id: running.id, p_tenant_id: running.tenant.id };
    expect(await call(db(), 'rerun_result', rerun)).toBe('withdrawn');
    await db().query('update public.interview_sessions set transcript_revision = 9 where id = $1', [running.id]);
    expect([await running.left(), await waiting.left()]).toEqual([
      { entries: 1, results: 0, recordings: 1 },
      { entries: 1, results: 0, recordings: 1 },
    ]);
  });

  test('an evaluation made before stays for the review, although it was just requested again', async () => {
    const { id, tenant, withdraw } = await over({ effect: 'review' });
    const [first] = await take(id);
    expect(await evaluated(id, first as number)).toBe('recorded');
    await call(db(), 'rerun_result', { p_session_id: id, p_tenant_id: tenant.id });
    const [second] = await take(id);
    await withdraw();
    expect(await evaluated(id, second as number)).toBe('stale');
    expect(await count('interview_results', "session_id = $1 and status = 'done' and summary = 'Fine'", id)).toBe(1);
    expect(await take(id)).toEqual([]);
  });

  test('waits for an operator where the tenant wants a review, and every decision is final and audited', async () => {
    const decide = (id: string, p_decision: string) =>
      call(db(), 'decide_withdrawal', { p_session_id: id, p_decision, p_why: 'asked the tenant', p_by: by });
    const waiting = async (id: string) =>
      (await call(db(), 'list_withdrawals', { p_limit: 100 })).some(
        (one: { session_id: string }) => one.session_id === id,
      );
    const [kept, erased, forgotten] = [
      await over({ effect: 'review' }),
      await over({ effect: 'review' }),
      await over({ effect: 'review' }),
    ];
    expect((await decide(kept.id, 'keep')).kind).toBe('not_found');
    for (const { id, withdraw } of [kept, erased, forgotten]) {
      expect(await withdraw()).toMatchObject({ effect: 'review', settled_at: null });
      expect(await waiting(id)).toBe(true);
    }
    await call(db(), 'erase_withdrawn');
    expect(await decide(kept.id, 'keep')).toMatchObject({ kind: 'decided', effect: 'review' });
    expect(await decide(erased.id, 'erase_interview')).toMatchObject({ kind: 'decided', effect: 'erase_interview' });
    expect(await decide(forgotten.id, 'erase_candidate')).toMatchObject({ kind: 'decided', settled_at: null });
    expect((await decide(kept.id, 'erase_interview')).kind).toBe('already');
    expect([await kept.left(), await erased.left()]).toEqual([{ entries: 1, results: 0, recordings: 1 }, nothing]);
    expect([await waiting(kept.id), await waiting(erased.id), await waiting(forgotten.id)]).toEqual([
      false,
      false,
      true,
    ]);
    expect((await audited(kept.id)).at(-1)).toEqual({
      action: 'withdrawal.decide',
      actor: 'operator:test',
      details: { decision: 'keep', why: 'asked the tenant' },
    });
  });

  test('removes what was observed and recorded from the events, which still match the schema of their type', async () => {
    const { id, tenant, withdraw } = await over({ effect: 'erase_candidate' });
    const documented = [...readFileSync('docs/events.md', 'utf8').matchAll(/```json\n(\{\n {2}"type"[^`]*)```/g)]
      .map(([, example]) => webhookMessage.parse(JSON.parse(example as string)))
      .flatMap((one) => (one.type === 'webhook.test' || !hasSession(one.type) ? [] : [one]));
    expect(documented.length).toBeGreaterThan(25);
    for (const { type, data } of documented) {
      const { session_id: _, ...own } = data as Record<string, unknown>;
      await db().query(
        'insert into public.session_events (session_id, tenant_id, type, data) values ($1, $2, $3, $4)',
        [id, tenant.id, type, own],
      );
    }
    await withdraw();
    const candidate = (await sessionRow(db(), id)).candidate_id;
    const erase = { p_tenant_id: tenant.id, p_candidate_id: candidate, p_by: by };
    expect(await call(db(), 'erase_candidate', erase)).toMatchObject({ kind: 'erased' });
    const { rows } = await db().query(allEvents.replace('order', 'where session_id = $1 order'), [id]);
    expect(rows.length).toBeGreaterThan(documented.length);
    expect(eventsOfAnotherShape(rows)).toEqual([]);
    expect(rows.filter(({ data }) => data.kind !== undefined || data.video_id !== undefined)).toEqual([]);
  });

  test('erases the candidate where the tenant wants that; the link and the message to the platform outlive it', async () => {
    const { id, tenant, withdraw, row, left, look } = await over({ effect: 'erase_candidate' });
    await db().query(
      "insert into public.webhook_endpoints (tenant_id, url, secret_ciphertext, key_id) values ($1, 'https://x.example/', 'x', 'k')",
      [tenant.id],
    );
    const first = await withdraw();
    expect(first).toMatchObject({ kind: 'withdrawn', effect: 'erase_candidate', settled_at: null });
    const requested = (await call(db(), 'erasures_requested', { p_limit: 100 })).filter(
      (one: { tenant_id: string }) => one.tenant_id === tenant.id,
    );
    expect(requested).toMatchObject([{ candidate_id: first.candidate_id, by }]);
    const erase = { p_tenant_id: tenant.id, p_candidate_id: first.candidate_id, p_by: by };
    expect((await call(db(), 'erase_candidate', erase)).kind).toBe('erased');
    expect(await left()).toEqual(nothing);
    expect(await row()).toMatchObject({ candidate: { name: 'Erased' }, withdrawal_settled_at: expect.any(Date) });
    const again = await withdraw();
    expect(again).toMatchObject({ kind: 'withdrawn', withdrawn_at: first.withdrawn_at, ending: first.ending });
    expect(again.settled_at).not.toBeNull();
    expect(await look()).toMatchObject({ kind: 'found', consent: { given_at: null } });
    expect((await withdrawals(id)).map(({ data }) => data)).toEqual([
      { text_version: 'v1', effect: 'erase_candidate' },
    ]);
    expect(
      await count('webhook_deliveries', "session_id = $1 and type = 'consent.withdrawn' and status = 'pending'", id),
    ).toBe(1);
  });

  test('a candidate erased before has no link left with which consent could be withdrawn', async () => {
    const { tenant, row, withdraw } = await over();
    const { candidate_id } = await row();
    await call(db(), 'erase_candidate', { p_tenant_id: tenant.id, p_candidate_id: candidate_id, p_by: by });
    expect(await withdraw()).toEqual({ kind: 'invalid' });
  });
});

test('a session follows the rule that its tenant had when the session was created', async () => {
  const { tenant, withdraw } = await consented({ effect: 'review' });
  await call(db(), 'update_tenant', {
    p_tenant_id: tenant.id,
    p_changes: { on_consent_withdrawn: 'erase_candidate' },
    p_by: by,
  });
  expect(await withdraw()).toMatchObject({ effect: 'review', settled_at: null });
});

test('withdrawals, a worker that ends the session and the regular job run concurrently without deadlock', async () => {
  const all = await Promise.all([1, 2, 3, 4, 5, 6].map(() => consented({ served: true, effect: 'erase_candidate' })));
  await Promise.all(
    all.flatMap(({ id, withdraw, tenant, row }) => [
      withdraw(),
      withdraw(),
      move(db(), id, 'cancelled', 'cancelled', 'ended_by_platform'),
      call(db(), 'erase_withdrawn'),
      row().then(({ candidate_id }) =>
        call(db(), 'erase_candidate', { p_tenant_id: tenant.id, p_candidate_id: candidate_id, p_by: by }),
      ),
    ]),
  );
  for (const { id, row } of all) {
    expect((await row()).consent_withdrawn_at === null ? 0 : 1).toBe((await withdrawals(id)).length);
  }
});
