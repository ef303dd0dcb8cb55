import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolRequest } from '@greenroom/shared/protocol/tenants.ts';
import pg from 'pg';
import type { Stack } from '../stack/stack.ts';

/**
 * Keeps one hot machine for the demo's tenant, so that its session is ready in the answer that creates it. Resolves when the
 * machine's worker has proven its identity and waits for a session.
 */
const limitMs = 60_000;

export async function keepHotMachine(
  { publicUrl, tenant, operatorToken, cloud }: Stack,
  region: string,
): Promise<void> {
  const pool: PoolRequest = { floor: 0, ceiling: 0, hot: { floor: 1, ceiling: 1 } };
  const changes: Array<[path: string, method: string, body: object]> = [
    ['', 'PATCH', { max_standby: 1 }],
    [`/pools/${region}`, 'PUT', pool],
  ];
  for (const [path, method, body] of changes) {
    const answer = await fetch(`${publicUrl}/api/tenants/${tenant.id}${path}`, {
      method,
      headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${answer.url}: ${answer.status} ${await answer.text()}`);
  }
  const db = new pg.Client({ connectionString: cloud.supabase.adminDbUrl });
  await db.connect();
  try {
    const deadlineMs = performance.now() + limitMs;
    for (;;) {
      const { rowCount } = await db.query(
        `select from public.machines where tenant_id = $1 and hot and session_id is null and state = 'started'
           and lease_expires_at > clock_timestamp()`,
        [tenant.id],
      );
      if (rowCount) return;
      if (performance.now() > deadlineMs) throw new Error(`no hot machine after ${limitMs} ms`);
      await sleep(50);
    }
  } finally {
    await db.end();
  }
}
