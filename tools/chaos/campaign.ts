import path from 'node:path';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type pg from 'pg';
import type { SeededTenant } from '../stack/seed.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { type CandidateRun, runCandidate, type SessionPath } from './candidate.ts';
import { type FaultTarget, faultKinds, hotPolicy, removeFaults } from './faults.ts';
import { findViolations, type Violations } from './invariants.ts';
import { createPatience, type Patience } from './patience.ts';
import { createRandom, type Random } from './random.ts';

/**
 * One campaign. Interviews start one after another while faults are injected by a seeded schedule. Then every
 * fault is removed, and the system must recover: every session has ended with a reason that really occurred,
 * each epoch had one worker, nothing is left running, and no acknowledged entry is lost.
 *
 * - The seed alone decides which fault is injected when. What a fault hits also depends on the moment. Every
 *   kind of fault occurs once before any occurs twice.
 * - Sessions take every path: cold, from a pool (hot or standby), scheduled, queued at a limit, and placed when the candidate
 *   joins.
 * - Orchestrators, workers and Postgres are real processes. Deadlines are shortened, so that minutes take
 *   seconds.
 */
export interface CampaignOptions {
  seed: number;
  sessions: number;
  /** How long faults are injected, ms. Default 25,000. */
  durationMs?: number;
  /** How long nothing may happen anywhere before the campaign ends as it stands, ms. Default 90,000. */
  settleMs?: number;
  log?: (line: string) => void;
}

export interface CampaignReport {
  seed: number;
  sessions: number;
  faults: Record<string, number>;
  violations: string[];
  duplicates: number;
  orphans: number;
  stuck: number;
  unpaid: number;
  lost_entries: number;
  outcomes: Record<string, number>;
}

const environment = {
  HEARTBEAT_MS: '500',
  HEARTBEAT_FLUSH_MS: '200',
  LEASE_MS: '2500',
  HOST_GRACE_MS: '1000',
  CREATE_MS: '3000',
  CLAIM_MS: '8000',
  RECONCILE_TICK_MS: '500',
  POOL_TICK_MS: '500',
  STANDBY_BUILD_MS: '2000',
  STANDBY_START_MS: '2000',
  SCHEDULE_LEAD_MS: '1500',
  ABSENCE_GRACE_MS: '400',
  DRAINING_MS: '2000',
  UNREACHABLE_GAP_MS: '400',
  REPLAY_TIMEOUT_MS: '2000',
  FLY_REQUEST_MS: '5000',
  TEARDOWN_MS: '20000',
  MAX_ATTEMPTS: '5',
  // A machine that is busy with other things sets a call up slowly. That is not one of the faults.
  OFFER_MS: '420000',
  NO_MEDIA_MS: '400000',
};

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.max(0, ms)));

interface Planned {
  atMs: number;
  name: string;
}

/** The schedule of faults, from the seed alone. */
export function planFaults(random: Random, durationMs: number): Planned[] {
  const plan: Planned[] = [];
  let names: string[] = [];
  for (let atMs = 500; atMs < durationMs; atMs += random.between(300, 1_200)) {
    if (names.length === 0) names = random.shuffle(Object.keys(faultKinds));
    plan.push({ atMs, name: names.pop() as string });
  }
  return plan;
}

/** Number of acknowledged transcript entries that are not stored. */
async function countLost(db: pg.Pool, runs: CandidateRun[]): Promise<number> {
  let lost = 0;
  for (const { sessionId, acknowledged } of runs) {
    const { rows } = await db.query<{ item_id: string }>(
      'select item_id from public.transcript_entries where session_id = $1',
      [sessionId],
    );
    const stored = new Set(rows.map((row) => row.item_id));
    lost += [...acknowledged].filter((id) => !stored.has(id)).length;
  }
  return lost;
}

/** Sessions that ended with a reason that did not occur: too few machines lost, or no refusal by Fly. */
async function unfoundedEndings(db: pg.Pool, ids: string[], faults: Record<string, number>): Promise<string[]> {
  const { rows } = await db.query<{ id: string; status: string; reason: string; lost: number }>(
    `select s.id, s.status, s.reason, count(m.id)::int as lost from public.interview_sessions s
       left join public.machines m on m.session_id = s.id and m.state in ('draining', 'destroying', 'destroyed')
         and m.reason not in ('create_failed', 'start_failed', 'superseded', 'handed_over')
       where s.id = any ($1) and s.outcome is not null group by s.id`,
    [ids],
  );
  const refused = (faults.create_no_capacity ?? 0) + (faults.create_quota ?? 0) > 0;
  return rows.flatMap(({ id, status, reason, lost }) => {
    if (status === 'completed') return [];
    const caused =
      (['worker_lost', 'boot_timeout'].includes(reason) && lost >= Number(environment.MAX_ATTEMPTS)) ||
      (['no_capacity', 'quota_exceeded'].includes(reason) && refused);
    return caused ? [] : [`session ${id} ended ${status}/${reason} after losing ${lost} machines`];
  });
}

const eventsOf = async (db: pg.Pool, id: string): Promise<string[]> => {
  const { rows } = await db.query<{ created_at: Date; type: string; data: object }>(
    'select created_at, type, data from public.session_events where session_id = $1 order by id',
    [id],
  );
  return rows.map(({ created_at, type, data }) => `  ${created_at.toISOString()} ${type} ${JSON.stringify(data)}`);
};

async function injectFaults(field: FaultTarget, plan: Planned[], log: (line: string) => void) {
  const faults: Record<string, number> = {};
  const startedMs = performance.now();
  for (const { atMs, name } of plan) {
    await pause(startedMs + atMs - performance.now());
    const effect = (await faultKinds[name]?.(field, name)) ?? 'missed';
    if (effect === 'hit') faults[name] = (faults[name] ?? 0) + 1;
    log(`${String(atMs).padStart(6)} ms ${name}${effect === 'hit' ? '' : ` ${effect}`}`);
  }
  return faults;
}

/** Number of requests to Fly and the voice provider that a fault rule hit, by the name of the rule. */
const suffered = ({ stack }: FaultTarget): Record<string, number> =>
  Object.fromEntries(
    [stack.cloud.fly.faults, stack.cloud.voice.faults].flatMap(({ fired }) =>
      Object.entries(fired).filter(([name]) => Object.hasOwn(faultKinds, name)),
    ),
  );

/** Looks again until no violation is left, or their number has not changed for as long as the patience lasts. */
async function settle(look: () => Promise<Violations>, patience: Patience): Promise<Violations> {
  let before = -1;
  patience.touch();
  for (;;) {
    const found = await look();
    if (found.violations.length !== before) patience.touch();
    before = found.violations.length;
    if (before === 0 || patience.over) return found;
    await pause(200);
  }
}

/** Prepares every path of a session. One tenant has a pool, and a limit that makes some of its sessions wait. */
async function preparePaths(stack: Stack, db: pg.Pool): Promise<{ ways: SessionPath[]; pooled: SeededTenant }> {
  const pooled = await stack.addTenant('pooled', 'Pooled');
  await db.query('update public.tenants set max_live_sessions = 3 where id = $1', [pooled.id]);
  await db.query(
    `insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
     values ($1, 'fra', 1, 3, $2, $3)`,
    [pooled.id, hotPolicy.floor, hotPolicy.ceiling],
  );
  const ofPool = { apiKey: pooled.apiKey, body: { admission: 'queue' } };
  const ways = [{}, ofPool, { body: { placement: 'on_join' } }, ofPool, { body: { scheduled_at: 'soon' } }];
  return { ways, pooled };
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { seed, sessions, durationMs = 25_000, settleMs = 90_000, log = () => undefined } = options;
  const random = createRandom(seed);
  const plan = planFaults(random, durationMs);
  const stack = await startStack({
    ...{ orchestrators: 2, voice: { turns: 8, paceMs: 120 }, flyLimits: false, environment },
    workerArguments: [`--import=${path.join(import.meta.dirname, 'clock.ts')}`],
  });
  const db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
  db.on('error', () => undefined);
  try {
    const { ways, pooled } = await preparePaths(stack, db);
    const patience = createPatience(settleMs, 10 * settleMs);
    const none = { created: new Set<string>(), lostHosts: new Set<string>(), pending: new Set<Promise<unknown>>() };
    const field: FaultTarget = { stack, db, random, pooled, ...none };
    const candidates = Array.from({ length: sessions }, async (_, n) => {
      await pause((n * durationMs * 0.8) / sessions);
      return runCandidate(stack, patience, ways[n % ways.length]);
    });
    const struck = await injectFaults(field, plan, log);
    await removeFaults(field);
    const faults = { ...struck, ...suffered(field) };
    const runs = await Promise.all(candidates);
    const ids = runs.map(({ sessionId }) => sessionId);
    const found = await settle(() => findViolations(stack, db, [...ids, ...field.created]), patience);
    const violations = [...found.violations, ...(await unfoundedEndings(db, ids, faults))];
    if (new Set(ids).size < sessions) violations.push('two requests got the same session');
    const lost = await countLost(db, runs);
    for (const id of ids.filter((id) => violations.some((violation) => violation.includes(id)))) {
      const run = runs.find(({ sessionId }) => sessionId === id);
      log(`seed ${seed}, session ${id}; it ended for its candidate with ${run?.end}:`);
      for (const line of [...(await eventsOf(db, id)), ...(run?.steps ?? [])].sort()) log(line);
    }
    const outcomes: Record<string, number> = {};
    for (const { end } of runs) outcomes[end] = (outcomes[end] ?? 0) + 1;
    return { seed, sessions, faults, ...found, violations, lost_entries: lost, outcomes };
  } finally {
    await db.end();
    await stack.stop();
  }
}

/** Whether the campaign found no violation and lost no entry. */
export const isClean = (report: CampaignReport): boolean =>
  report.violations.length + report.duplicates + report.orphans + report.stuck + report.unpaid + report.lost_entries ===
  0;
