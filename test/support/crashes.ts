import { randomUUID } from 'node:crypto';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type pg from 'pg';
import { createPlatform, type Platform } from '../../tools/demo/platform.ts';
import type { OrchestratorProcess } from '../../tools/stack/orchestrator-process.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import type { Stack } from '../../tools/stack/stack.ts';
import { machinesOf, until } from './session.ts';

/** Building blocks for the scenarios of the crash-point suite. */
export interface CrashWorld {
  stack: Stack;
  /** A superuser's pool. */
  db: pg.Pool;
}

/** Requests one session with the same Idempotency-Key until an orchestrator answers, as a platform does. */
export async function createPersistently(
  { stack }: CrashWorld,
  body: Record<string, unknown>,
  tenant: SeededTenant = stack.tenant,
): Promise<SessionView> {
  const platform = createPlatform(stack.publicUrl, tenant.apiKey);
  const key = { 'idempotency-key': randomUUID() };
  return until('the session is accepted', () => platform.createSession(body, key).catch(() => undefined), 90_000);
}

/** Polls the session until the condition holds; also waits for an API that is not reachable. */
export function sessionWhen(
  platform: Platform,
  id: string,
  what: string,
  condition: (session: SessionView) => boolean,
): Promise<SessionView> {
  const look = async () => {
    const session = await platform.getSession(id).catch(() => undefined);
    return session && condition(session) ? session : undefined;
  };
  return until(`the session ${what}`, look, 90_000);
}

/** Ends a session as the platform does, and retries until it succeeds. */
export const deletePersistently = (platform: Platform, id: string): Promise<SessionView> =>
  until('the end is accepted', () => platform.deleteSession(id).catch(() => undefined), 90_000);

export async function kill(stack: Stack, orchestrator: OrchestratorProcess | undefined): Promise<void> {
  if (!orchestrator) return;
  const index = stack.orchestrators.indexOf(orchestrator);
  if (index >= 0) stack.orchestrators.splice(index, 1);
  await orchestrator.kill();
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Waits until an armed orchestrator has died at its crash point, and removes it from the proxy. */
export async function dead(stack: Stack, orchestrator: OrchestratorProcess | undefined, label: string): Promise<void> {
  if (!orchestrator) return; // died before it was ready
  await until(`the orchestrator dies at ${label}`, () => !alive(orchestrator.pid));
  await kill(stack, orchestrator);
}

/** Violated rules of an ended session, whichever process died before. Empty when all rules hold. */
export async function violations({ stack, db }: CrashWorld, id: string): Promise<string[]> {
  const { rows: sessions } = await db.query('select * from public.interview_sessions where id = $1', [id]);
  const { rows: machines } = await db.query('select * from public.machines where session_id = $1', [id]);
  const session = sessions[0];
  const claimed = machines.filter((machine) => machine.epoch !== null).length;
  const atFly = machinesOf(stack, id).filter((machine) => machine.state !== 'destroyed');
  const { rows: debts } = await db.query(
    'select 1 from public.realtime_calls where session_id = $1 and hung_up_at is null',
    [id],
  );
  const { rows: counters } = await db.query(
    `select 1 from public.tenant_counters c where c.tenant_id = $1 and c.live_sessions <>
       (select count(*) from public.interview_sessions s where s.tenant_id = c.tenant_id and s.counted)`,
    [session.tenant_id],
  );
  return [
    ...(session.outcome === null ? ['it has not ended'] : []),
    ...(claimed === session.epoch ? [] : [`${claimed} machines served ${session.epoch} epochs`]),
    ...machines.filter((machine) => machine.state !== 'destroyed').map((machine) => `a row is ${machine.state}`),
    ...atFly.map((machine) => `Fly has ${machine.id}, ${machine.state}`),
    ...debts.map(() => 'a call is not hung up'),
    ...counters.map(() => "the tenant's counter is wrong"),
  ];
}
