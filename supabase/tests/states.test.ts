import { eventAudiences, eventTypes, sessionlessEventTypes } from '@greenroom/shared/session/events.ts';
import { machineReasonNames, sessionReasonNames } from '@greenroom/shared/session/reasons.ts';
import {
  isEnded,
  machineRanks,
  machineStates,
  type Outcome,
  outcomes,
  presences,
  type SessionStatus,
  sessionRanks,
  sessionStatuses,
} from '@greenroom/shared/session/states.ts';
import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { rolledBack, useProject } from './support/project.ts';
import {
  call,
  claim,
  digest,
  entry,
  eventsOf,
  move,
  newSession,
  newTenant,
  servedSession,
  sessionRow,
  type TestTenant,
} from './support/sessions.ts';

/** The guarded state functions: sessions and machines only move forward, and an ending is decided once. */
const project = useProject();
const db = () => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db());
});

const errorOf = (work: Promise<unknown>): Promise<{ code?: string }> =>
  work.then(
    () => ({}),
    (error) => ({ code: error.code }),
  );

describe('session states', () => {
  /** Puts a session into a status without the guard; from finalizing on it also sets the ending. */
  async function sessionIn(client: pg.PoolClient, status: SessionStatus): Promise<string> {
    const { id } = await newSession(client, tenant);
    const outcome = endingFor(status);
    await client.query('alter table public.interview_sessions disable trigger guard');
    await client.query(
      'update public.interview_sessions set status = $2, outcome = $3, reason = $4, scheduled_at = now() where id = $1',
      [id, status, outcome, outcome && 'internal_error'],
    );
    await client.query('alter table public.interview_sessions enable trigger guard');
    return id;
  }
  const endingFor = (status: SessionStatus): string | null =>
    isEnded(status) ? status : status === 'finalizing' ? 'completed' : null;

  async function tryMove(from: SessionStatus, to: SessionStatus): Promise<boolean | 'refused'> {
    return rolledBack(db(), async (client) => {
      const id = await sessionIn(client, from);
      const outcome = endingFor(to) ?? undefined;
      return move(client, id, to, outcome, outcome && 'internal_error').catch(() => 'refused' as const);
    });
  }

  test('a session moves from any status to every later one, and never to its own or an earlier one', async () => {
    const wrong: string[] = [];
    for (const from of sessionStatuses)
      for (const to of sessionStatuses) {
        // Here finalizing has decided on completed, so another final status is refused.
        const contradicts = from === 'finalizing' && isEnded(to) && to !== 'completed';
        const expected = contradicts ? 'refused' : sessionRanks[to] > sessionRanks[from];
        const moved = await tryMove(from, to);
        if (moved !== expected) wrong.push(`${from} → ${to}: ${moved}`);
      }
    expect(wrong).toEqual([]);
  });

  test('a late or repeated status report changes nothing and writes no event', async () => {
    const { id } = await servedSession(db(), tenant);
    await move(db(), id, 'in_progress');
    const before = { row: await sessionRow(db(), id), events: await eventsOf(db(), id) };
    expect(await move(db(), id, 'in_progress')).toBe(false);
    expect(await move(db(), id, 'connecting')).toBe(false);
    expect(await move(db(), id, 'pending')).toBe(false);
    expect({ row: await sessionRow(db(), id), events: await eventsOf(db(), id) }).toEqual(before);
  });

  test('the ending of a session is decided once, and later calls copy what finalizing decided', async () => {
    const { id } = await servedSession(db(), tenant);
    await move(db(), id, 'finalizing', 'completed', 'interviewer_finished');
    await call(db(), 'app.end_session', { p_session_id: id, p_outcome: 'failed', p_reason: 'worker_lost' });
    expect(await sessionRow(db(), id)).toMatchObject({
      status: 'completed',
      outcome: 'completed',
      reason: 'interviewer_finished',
    });
    expect(
      await errorOf(
        db().query("update public.interview_sessions set outcome = 'failed', status = 'failed' where id = $1", [id]),
      ),
    ).toEqual({ code: 'GR001' });
    expect(
      await errorOf(db().query("update public.interview_sessions set reason = 'worker_lost' where id = $1", [id])),
    ).toEqual({ code: 'GR002' });
  });

  test('SQL cannot move a session back, end it without a reason or give it an older epoch', async () => {
    const { id } = await servedSession(db(), tenant);
    const update = (set: string) =>
      errorOf(db().query(`update public.interview_sessions set ${set} where id = $1`, [id]));
    expect(await update("status = 'pending'")).toEqual({ code: 'GR001' });
    expect(await update('epoch = 0')).toEqual({ code: 'GR003' });
    expect(await update("status = 'failed'")).toEqual({ code: '23514' });
    expect(await update("status = 'failed', outcome = 'failed'")).toEqual({ code: '23514' });
    expect(await update("status = 'failed', outcome = 'failed', reason = 'bad luck'")).toEqual({ code: '23514' });
    expect(await update("status = 'failed', outcome = 'completed', reason = 'worker_lost'")).toEqual({ code: '23514' });
    expect((await sessionRow(db(), id)).status).toBe('ready');
  });

  test('every status change and its event are written in one transaction', async () => {
    const { id } = await servedSession(db(), tenant);
    await rolledBack(db(), (client) => move(client, id, 'in_progress'));
    expect((await sessionRow(db(), id)).status).toBe('ready');
    expect((await eventsOf(db(), id)).map(({ type }) => type)).toEqual([
      'session.pending',
      'machine.reserved',
      'session.provisioning',
      'machine.claimed',
      'session.ready',
    ]);
  });
});

describe('machine states', () => {
  test('a machine only moves forward, through the function and in plain SQL', async () => {
    const wrong: string[] = [];
    for (const from of machineStates)
      for (const to of machineStates) {
        const { moved, forced } = await rolledBack(db(), async (client) => {
          const { machineId } = await newSession(client, tenant);
          await client.query('update public.machines set state = $2, reason = $3 where id = $1', [
            machineId,
            from,
            'session_ended',
          ]);
          const done = await call(client, 'app.move_machine', {
            p_machine_id: machineId,
            p_state: to,
            p_reason: 'session_ended',
          });
          await client.query('savepoint s');
          const back = await errorOf(
            client.query('update public.machines set state = $2 where id = $1', [machineId, 'reserved']),
          );
          return { moved: done, forced: back.code };
        });
        const forward = machineRanks[to] > machineRanks[from];
        if (moved !== forward) wrong.push(`${from} → ${to}: ${moved}`);
        if ((forward ? to : from) !== 'reserved' && forced !== 'GR005')
          wrong.push(`${from} → ${to} → reserved: ${forced}`);
      }
    expect(wrong).toEqual([]);
  });

  test('a machine serves one session: session_id is written once', async () => {
    const [first, second] = [await newSession(db(), tenant), await newSession(db(), tenant)];
    const assign = (session: string | null) =>
      errorOf(db().query('update public.machines set session_id = $2 where id = $1', [first.machineId, session]));
    expect(await assign(second.id)).toEqual({ code: 'GR004' });
    expect(await assign(null)).toEqual({ code: 'GR004' });
    expect(await assign(first.id)).toEqual({});
  });

  test('a claim gets the same answer for the same nonce and is refused for another nonce', async () => {
    const session = await newSession(db(), tenant);
    const first = await claim(db(), session, 'a');
    expect(first).toMatchObject({ kind: 'claimed', session: { epoch: 1, status: 'ready' } });
    expect(await claim(db(), session, 'a')).toMatchObject({ kind: 'claimed', session: { epoch: 1 } });
    expect(await claim(db(), session, 'b')).toMatchObject({ kind: 'refused' });
    expect((await sessionRow(db(), session.id)).epoch).toBe(1);
  });
});

test('calls of several sessions are opened and recorded together, each with an answer of its own', async () => {
  const [a, b] = [await servedSession(db(), tenant), await servedSession(db(), tenant)];
  const of = ({ machineId }: typeof a, epoch = 1, ordinal = 1) => ({ machine_id: machineId, epoch, ordinal });
  const opened = await call(db(), 'open_calls', {
    p_calls: [of(b), of(a, 9), of(a), of(b, 1, 3)],
    p_provider: 'openai',
  });
  expect(opened.map(({ kind }: { kind: string }) => kind)).toEqual(['opened', 'fenced', 'opened', 'wrong_ordinal']);
  expect([opened[0].session.session_id, opened[2].session.session_id]).toEqual([b.id, a.id]);
  const news = [
    { ...of(b), call_id: 'rtc_b', hung_up: false },
    { ...of(a, 1, 2), call_id: 'rtc_none', hung_up: false },
    { ...of(a), credential_ciphertext: 'sealed', credential_ms: 60_000, hung_up: false },
    { ...of(b), hung_up: true },
  ];
  expect(await call(db(), 'record_calls', { p_calls: news })).toEqual([true, false, true, true]);
  const { rows } = await db().query(
    `select call_id, credential_ciphertext, hung_up_at is not null as over from public.realtime_calls
     where session_id = any ($1) order by call_id nulls last`,
    [[a.id, b.id]],
  );
  expect(rows).toEqual([
    { call_id: 'rtc_b', credential_ciphertext: null, over: true },
    { call_id: null, credential_ciphertext: 'sealed', over: false },
  ]);
});

describe('no call before a required consent', () => {
  test('sessions of a tenant that requires consent wait for it, and agreeing to the right text opens them once', async () => {
    const careful = await newTenant(db(), { require_consent: true, consent_text_version: '2026-11' });
    const session = await servedSession(db(), careful);
    const openCall = () =>
      call(db(), 'open_calls', {
        p_calls: [{ machine_id: session.machineId, epoch: 1, ordinal: 1 }],
        p_provider: 'openai',
      }).then(([answer]) => answer);
    const mayStart = () => call(db(), 'session_may_start', { p_session_id: session.id });
    const consent = (version: string) =>
      call(db(), 'record_consent', {
        p_session_id: session.id,
        p_text_version: version,
        p_remote_address_hash: digest('a'),
      });

    expect(await mayStart()).toEqual({ kind: 'consent_required', text_version: '2026-11' });
    expect(await errorOf(openCall())).toEqual({ code: 'GR006' });
    expect(await consent('2025-01')).toEqual({ kind: 'other_version', text_version: '2026-11' });
    const first = await consent('2026-11');
    expect(first).toMatchObject({ kind: 'recorded' });
    expect(await consent('2026-11')).toEqual(first);
    expect(await mayStart()).toEqual({ kind: 'may_start' });
    expect(await openCall()).toMatchObject({ kind: 'opened' });
    expect((await eventsOf(db(), session.id)).filter(({ type }) => type === 'candidate.consented')).toHaveLength(1);
  });

  test('requiring consent does not stop sessions that already exist', async () => {
    const later = await newTenant(db());
    const session = await newSession(db(), later);
    await call(db(), 'update_tenant', {
      p_tenant_id: later.id,
      p_changes: { require_consent: true, consent_text_version: '1' },
      p_by: {},
    });
    expect(await call(db(), 'session_may_start', { p_session_id: session.id })).toEqual({ kind: 'may_start' });
    expect(await call(db(), 'session_may_start', { p_session_id: (await newSession(db(), later)).id })).toMatchObject({
      kind: 'consent_required',
    });
  });
});

describe('a candidate who does not consent', () => {
  const invited = async (
    rules: Record<string, unknown> = { require_consent: true, consent_text_version: 'v1' },
    served = false,
  ) => {
    const careful = await newTenant(db(), rules);
    const session = served ? await servedSession(db(), careful) : await newSession(db(), careful);
    const code = { p_session_id: session.id, p_code_hash: digest(`code of ${session.id}`) };
    await call(db(), 'create_invitation', { ...code, p_tenant_id: careful.id, p_expires_ms: 60_000, p_by: {} });
    const by = (browser: string) => ({ ...code, p_browser_hash: digest(browser) });
    return {
      session,
      tenant: careful,
      decline: (browser = 'phone') => call(db(), 'decline_consent', by(browser)),
      join: (browser = 'phone') => call(db(), 'join_session', by(browser)),
      look: (browser = 'phone') => call(db(), 'look_at_invitation', by(browser)),
      consent: (browser = 'phone') =>
        call(db(), 'give_consent', { ...by(browser), p_text_version: 'v1', p_remote_address_hash: digest('a') }),
      events: async () => (await eventsOf(db(), session.id)).filter(({ type }) => type === 'consent.declined'),
    };
  };
  const ended = { outcome: 'cancelled', reason: 'consent_declined' };

  test('ends the session once, and cannot consent or join afterwards', async () => {
    const { session, decline, join, look, consent, events } = await invited();
    expect(await look()).toMatchObject({ ending: null });
    expect(await decline()).toMatchObject({ kind: 'declined', session: ended });
    expect(await decline()).toMatchObject({ kind: 'declined', session: ended, machines: [] });
    expect((await events()).map(({ data }) => data)).toEqual([{ text_version: 'v1' }]);
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'cancelled', ...ended });
    expect(await look()).toMatchObject({ ending: ended });
    expect([(await consent()).kind, (await join()).kind]).toEqual(['ended', 'ended']);
  });

  test('cannot consent while the worker still carries out the end, and the platform’s end changes nothing', async () => {
    const { session, tenant, decline, consent } = await invited(undefined, true);
    expect(await decline()).toMatchObject({ kind: 'declined', machines: [{ machine_id: session.machineId }] });
    expect(await sessionRow(db(), session.id)).toMatchObject({ status: 'ready', ...ended });
    expect(await consent()).toEqual({ kind: 'ended' });
    const end = { p_session_id: session.id, p_tenant_id: tenant.id, p_outcome: 'cancelled' };
    expect(await call(db(), 'request_end', { ...end, p_reason: 'ended_by_platform' })).toMatchObject({
      kind: 'already',
      session: ended,
    });
  });

  test('is refused after a consent, in another browser, and where no consent is required', async () => {
    const given = await invited();
    expect(await given.consent()).toMatchObject({ kind: 'recorded' });
    expect([(await given.decline()).kind, (await given.decline('laptop')).kind]).toEqual(['given', 'used']);
    const free = await invited({});
    expect(await free.decline()).toEqual({ kind: 'not_required' });
    expect(await given.events()).toEqual([]);
    for (const { session } of [given, free])
      expect(await sessionRow(db(), session.id)).toMatchObject({ outcome: null, reason: null });
  });

  test('does not change an ending that was decided before', async () => {
    const { session, tenant, decline, events } = await invited(undefined, true);
    const end = { p_session_id: session.id, p_tenant_id: tenant.id, p_outcome: 'cancelled' };
    await call(db(), 'request_end', { ...end, p_reason: 'ended_by_platform' });
    expect(await decline()).toEqual({ kind: 'ended' });
    expect([(await sessionRow(db(), session.id)).reason, await events()]).toEqual(['ended_by_platform', []]);
  });
});

describe('lists in the database and in shared/src/session', () => {
  const sorted = (list: readonly string[]) => [...list].sort();

  /** The words listed in a check constraint or ranked by a function. */
  async function wordsOf(query: string, pattern: RegExp): Promise<string[]> {
    const { rows } = await db().query<{ text: string }>(query);
    return sorted([
      ...new Set(rows.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, word]) => word as string))),
    ]);
  }
  const rankedBy = (name: string) =>
    wordsOf(`select pg_get_functiondef('app.${name}(text)'::regprocedure) as text`, /when '([a-z_]+)'/gi);
  const ranksOf = async (name: string, words: readonly string[]) =>
    Object.fromEntries(
      (await db().query(`select w, app.${name}(w) as rank from unnest($1::text[]) w`, [words])).rows.map(
        ({ w, rank }) => [w, rank],
      ),
    );

  test('the statuses and their ranks in SQL and TypeScript are equal', async () => {
    expect(await ranksOf('rank_of', sessionStatuses)).toEqual(sessionRanks);
    expect(await rankedBy('rank_of')).toEqual(sorted([...sessionStatuses, 'ended']));
  });

  test('the machine states and their ranks in SQL and TypeScript are equal', async () => {
    expect(await ranksOf('life_rank_of', machineStates)).toEqual(machineRanks);
    expect(await rankedBy('life_rank_of')).toEqual(sorted(machineStates));
  });

  test('SQL and TypeScript agree on who receives which event', async () => {
    const { rows } = await db().query('select w as type, app.event_audience(w) as audience from unnest($1::text[]) w', [
      eventTypes,
    ]);
    expect(Object.fromEntries(rows.map(({ type, audience }) => [type, audience]))).toEqual(eventAudiences);
  });

  test('the outcomes are exactly the statuses of the last rank', async () => {
    const session = await newSession(db(), tenant);
    for (const word of [...sessionStatuses, 'ended', 'nonsense']) {
      const accepted = await rolledBack(db(), (client) =>
        client
          .query("update public.interview_sessions set outcome = $2, reason = 'internal_error' where id = $1", [
            session.id,
            word,
          ])
          .then(
            () => true,
            () => false,
          ),
      );
      expect([word, accepted]).toEqual([word, outcomes.includes(word as Outcome)]);
    }
  });

  test.each([
    ['interview_sessions', 'presence', presences],
    ['interview_sessions', 'reason', sessionReasonNames],
    ['machines', 'reason', machineReasonNames],
  ] as const)('SQL and TypeScript list the same values of %s.%s', async (table, column, names) => {
    const checks = `select pg_get_constraintdef(c.oid) as text from pg_constraint c
      where c.conrelid = 'public.${table}'::regclass and c.contype = 'c'
        and pg_get_constraintdef(c.oid) like '%(${column} = ANY%'`;
    expect(await wordsOf(checks, /'([a-z_.]+)'::text/g)).toEqual(sorted(names));
  });

  test('the values of session_events.type in SQL and TypeScript are equal', async () => {
    const session = await newSession(db(), tenant);
    const { rows } = await db().query<{ text: string }>(
      "select pg_get_constraintdef(oid) as text from pg_constraint where conname = 'event_type_is_known'",
    );
    const listed = [...(rows[0]?.text ?? '').matchAll(/'([a-z_]+[.][a-z_]+)'/g)].map(([, word]) => word as string);
    const known: readonly string[] = eventTypes;
    const sessionless: readonly string[] = sessionlessEventTypes;
    expect(listed.filter((word) => !known.includes(word))).toEqual(['session.ended']);
    const accepts = (type: string, p_session_id: string | null) =>
      rolledBack(db(), (client) =>
        call(client, 'app.emit', { p_session_id, p_tenant_id: session.tenantId, p_type: type }).then(
          () => true,
          () => false,
        ),
      );
    for (const type of [...known, 'session.ended', 'session.nonsense', 'machine.nonsense', 'candidate.said']) {
      const ofTenant = sessionless.includes(type);
      expect([type, await accepts(type, session.id)]).toEqual([type, known.includes(type) && !ofTenant]);
      expect([type, await accepts(type, null)]).toEqual([type, ofTenant]);
    }
  });

  test('a worker cannot report a status that only the control plane may set', async () => {
    const session = await servedSession(db(), tenant);
    const worker = await project().as({
      role: 'session_worker',
      session_id: session.id,
      machine_id: session.machineId,
      epoch: 1,
    });
    for (const status of ['ready', 'completed', 'failed']) {
      expect((await worker.rpc('worker_report', { p_status: status })).error?.code).toBe('22023');
    }
    expect((await worker.rpc('append_transcript', { p_entries: [entry('a', null, 'x')] })).error).toBeNull();
  });
});
