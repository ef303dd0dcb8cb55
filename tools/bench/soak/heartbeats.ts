import { importJWK, SignJWT } from 'jose';
import type pg from 'pg';
import type { Stack } from '../../stack/stack.ts';
import { processorSecondsOf } from './probe.ts';

/**
 * Processor time of one heartbeat over HTTP, ms: what running interviews cost an orchestrator. The real worker of a session goes
 * on with its own; these are sent with its token. Each is answered when its batch is stored, after a second at most, so that
 * few at once would take long, and what the orchestrator does beside them would count.
 */
const count = 10_000;
const atOnce = 1_000;

export async function heartbeatCost(stack: Stack, db: pg.Client): Promise<number> {
  const headers = { authorization: `Bearer ${stack.tenant.apiKey}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' });
  const at = `${stack.publicUrl}/api/sessions`;
  const made = await fetch(at, { method: 'POST', headers: { ...headers, prefer: 'wait=60' }, body });
  const { session_id } = (await made.json()) as { session_id: string };
  const { rows } = await db.query('select tenant_id, machine_id, epoch from public.interview_sessions where id = $1', [
    session_id,
  ]);
  const key = stack.keys.db as unknown as { kid: string };
  const token = await new SignJWT({ ...rows[0], session_id, role: 'session_worker' })
    .setProtectedHeader({ alg: 'ES256', kid: key.kid })
    .setIssuer(stack.publicUrl)
    .setAudience(['authenticated', 'greenroom:worker-api'])
    .setIssuedAt()
    .setExpirationTime('10m')
    .sign(await importJWK({ ...key, alg: 'ES256' } as never));
  const beat = async () => {
    const answer = await fetch(`${stack.orchestrators[0]?.url}/worker/v1/heartbeat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{"presence":"absent","unsaved_entries":0}',
    });
    if (!answer.ok) throw new Error(`a heartbeat was answered ${answer.status}: ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  const many = async (times: number): Promise<void> => {
    for (let n = 0; n < times; n += 1) await beat();
  };
  await Promise.all(Array.from({ length: atOnce }, () => many(1)));
  const before = processorSecondsOf(stack);
  await Promise.all(Array.from({ length: atOnce }, () => many(count / atOnce)));
  const usedMs = 1_000 * (processorSecondsOf(stack) - before);
  await fetch(`${at}/${session_id}`, { method: 'DELETE', headers });
  return usedMs / count;
}
