import { createHash, randomUUID } from 'node:crypto';
import type pg from 'pg';

/** Tenants, sessions and workers for lifecycle tests, created through the product's own functions. */
type Queryable = Pick<pg.Pool, 'query'>;
// biome-ignore lint/suspicious/noExplicitAny: what SQL answers is looked at by the test that asked
export type Answer = any;

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
export const by = { actor: 'operator:test', request_id: 'req-1' };

/** Calls a function of schema public with named arguments; objects become jsonb, arrays of strings text[]. */
export async function call(db: Queryable, name: string, args: Record<string, unknown> = {}): Promise<Answer> {
  const names = Object.keys(args);
  const values = Object.values(args).map((value) => {
    const isJson = typeof value === 'object' && value !== null;
    return isJson && !(Array.isArray(value) && value.every((one) => typeof one === 'string'))
      ? JSON.stringify(value)
      : value;
  });
  const list = names.map((arg, i) => `${arg} => $${i + 1}`).join(', ');
  const { rows } = await db.query(`select ${name.includes('.') ? name : `public.${name}`}(${list}) as answer`, values);
  return rows[0].answer;
}

export interface TestTenant {
  id: string;
  app: string;
}

/** An active tenant with one ready app. `settings` as for plan_tenant. */
export async function newTenant(db: Queryable, settings: Record<string, unknown> = {}): Promise<TestTenant> {
  const slug = `t-${randomUUID().slice(0, 8)}`;
  const { tenant } = await call(db, 'plan_tenant', { p_slug: slug, p_settings: settings, p_by: by });
  const app = `gr-${slug}-1`;
  await call(db, 'plan_app', { p_tenant_id: tenant.id, p_name: app, p_network: 'net', p_by: by });
  await call(db, 'app_ready', { p_name: app });
  return { id: tenant.id, app };
}

/** A request of create_sessions with everything it needs. */
export function sessionRequest(tenantId: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    tenant_id: tenantId,
    session_id: randomUUID(),
    machine_id: randomUUID(),
    orchestrator_id: randomUUID(),
    candidate: { name: 'Ada' },
    position: { title: 'Cook' },
    settings: {},
    metadata: {},
    regions: ['fra'],
    first_region: 'fra',
    region_reason: 'requested',
    simulated: true,
    max_duration_ms: 60_000,
    expires_ms: 3_600_000,
    life_ms: 600_000,
    taken_ms: 2_000,
    lease_ms: 20_000,
    image: 'worker:1',
    ...changes,
  };
}

export interface TestSession {
  id: string;
  tenantId: string;
  machineId: string;
  app: string;
}

export async function newSession(
  db: Queryable,
  tenant: TestTenant,
  changes: Record<string, unknown> = {},
): Promise<TestSession> {
  const [result] = await call(db, 'create_sessions', { p_requests: [sessionRequest(tenant.id, changes)] });
  if (result.kind !== 'created') throw new Error(`the session was not created: ${JSON.stringify(result)}`);
  return { id: result.session.session_id, tenantId: tenant.id, machineId: result.intent.machine_id, app: tenant.app };
}

export const claim = (
  db: Queryable,
  { machineId, app }: Pick<TestSession, 'machineId' | 'app'>,
  nonce = 'boot-1',
): Promise<Answer> =>
  call(db, 'app.claim_session', {
    p_machine_name: `gr-${machineId}`,
    p_app_name: app,
    p_fly_machine_id: `fly-${machineId.slice(0, 8)}`,
    p_boot_nonce: nonce,
    p_lease_ms: 20_000,
    p_life_ms: 600_000,
  });

/** Claims of the token of the worker that serves a session at this epoch. */
export const workerClaims = ({ id, tenantId, machineId }: TestSession, epoch: number) => ({
  role: 'session_worker',
  session_id: id,
  tenant_id: tenantId,
  machine_id: machineId,
  epoch,
});

/** A session that a worker serves at epoch 1. */
export async function servedSession(
  db: Queryable,
  tenant: TestTenant,
  changes: Record<string, unknown> = {},
): Promise<TestSession> {
  const session = await newSession(db, tenant, changes);
  await claim(db, session);
  return session;
}

/** Calls the guarded functions that move and end sessions, which no role may call through the API. */
export const move = (db: Queryable, id: string, status: string, outcome?: string, reason?: string): Promise<boolean> =>
  call(db, 'app.move_session', {
    p_session_id: id,
    p_status: status,
    p_outcome: outcome ?? null,
    p_reason: reason ?? null,
  });

export async function sessionRow(db: Queryable, id: string): Promise<Answer> {
  return (await db.query('select * from public.interview_sessions where id = $1', [id])).rows[0];
}

export async function eventsOf(db: Queryable, id: string): Promise<Answer[]> {
  return (await db.query('select id, type, data from public.session_events where session_id = $1 order by id', [id]))
    .rows;
}

/** A transcript entry as a worker writes it. */
export const entry = (
  item_id: string,
  previous_item_id: string | null,
  text: string,
  changes: Record<string, unknown> = {},
) => ({
  ordinal: 1,
  item_id,
  previous_item_id,
  speaker: 'candidate',
  text,
  verified: true,
  ...changes,
});
