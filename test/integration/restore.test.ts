import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { restoreDatabase, saveDatabase } from '../support/older-database.ts';
import { endOf, machinesOf, platformOf, sessionBody, startInterview, until } from '../support/session.ts';

/** The database is restored from a backup as docs/deploy.md says: orchestrators stopped, rows restored, orchestrators started. */
let stack: Stack;
let db: pg.Pool;

beforeAll(async () => {
  stack = await startStack({
    flyLimits: false,
    voice: { turns: 3, paceMs: 60 },
    environment: { RECONCILE_TICK_MS: '500', ABSENCE_GRACE_MS: '300', HEARTBEAT_MS: '500', LEASE_MS: '2500' },
  });
  db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
});
afterAll(async () => {
  await db?.end();
  await stack?.stop();
});

const transcript = async (id: string) =>
  (await platformOf(stack).transcript(id)).entries.map(({ item_id, text }) => ({ item_id, text }));
const running = (id: string) => machinesOf(stack, id).filter(({ state }) => !/^destroy/.test(state));

test('after a restore no entry of the backup is lost, no session has two machines, and machines without a row are destroyed', async () => {
  const before = await startInterview(stack);
  await before.ended;
  await endOf(stack, before.session.session_id);
  const kept = await transcript(before.session.session_id);
  expect(kept.length).toBeGreaterThan(2);
  // Ready at the time of the backup; its interview is held and its machine is gone before the restore.
  const held = await platformOf(stack).createSession(sessionBody(), { prefer: 'wait=20' });

  const saved = await saveDatabase(db);

  const interview = await startInterview(stack, sessionBody(), {}, held);
  await interview.ended;
  await endOf(stack, held.session_id);
  const later = await platformOf(stack).createSession(sessionBody(), { prefer: 'wait=20' });
  expect(running(later.session_id)).toHaveLength(1);

  await Promise.all(stack.orchestrators.splice(0).map((orchestrator) => orchestrator.stop()));
  await restoreDatabase(db, saved);
  const sinceMs = performance.now();
  await stack.addOrchestrator();

  await until(
    'the machine of the session that the backup does not have is destroyed',
    () => running(later.session_id).length === 0,
    90_000,
  );
  console.info(
    `a machine without a row was destroyed ${Math.round(performance.now() - sinceMs)} ms after the first orchestrator began to start`,
  );
  await expect(platformOf(stack).getSession(later.session_id)).rejects.toThrow(/404/);
  expect(await transcript(before.session.session_id)).toEqual(kept);
  // Its machine is gone: the session gets one other machine, or ends with a reason; never two machines.
  const most: number[] = [];
  const settled = await until('the session of the backup is ready again or has ended', async () => {
    most.push(running(held.session_id).length);
    const session = await platformOf(stack).getSession(held.session_id);
    const again = running(held.session_id).length === 1 && session.status === 'ready' && session.epoch > held.epoch;
    return again || session.reason !== null ? session : undefined;
  });
  expect(Math.max(...most)).toBeLessThanOrEqual(1);
  console.info(`the session whose machine was gone: ${settled.status} ${settled.reason ?? ''}, epoch ${settled.epoch}`);
}, 180_000);

test('after a restore new interviews are held as before', async () => {
  const interview = await startInterview(stack);
  expect((await interview.ended).outcome).toBe('completed');
  expect(await endOf(stack, interview.session.session_id)).toMatchObject({ status: 'completed', epoch: 1 });
});
