import type { ApiWorld } from './api-world.ts';

/**
 * The examples of the OpenAPI document, in an order in which each finds what it needs. A step is one request to the
 * operation with this id; values of earlier answers come from `answers`.
 */
export interface Step {
  id: string;
  params?: Record<string, string>;
  query?: Record<string, string | string[]>;
  headers?: Record<string, string>;
  body?: unknown;
  /** `test`: with the key that the example of createTestKey made. */
  as: 'platform' | 'operator' | 'nobody' | 'test';
  status: number;
}
// biome-ignore lint/suspicious/noExplicitAny: answers of any operation
type Known = Record<string, any>;

/** Yields each step, when the answers before it are known. */
export async function* steps(
  world: ApiWorld,
  { tenantId, platformKey }: { tenantId: string; platformKey: string },
  answers: Known,
): AsyncGenerator<Step> {
  const platform = (id: string, status: number, step: Omit<Step, 'id' | 'status' | 'as'> = {}): Step => ({
    ...{ id, status, as: 'platform', ...step },
  });
  const operator = (id: string, status: number, step: Omit<Step, 'id' | 'status' | 'as'> = {}): Step => ({
    ...{ id, status, as: 'operator', ...step },
  });
  const browser = (id: string, status: number, step: Omit<Step, 'id' | 'status' | 'as'> = {}): Step => ({
    ...{ id, status, as: 'nobody', ...step },
  });
  const testing = (id: string, status: number, step: Omit<Step, 'id' | 'status' | 'as'> = {}): Step => ({
    ...{ id, status, as: 'test', ...step },
  });
  const own = { id: tenantId };

  yield platform('getMe', 200);
  yield platform('updateTenant', 200, {
    ...{ params: own },
    body: { consent: { required: true, text_version: '2026-11', text: 'This interview is conducted by an AI.' } },
  });
  yield platform('getTenant', 200, { params: own });
  yield platform('createPosition', 201, { body: { title: 'Backend engineer', description: 'Go and Postgres.' } });
  const position = { id: answers.createPosition.id };
  yield platform('listPositions', 200, { query: { limit: '20' } });
  yield platform('updatePosition', 200, { params: position, body: { title: 'Senior backend engineer' } });
  yield platform('getPosition', 200, { params: position });
  yield platform('createCandidate', 201, {
    body: { name: 'Ada Lovelace', email: 'ada@example.com', external_id: 'crm-4711', status: 'screening' },
  });
  const candidate = { id: answers.createCandidate.id };
  yield platform('listCandidates', 200, { query: { search: 'Ada' } });
  yield platform('updateCandidate', 200, { params: candidate, body: { status: 'invited' } });
  yield platform('getCandidate', 200, { params: candidate });
  yield platform('createSession', 201, {
    body: {
      candidate_id: candidate.id,
      position_id: position.id,
      country: 'DE',
      scheduled_at: new Date(Date.now() + 86_400_000).toISOString(),
      max_duration_minutes: 30,
      settings: { language: 'en', questions: ['What did you build last?'] },
      metadata: { order: '4711' },
    },
  });
  const session = { id: answers.createSession.session_id };
  const code = new URL(answers.createSession.join_url).hash.slice(1);
  yield platform('listSessions', 200, {
    query: { status: ['scheduled', 'in_progress'], metadata: '4711' as never, order: 'scheduled_at' },
  });
  yield platform('rescheduleSession', 200, {
    ...{ params: session, body: { scheduled_at: new Date(Date.now() + 2 * 86_400_000).toISOString() } },
  });
  yield platform('getSession', 200, { params: session, query: { expand: ['candidate'] } });

  yield platform('createInvitation', 201, { params: session, body: { expires_in_minutes: 1_440 } });
  const invitation = { ...session, invitation: answers.createInvitation.id };
  yield platform('listInvitations', 200, { params: session });
  yield platform('resendInvitation', 201, { params: invitation, body: {} });
  yield platform('revokeInvitation', 200, { params: { ...session, invitation: answers.resendInvitation.id } });

  const laptop = 'a-secret-of-the-browser-on-the-laptop';
  const bound = { session_id: session.id, code, browser: laptop };
  const phone = { ...bound, browser: 'a-secret-of-the-browser-on-the-phone' };
  const invited = { 'greenroom-invitation': code };
  yield browser('getConsent', 200, { query: { session_id: session.id }, headers: invited });
  yield browser('lookAtInvitation', 200, { headers: { ...invited, 'greenroom-session': session.id } });
  yield browser('giveConsent', 200, { body: { ...bound, text_version: '2026-11' } });
  // From here on it can be joined.
  await world.db.query(
    "update public.interview_sessions set scheduled_at = now() - interval '1 second' where id = $1",
    [session.id],
  );
  await world.deps.planning.pool.startScheduled();
  yield browser('join', 200, { body: bound });
  yield browser('offerHandover', 200, { body: bound });
  yield browser('continueElsewhere', 200, {
    body: { ...phone, handover_code: answers.offerHandover.handover_code },
  });

  yield platform('createWebhook', 201, {
    body: { url: 'https://example.com/greenroom', events: ['session.completed', 'result.done'] },
  });
  const webhook = { id: answers.createWebhook.id };
  yield platform('listWebhooks', 200);
  yield platform('getWebhook', 200, { params: webhook });
  yield platform('updateWebhook', 200, { params: webhook, body: { enabled: true } });
  yield platform('rotateWebhookSecret', 200, { params: webhook, body: { overlap_minutes: 60 } });
  yield platform('testWebhook', 202, { params: webhook });
  yield platform('listDeliveries', 200, { params: webhook, query: { limit: '20' } });
  yield platform('getDelivery', 200, { params: { ...webhook, delivery: answers.testWebhook.id } });
  yield platform('replayDelivery', 202, { params: { ...webhook, delivery: answers.testWebhook.id } });
  yield platform('deleteWebhook', 204, { params: webhook });

  await conversationOf(world, session.id, tenantId);
  yield platform('getTranscript', 200, { params: session });
  yield platform('getResult', 200, { params: session });
  yield platform('reviewResult', 200, { params: session, body: { human_reviewed: true, reviewed_by: 'Grace' } });
  yield platform('rerunResult', 202, { params: session });
  await world.db.query(
    "insert into public.video_segments (session_id, tenant_id, video_id) values ($1, $2, 'vi4711')",
    [...[session.id, tenantId]],
  );
  yield platform('listRecordings', 200, { params: session });
  yield platform('deleteRecording', 204, { params: { ...session, video: 'vi4711' } });
  yield platform('streamEvents', 200, { query: { after: '0' } });
  yield platform('streamSessionEvents', 200, { params: session });
  yield platform('endSession', 200, { params: session });
  yield browser('getOwnTranscript', 200, {
    headers: { ...invited, 'greenroom-session': session.id, 'greenroom-browser': phone.browser },
  });
  yield browser('correctEntry', 200, {
    body: { ...phone, ordinal: 1, item_id: 'item_2', correction: 'A job queue on Postgres.' },
  });
  await world.db.query("update public.interview_sessions set on_consent_withdrawn = 'review' where id = $1", [
    session.id,
  ]);
  yield browser('withdrawConsent', 200, { body: phone });
  yield operator('listWithdrawals', 200, { query: { limit: '1' } });
  yield operator('decideWithdrawal', 200, {
    ...{ params: session, body: { decision: 'erase_interview', why: 'The tenant agrees.' } },
  });
  const { json: other } = await world.send('/api/sessions', {
    ...{ method: 'POST', as: platformKey, body: { candidate: { name: 'Alan' }, position: { title: 'Engineer' } } },
  });
  const otherCode = new URL(other.join_url).hash.slice(1);
  yield browser('declineConsent', 200, { body: { session_id: other.session_id, code: otherCode, browser: laptop } });
  yield platform('eraseCandidate', 200, { params: candidate });

  yield platform('createApiKey', 201, { params: own, body: { name: 'backend', scopes: ['sessions:read'] } });
  const key = { ...own, key: answers.createApiKey.id };
  yield platform('listApiKeys', 200, { params: own, query: { limit: '1' } });
  yield platform('rotateApiKey', 201, { params: key, body: { overlap_minutes: 60 } });
  yield platform('revokeApiKey', 200, { params: key });
  yield platform('createTestKey', 201, { params: own, body: { name: 'ci', scopes: [...testScopes] } });
  yield testing('simulateCandidate', 202, {
    params: { id: (await testSession(world, answers.createTestKey.key)).session_id },
    body: { script: 'completes' },
  });
  yield testing('getSimulation', 200, { params: { id: answers.simulateCandidate.session_id } });
  yield platform('setProviderCredential', 204, {
    ...{ params: { ...own, provider: 'openai' }, body: { api_key: 'sk-example-of-a-key' } },
  });
  yield platform('listProviderCredentials', 200, { params: own });
  yield platform('deleteProviderCredential', 204, { params: { ...own, provider: 'openai' } });
  yield platform('getTenantUsage', 200, { params: own });
  yield platform('listAuditLog', 200, { params: own, query: { action: 'api_key.create', limit: '1' } });
  await world.deps.requestLog.flush();
  yield platform('listRequests', 200, { query: { status: '2xx', path: '/api/tenants/{id}/api-keys', limit: '1' } });
  const user = { ...own, user: (await world.user('grace@example.com', {})).id };
  yield platform('setTenantMember', 204, { params: user, body: { role: 'viewer' } });
  yield platform('removeTenantMember', 204, { params: user });

  yield operator('createTenant', 201, {
    body: { slug: 'example', name: 'Example', max_live_sessions: 50, max_standby: 10 },
  });
  const made = { id: answers.createTenant.id };
  yield operator('listTenants', 200, { query: { limit: '1' } });
  yield operator('setTenantApps', 200, { params: made, body: { count: 2 } });
  yield operator('setTenantPool', 200, { params: { ...made, region: 'fra' }, body: { floor: 1, ceiling: 5 } });
  yield operator('getTenantPool', 200, { params: made });
  yield operator('removeTenant', 202, { params: made });
}

const testScopes = ['sessions:read', 'sessions:write'] as const;

async function testSession(world: ApiWorld, key: string): Promise<{ session_id: string }> {
  const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, placement: 'on_join' };
  return (await world.send('/api/sessions', { method: 'POST', as: key, body })).json;
}

/** Stores what an interview leaves: the worker of this world has none. */
async function conversationOf({ db }: ApiWorld, id: string, tenantId: string): Promise<void> {
  const entry = (item_id: string, previous_item_id: string | null, speaker: string, text: string, at: number) => ({
    ...{ ordinal: 1, item_id, previous_item_id, speaker, text, start_ms: at, end_ms: at + 2_000, verified: true },
  });
  await db.query('select app.merge_transcript(s, $2) from public.interview_sessions s where s.id = $1', [
    id,
    JSON.stringify([
      entry('item_1', null, 'ai', 'What did you build last?', 0),
      entry('item_2', 'item_1', 'candidate', 'A queue on Postgres.', 3_000),
    ]),
  ]);
  await db.query(
    `insert into public.interview_results (session_id, tenant_id, status, summary, evaluation, model, evaluated_at)
     values ($1, $2, 'done', 'Ada described a queue that she built on Postgres.', $3, 'gpt-example', now())`,
    [
      id,
      tenantId,
      JSON.stringify({
        strengths: ['Explains trade-offs'],
        areas_to_improve: ['Measure before optimising'],
        question_notes: [{ question: 'What did you build last?', notes: 'A queue.', sequence_numbers: [2] }],
        overall_impression: 'Clear and precise.',
        ...{ recommendation: 'yes', confidence: 0.7 },
      }),
    ],
  );
}
