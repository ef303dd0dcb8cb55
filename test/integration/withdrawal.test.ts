import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { withdrawalList, withdrawnView } from '@greenroom/shared/protocol/people.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';
import { endOf, platformOf, type RunningInterview, sessionBody, startInterview, until } from '../support/session.ts';

/** A candidate withdraws consent, through the API, with a real worker and a real call. */
let stack: Stack;
let db: pg.Pool;
const browser = 'the-browser-of-the-candidate';

beforeAll(async () => {
  stack = await startStack({
    voice: { turns: 3, paceMs: 80 },
    flyLimits: false,
    transcriptUploads: true,
    environment: { HEARTBEAT_MS: '500', HEARTBEAT_FLUSH_MS: '200', RECONCILE_TICK_MS: '500' },
  });
  db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
});
afterAll(async () => {
  await db.end();
  await stack.stop();
});

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read single fields of any answer
  json: any;
}
async function send(method: string, at: string, body?: object, token?: string): Promise<Answer> {
  const answer = await fetch(at.startsWith('/') ? `${stack.publicUrl}${at}` : at, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, json: await answer.json() };
}
const asOperator = (method: string, at: string, body?: object) => send(method, at, body, stack.operatorToken);
const rule = (on_consent_withdrawn: string) =>
  asOperator('PATCH', `/api/tenants/${stack.tenant.id}`, {
    consent: { required: true, text_version: 'v1', text: 'We record you.' },
    on_consent_withdrawn,
  });
beforeEach(() => rule('erase_interview'));

const linkOf = ({ session_id, join_url }: SessionView, by = browser) => ({
  session_id,
  code: new URL(join_url ?? '').hash.slice(1),
  browser: by,
});
const withdraw = (session: SessionView, by = browser) => send('POST', '/api/join/withdraw', linkOf(session, by));
const newSession = (body = sessionBody()) => platformOf(stack).createSession(body);
const consent = (session: SessionView) => send('POST', '/api/join/consent', { ...linkOf(session), text_version: 'v1' });
/** An interview of a candidate who has consented. A silent one goes on until somebody ends it. */
async function interviewed({ silent = true, body = sessionBody() } = {}): Promise<RunningInterview> {
  const session = await newSession(body);
  expect((await consent(session)).status).toBe(200);
  const interview = await startInterview(stack, body, { peer: { autoAnswer: !silent } }, session);
  await until('somebody has spoken', () => interview.said() > 0);
  return interview;
}
const stored = async (id: string) => {
  const { rows } = await db.query(
    `select (select count(*)::int from public.transcript_entries where session_id = $1) as entries,
       (select count(*)::int from public.interview_results where session_id = $1) as results,
       (select count(*)::int from public.realtime_calls where session_id = $1 and hung_up_at is null) as open_calls`,
    [id],
  );
  return rows[0];
};
const settled = (id: string) =>
  until('the withdrawal is settled', async () => {
    const { rows } = await db.query('select withdrawal_settled_at from public.interview_sessions where id = $1', [id]);
    return rows[0].withdrawal_settled_at !== null;
  });
const erased = { entries: 0, results: 0, open_calls: 0 };

describe('during the interview', () => {
  test('the call is hung up, the interview is erased, late copies are refused, and nothing is evaluated', async () => {
    const interview = await interviewed();
    const { session } = interview;
    const joined = await send('POST', '/api/join', linkOf(session));
    const asked = await withdraw(session);
    expect(asked.status, JSON.stringify(asked.json)).toBe(200);
    expect(withdrawnView.parse(asked.json)).toEqual({
      effect: 'erase_interview',
      withdrawn_at: expect.any(String),
      settled_at: null,
      ending: { outcome: 'cancelled', reason: 'consent_withdrawn' },
    });
    const entries = [{ ordinal: 1, item_id: 'late', previous_item_id: null, speaker: 'candidate', text: 'Late' }];
    const upload = () => send('POST', joined.json.transcript_url, { entries }, joined.json.transcript_token);
    expect((await upload()).json).toMatchObject({ status: 410, detail: 'The candidate withdrew consent.' });
    expect(await interview.ended).toMatchObject({ outcome: 'cancelled', reason: 'consent_withdrawn' });
    expect(await endOf(stack, session.session_id)).toMatchObject({
      status: 'cancelled',
      reason: 'consent_withdrawn',
      consent_withdrawn_at: asked.json.withdrawn_at,
    });
    await settled(session.session_id);
    expect(await stored(session.session_id)).toEqual(erased);
    expect((await upload()).status).toBe(410);
    expect((await withdraw(session)).json).toMatchObject({
      withdrawn_at: asked.json.withdrawn_at,
      settled_at: expect.any(String),
    });
    const { rows } = await db.query('select action, actor from public.audit_log where target = $1 order by id', [
      session.session_id,
    ]);
    expect(rows).toEqual([
      { action: 'consent.withdraw', actor: 'candidate' },
      { action: 'interview.erase', actor: 'candidate' },
    ]);
  });

  test('a session without a machine in use ends at once, and its machine is destroyed', async () => {
    const session = await newSession();
    await consent(session);
    expect((await withdraw(session)).json).toMatchObject({ settled_at: expect.any(String) });
    expect(await endOf(stack, session.session_id)).toMatchObject({ reason: 'consent_withdrawn' });
    expect((await send('POST', '/api/join', linkOf(session))).json).toMatchObject({ code: 'session_ended' });
  });
});

describe('after the interview', () => {
  const finished = async () => {
    const { session, ended } = await interviewed({ silent: false });
    await ended;
    expect(await endOf(stack, session.session_id)).toMatchObject({ status: 'completed' });
    expect((await stored(session.session_id)).entries).toBeGreaterThan(2);
    return session;
  };

  test('the same link still erases the interview when it has expired, and shows that', async () => {
    const session = await finished();
    const { session_id } = session;
    await db.query("update public.session_invitations set expires_at = now() - interval '1 h' where session_id = $1", [
      session_id,
    ]);
    expect((await withdraw(session, 'the-browser-of-somebody-else')).json).toMatchObject({ code: 'invitation_used' });
    const asked = await withdraw(session);
    expect(asked.json).toMatchObject({ ending: { outcome: 'completed' }, settled_at: expect.any(String) });
    expect(await stored(session_id)).toEqual(erased);
    expect((await platformOf(stack).transcript(session_id)).entries).toEqual([]);
    expect((await send('GET', `/api/sessions/${session_id}/result`, undefined, stack.tenant.apiKey)).status).toBe(404);
    const { code } = linkOf(session);
    const looked = await fetch(`${stack.publicUrl}/api/join`, {
      headers: { 'greenroom-session': session_id, 'greenroom-invitation': code, 'greenroom-browser': browser },
    });
    expect(await looked.json()).toMatchObject({
      bound: 'here',
      ending: { outcome: 'completed' },
      consent: { withdrawal: { effect: 'erase_interview', withdrawn_at: asked.json.withdrawn_at } },
    });
  });

  test('an operator decides where the tenant wants a review; a second decision is refused', async () => {
    await rule('review');
    const session = await finished();
    const before = await stored(session.session_id);
    expect((await withdraw(session)).json).toMatchObject({ effect: 'review', settled_at: null });
    expect((await stored(session.session_id)).entries).toBe(before.entries);
    const listed = withdrawalList.parse((await asOperator('GET', '/api/withdrawals')).json).data;
    expect(listed).toMatchObject([{ session_id: session.session_id, tenant_id: stack.tenant.id, effect: 'review' }]);
    const at = `/api/withdrawals/${session.session_id}`;
    expect((await send('POST', at, { decision: 'keep', why: 'x' }, stack.tenant.apiKey)).status).toBe(403);
    expect((await send('GET', '/api/withdrawals', undefined, stack.tenant.apiKey)).status).toBe(403);
    expect((await asOperator('POST', at, { decision: 'keep' })).json).toMatchObject({ errors: [{ field: 'why' }] });
    expect(
      (await asOperator('POST', at, { decision: 'erase_interview', why: 'The tenant agrees.' })).json,
    ).toMatchObject({ effect: 'erase_interview', settled_at: expect.any(String) });
    expect(await stored(session.session_id)).toEqual(erased);
    expect((await asOperator('POST', at, { decision: 'keep', why: 'x' })).status).toBe(409);
    expect((await asOperator('GET', '/api/withdrawals')).json.data).toEqual([]);
  });

  test('the candidate is erased where the tenant wants that, and the link answers the same afterwards', async () => {
    await rule('erase_candidate');
    const session = await finished();
    await until('the interview is evaluated', async () => (await stored(session.session_id)).results === 1);
    const asked = await withdraw(session);
    expect(asked.json).toMatchObject({ effect: 'erase_candidate' });
    await settled(session.session_id);
    expect(await stored(session.session_id)).toEqual(erased);
    const shown = await platformOf(stack).getSession(session.session_id);
    expect(shown.interview_context.candidate).toMatchObject({ name: 'Erased', email: null });
    expect((await withdraw(session)).json).toMatchObject({ withdrawn_at: asked.json.withdrawn_at });
  });
});

describe('refusals', () => {
  test('without a consent, with a wrong code and without a browser', async () => {
    const session = await newSession();
    const at = (body: object) => send('POST', '/api/join/withdraw', { ...linkOf(session), ...body });
    expect((await at({})).json).toMatchObject({ code: 'invitation_used' });
    expect((await at({ code: 'certainly-not-the-code' })).json).toMatchObject({ code: 'invitation_invalid' });
    expect((await at({ browser: undefined })).json).toMatchObject({ status: 422, errors: [{ field: 'browser' }] });
    await send('POST', '/api/join', linkOf(session));
    expect((await at({})).json).toMatchObject({ status: 409, detail: 'The candidate has not consented.' });
    await platformOf(stack).deleteSession(session.session_id);
  });
});

test('every event of this file matches the schema in docs/events.md', async () => {
  expect(eventsOfAnotherShape((await db.query(allEvents)).rows)).toEqual([]);
});
