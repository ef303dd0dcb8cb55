import { createHash } from 'node:crypto';
import type pg from 'pg';

/**
 * Two tenants, with a row in every table, for the access cases.
 *
 *   own      tenant A and the session that the worker serves
 *   sibling  tenant A, another session: the same tenant, yet not the worker's
 *   foreign  tenant B
 */
export const owners = ['own', 'sibling', 'foreign'] as const;
export type Owner = (typeof owners)[number];
export type Row = Record<string, unknown>;

/** An existing row, its key, a change of it, and another row that could be inserted. */
export interface Target {
  key: Row;
  row: Row;
  patch: Row;
  fresh: Row;
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
/** A UUID that is the same in every run. */
export const idOf = (name: string): string => {
  const hex = digest(name);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};

const tenantOf = (owner: Owner): string => (owner === 'foreign' ? 'tenant-b' : 'tenant-a');
export const users = ['viewer', 'member', 'admin'] as const;
const far = '2099-01-01T00:00:00Z';
const flagRow = (row: Row, key: string[], patch: Row, fresh: Row): Target => ({
  key: Object.fromEntries(key.map((name) => [name, row[name]])),
  row,
  patch,
  fresh,
});

/** Rows that belong to a tenant alone, not to one of its sessions. */
function tenantTargets(owner: Owner): Record<string, Target> {
  const tenant = tenantOf(owner);
  const tenant_id = idOf(tenant);
  const at = { tenant_id };
  const app = { name: `app-${tenant}`, tenant_id, network: 'net', status: 'ready' };
  const endpoint = {
    id: idOf(`endpoint ${tenant}`),
    ...at,
    url: 'https://a.example',
    secret_ciphertext: 'c',
    key_id: 'k',
  };
  const apiKey = { id: idOf(`key ${tenant}`), ...at, name: 'key', prefix: 'gr_live_abc', key_hash: digest(tenant) };
  const credential = { ...at, provider: 'openai', ciphertext: 'c', key_id: 'k1' };
  const pool = { ...at, region: 'fra', floor: 0, ceiling: 1 };
  const person = { ...at, candidate_id: idOf(`candidate ${tenant}`), name: 'Ada', email: 'ada@example.org' };
  const deletion = { video_id: `gone-${tenant}`, ...at, cause: 'retention' };
  const user = { ...at, user_id: idOf(`viewer of ${tenant}`), role: 'viewer' };
  const request = {
    ...{ ...at, actor: 'key:a', request_id: 'r', method: 'GET', path: '/api/me', status: 200 },
    ...{ took_ms: 1, created_at: far },
  };
  return {
    tenants: flagRow(
      { id: tenant_id, name: tenant, slug: tenant },
      ['id'],
      { name: 'x' },
      { name: 'x', slug: `x-${tenant}` },
    ),
    consent_texts: flagRow(
      { ...at, version: 'v1', text: 'We record.' },
      ['tenant_id', 'version'],
      { text: 'x' },
      { ...at, version: 'x', text: 'x' },
    ),
    tenant_counters: flagRow(at, ['tenant_id'], { live_sessions: 7 }, { tenant_id: idOf('spare tenant') }),
    tenant_users: flagRow(user, ['tenant_id', 'user_id'], { role: 'admin' }, { ...user, user_id: idOf('spare user') }),
    tenant_apps: flagRow(app, ['name'], { network: 'x' }, { ...app, name: `x-${tenant}` }),
    api_keys: flagRow(
      apiKey,
      ['id'],
      { name: 'x' },
      { ...apiKey, id: idOf(`x key ${tenant}`), key_hash: digest(`x${tenant}`) },
    ),
    provider_credentials: flagRow(
      credential,
      ['tenant_id', 'provider'],
      { key_id: 'x' },
      { ...credential, provider: 'other' },
    ),
    webhook_endpoints: flagRow(endpoint, ['id'], { enabled: false }, { ...endpoint, id: idOf(`x endpoint ${tenant}`) }),
    pool_policies: flagRow(pool, ['tenant_id', 'region'], { ceiling: 9 }, { ...pool, region: 'ams' }),
    candidates: flagRow(
      { id: person.candidate_id },
      ['id'],
      { created_at: far },
      { id: idOf(`x candidate ${tenant}`) },
    ),
    tenant_candidates: flagRow(
      person,
      ['tenant_id', 'candidate_id'],
      { name: 'x' },
      { ...at, name: 'x', email: 'x@example.org' },
    ),
    positions: flagRow(
      { id: idOf(`position ${tenant}`), ...at, title: 'Cook' },
      ['id'],
      { title: 'x' },
      { ...at, title: 'x' },
    ),
    video_deletions: flagRow(deletion, ['video_id'], { attempts: 9 }, { ...deletion, video_id: `x-${tenant}` }),
    brake_holds: flagRow(
      { id: idOf(`hold ${tenant}`), app_name: app.name, orchestrator_id: idOf('orchestrator'), ends: [], ceiling: 5 },
      ['id'],
      { ceiling: 9 },
      { app_name: `x-${tenant}`, orchestrator_id: idOf('orchestrator'), ends: [], ceiling: 5 },
    ),
    api_requests: flagRow(
      { ...request, id: owner === 'foreign' ? 1002 : 1001 },
      ['tenant_id', 'id'],
      { status: 500 },
      request,
    ),
    audit_log: flagRow(
      { id: owner === 'foreign' ? 1002 : 1001, ...at, actor: 'user:a', action: 'x.y', outcome: 'done' },
      ['id'],
      { actor: 'x' },
      { ...at, actor: 'x', action: 'x', outcome: 'done' },
    ),
  };
}

const numbers: Record<Owner, number> = { own: 1, sibling: 2, foreign: 3 };
export const sessionOf = (owner: Owner): string => idOf(`session ${owner}`);
export const machineOf = (owner: Owner): string => idOf(`machine ${owner}`);
/** Every session of the world is at its second epoch. */
export const worldEpoch = 2;

/** Rows of one session. `bare` sessions have no dependent rows, so a result, consent or usage can be inserted. */
function sessionTargets(owner: Owner): Record<string, Target> {
  const tenant = tenantOf(owner);
  const n = numbers[owner];
  const session_id = sessionOf(owner);
  const tenant_id = idOf(tenant);
  const of = { session_id, tenant_id };
  const bare = { session_id: idOf(`bare session ${owner}`), tenant_id };
  const candidate_id = idOf(`candidate ${tenant}`);
  const session = {
    id: session_id,
    tenant_id,
    candidate_id,
    candidate: { name: 'Ada' },
    position_id: idOf(`position ${tenant}`),
    expires_at: far,
    status: 'in_progress',
    epoch: worldEpoch,
  };
  const machine = {
    id: machineOf(owner),
    tenant_id,
    session_id,
    app_name: `app-${tenant}`,
    region: 'fra',
    image: 'worker:1',
    state: 'claimed',
    epoch: worldEpoch,
  };
  const call = { id: idOf(`call ${owner}`), ...of, ordinal: 1, epoch: 1, provider: 'openai' };
  const event = { id: 1000 + n, ...of, type: 'session.ready' };
  const idempotency = { scope: tenant_id, tenant_id, key: `key-${owner}`, request_hash: 'h', session_id };
  const invitation = { id: idOf(`invitation ${owner}`), ...of, code_hash: digest(`code ${owner}`), expires_at: far };
  const entry = {
    id: idOf(`entry ${owner}`),
    ...of,
    call_ordinal: 1,
    item_id: 'a',
    speaker: 'ai',
    text: 'Hello',
    verified: true,
  };
  const result = { id: idOf(`result ${owner}`), ...of, summary: 's' };
  const segment = { id: idOf(`segment ${owner}`), ...of, video_id: `v-${owner}` };
  const recording = { ...of, ordinal: 1, state: 'wanted' };
  const heard = { body_hash: digest(`body ${owner}`), session_id, ordinal: 1, type: 'video.encoding' };
  const usage = { machine_id: machine.id, tenant_id, region: 'fra', size: 's', started_seconds: 1, cost_usd: 1 };
  const consent = { id: idOf(`consent ${owner}`), ...of, candidate_id, text_version: 'v1' };
  const delivery = {
    id: idOf(`delivery ${owner}`),
    ...of,
    endpoint_id: idOf(`endpoint ${tenant}`),
    type: 't',
    payload: {},
  };
  const { id: _session, ...newSession } = session;
  const fresh = <T extends { id: unknown }>({ id: _, ...row }: T, changes: Row = {}): Row => ({ ...row, ...changes });
  return {
    interview_sessions: flagRow(session, ['id'], { metadata: { x: '1' } }, newSession),
    interview_transcripts: flagRow({ session_id }, ['session_id'], { status: 'ready' }, of),
    machines: flagRow(machine, ['id'], { region: 'ams' }, fresh(machine)),
    realtime_calls: flagRow(call, ['id'], { provider: 'x' }, fresh(call, { ordinal: 9 })),
    session_events: flagRow(event, ['id'], { type: 'session.failed' }, fresh(event)),
    idempotency_keys: flagRow(
      idempotency,
      ['scope', 'key'],
      { request_hash: 'x' },
      { ...idempotency, key: `x-${owner}` },
    ),
    session_invitations: flagRow(
      invitation,
      ['id'],
      { expires_at: '2098-01-01' },
      fresh(invitation, { code_hash: digest(`x ${owner}`) }),
    ),
    transcript_entries: flagRow(entry, ['id'], { text: 'x' }, fresh(entry, { item_id: 'x' })),
    transcript_writes: flagRow(of, ['session_id'], { entries: 9 }, bare),
    interview_results: flagRow(result, ['id'], { summary: 'x' }, fresh(result, bare)),
    video_segments: flagRow(segment, ['id'], { url: 'x' }, fresh(segment, { video_id: `x-${owner}` })),
    video_jobs: flagRow(recording, ['session_id', 'ordinal'], { attempts: 9 }, { ...recording, ordinal: 2 }),
    video_events: flagRow(heard, ['body_hash'], { type: 'x' }, { ...heard, body_hash: digest(`x body ${owner}`) }),
    machine_usage: flagRow(
      usage,
      ['machine_id'],
      { cost_usd: 9 },
      { ...usage, machine_id: idOf(`bare machine ${owner}`) },
    ),
    consents: flagRow(consent, ['id'], { text_version: 'x' }, fresh(consent, bare)),
    session_phases: flagRow(of, ['session_id'], { attempts: 9 }, bare),
    webhook_deliveries: flagRow(delivery, ['id'], { type: 'x' }, fresh(delivery)),
    simulations: flagRow(
      { ...of, script: 'leaves' },
      ['session_id'],
      { script: 'completes' },
      { ...bare, script: 'leaves' },
    ),
  };
}

/** Rows without a tenant: one of each, called own. */
const sharedTargets: Record<string, Target> = {
  orchestrators: flagRow(
    { id: idOf('orchestrator'), url: 'http://a', version: '1' },
    ['id'],
    { version: 'x' },
    { id: idOf('x orchestrator'), url: 'x', version: 'x' },
  ),
  region_drains: flagRow(
    { region: 'fra', why: 'x', drained_by: 'operator:a' },
    ['region'],
    { why: 'y' },
    { region: 'ams', why: 'x', drained_by: 'operator:a' },
  ),
  duties: flagRow({ name: 'reconcile:0' }, ['name'], { fence: 9 }, { name: 'reconcile:9' }),
  rate_limits: flagRow(
    { scope: 'key:a', next_at: far },
    ['scope'],
    { next_at: '2098-01-01' },
    { scope: 'x', next_at: far },
  ),
};

/** The targets of one owner, by table. Tables of a tenant have no sibling, shared ones are `own` alone. */
export function targetsOf(owner: Owner): Record<string, Target> {
  if (owner === 'own') return { ...tenantTargets(owner), ...sessionTargets(owner), ...sharedTargets };
  return owner === 'sibling' ? sessionTargets(owner) : { ...tenantTargets(owner), ...sessionTargets(owner) };
}

/** Parents before children. */
const order = [
  'tenants', 'consent_texts', 'tenant_counters', 'tenant_users', 'tenant_apps', 'api_keys', 'provider_credentials', 'webhook_endpoints', 'pool_policies',
  'candidates', 'tenant_candidates', 'positions', 'video_deletions', 'audit_log', 'api_requests', 'interview_sessions', 'machines', 'realtime_calls',
  'session_events', 'idempotency_keys', 'session_invitations', 'transcript_entries', 'transcript_writes', 'interview_results', 'video_segments', 'video_jobs', 'video_events',
  'machine_usage', 'consents', 'session_phases', 'webhook_deliveries', 'simulations', 'orchestrators', 'duties', 'rate_limits', 'region_drains', 'brake_holds',
]; // biome-ignore format: a list to be read across

const literal = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : value;

type Queryable = Pick<pg.Pool, 'query'>;

export async function insertRow(db: Queryable, table: string, row: Row): Promise<void> {
  const columns = Object.keys(row);
  const system = typeof row.id === 'number' ? 'overriding system value' : '';
  await db.query(
    `insert into public.${table} (${columns.join(', ')}) ${system} values (${columns.map((_, i) => `$${i + 1}`).join(', ')})`,
    Object.values(row).map(literal),
  );
}

const addUser = (db: Queryable, id: string) =>
  db.query('insert into auth.users (id, email) values ($1, $2)', [id, `${id}@example.org`]);

async function addUsers(db: Queryable): Promise<void> {
  await addUser(db, idOf('spare user'));
  await addUser(db, idOf('outsider'));
  for (const tenant of ['tenant-a', 'tenant-b'])
    for (const user of users) await addUser(db, idOf(`${user} of ${tenant}`));
}

/** Users of a tenant beside the viewer, who is the case's own row. */
async function addMembers(db: Queryable): Promise<void> {
  for (const tenant of ['tenant-a', 'tenant-b'])
    for (const role of ['member', 'admin'])
      await insertRow(db, 'tenant_users', { tenant_id: idOf(tenant), user_id: idOf(`${role} of ${tenant}`), role });
}

async function addBareRows(db: Queryable, owner: Owner): Promise<void> {
  const { interview_sessions: session, machines: machine } = sessionTargets(owner);
  await insertRow(db, 'interview_sessions', { ...session!.row, id: idOf(`bare session ${owner}`) });
  await insertRow(db, 'machines', { ...machine!.row, id: idOf(`bare machine ${owner}`) });
  await db.query('update public.interview_sessions set machine_id = $1 where id = $2', [
    machineOf(owner),
    sessionOf(owner),
  ]);
}

/** Fills an empty project. */
export async function createWorld(db: Queryable): Promise<void> {
  await addUsers(db);
  await insertRow(db, 'tenants', { id: idOf('spare tenant'), name: 'spare', slug: 'spare' });
  for (const table of order)
    for (const owner of owners) {
      const target = targetsOf(owner)[table];
      if (target) await insertRow(db, table, target.row);
    }
  await addMembers(db);
  for (const owner of owners) await addBareRows(db, owner);
}
