import { parseArgs } from 'node:util';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { startStack } from '../stack/stack.ts';
import { runCandidate } from './candidate.ts';
import { findViolations } from './invariants.ts';
import { createPatience } from './patience.ts';

/**
 * Stops the database during live interviews and starts it again. No session may fail over and nothing may be
 * lost.
 *
 *   npm run chaos:outage -- [--sessions 20] [--seconds 60]
 *
 * Deadlines are the product's own, so an outage of a minute lasts three leases. The last line is JSON. Exit 0
 * only if every interview was completed on the machine that began it.
 */
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { sessions: { type: 'string', default: '20' }, seconds: { type: 'string', default: '60' } },
  });
  const [sessions, awayMs] = [Number(values.sessions), Number(values.seconds) * 1_000];
  const stack = await startStack({
    orchestrators: 2,
    // The interviews last longer than the outage: an end that cannot be stored is not tested here.
    voice: { turns: Math.ceil(awayMs / 1_000) + 30, paceMs: 600 },
    flyLimits: false,
  });
  const db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
  db.on('error', () => undefined);
  try {
    const limitMs = awayMs * 4 + 120_000;
    const candidates = Array.from({ length: sessions }, () => runCandidate(stack, createPatience(limitMs, limitMs)));
    const talking = () => stack.cloud.voice.calls().filter((call) => call.said.length > 1).length;
    while (talking() < sessions) await pause(100);
    process.stderr.write(`${sessions} interviews are running; stopping the database\n`);
    await stack.cloud.supabase.postgres.stop();
    await pause(awayMs);
    await stack.cloud.supabase.postgres.start();
    process.stderr.write('the database is running again\n');
    const runs = await Promise.all(candidates);
    const ids = runs.map(({ sessionId }) => sessionId);
    let found = await findViolations(stack, db, ids);
    for (let n = 0; n < 100 && found.violations.length > 0; n += 1) {
      await pause(200);
      found = await findViolations(stack, db, ids);
    }
    const { rows } = await db.query('select count(*)::int as n from public.interview_sessions where epoch > 1');
    const completed = runs.filter(({ end }) => end === 'completed/interviewer_finished').length;
    const report = {
      sessions,
      away_s: awayMs / 1_000,
      completed,
      failed_over: rows[0].n,
      violations: found.violations,
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return completed === sessions && report.failed_over === 0 && found.violations.length === 0 ? 0 : 1;
  } finally {
    await db.end();
    await stack.stop();
  }
}

process.exitCode = await main();
