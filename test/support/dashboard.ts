import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { buildDashboard } from '../../orchestrator/dashboard/build.ts';
import { buildOpsApp } from '../../orchestrator/src/ops-app.ts';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, hashOf, startApiWorld } from './api-world.ts';

/** The operators' dashboard in Chromium, before an orchestrator whose database holds a busy fleet. */
export interface DashboardWorld {
  world: ApiWorld;
  tenant: SeededTenant;
  /** Address of the dashboard. */
  url: string;
  tokens: Record<'viewer' | 'operator' | 'admin', string>;
  fleet: Fleet;
  /** A page in a browser context of its own, where nobody is signed in. */
  newPage(): Promise<Page>;
  /** A page in a browser context of its own, signed in. @param at default: the overview */
  open(role: 'viewer' | 'operator' | 'admin', at?: string): Promise<Page>;
  /** Gives the operators of a role another one, or none, while they are signed in. @returns a function that undoes it */
  setRole(role: 'viewer' | 'operator' | 'admin', to: 'viewer' | 'operator' | 'admin' | 'none'): () => void;
  /** Stops the listener and cuts its connections, as when the orchestrator is replaced. */
  goAway(): Promise<void>;
  /** Listens again, at the same address. */
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

/** Ids of the seeded rows that tests look for. */
export interface Fleet {
  /** A session that waited for Fly's create limit. */
  limited: string;
  /** A live session with its candidate in the room. */
  live: string;
  /** The machine of `live`. */
  machine: string;
  /** A session whose evaluation was given up. */
  dead: string;
}

/** Seeds a busy fleet: live, slow, failed and scheduled sessions, pools, owed work, and machines that the brake holds. */
async function seedFleet(world: ApiWorld, tenant: SeededTenant): Promise<Fleet> {
  const body = {
    candidate: { name: 'Ada Lovelace', external_id: 'ext-7' },
    position: { title: 'Cook' },
    region: 'fra',
  };
  const made = await world.send('/api/sessions', { method: 'POST', as: tenant.apiKey, body });
  if (made.status !== 201) throw new Error(made.text);
  const { rows } = await world.db.query<Fleet>(
    `with first as (select * from public.interview_sessions where id = $1),
    kinds (n, status, outcome, reason, presence, region, path, wait_s) as (values
      (0, 'in_progress', null, null, 'present', 'fra', 'standby', 0.9),
      (1, 'in_progress', null, null, 'present', 'iad', 'cold', 3.4),
      (2, 'ready', null, null, 'absent', 'sin', 'standby', 1.2),
      (3, 'completed', 'completed', 'interviewer_finished', 'absent', 'fra', 'standby', 0.8),
      (4, 'completed', 'completed', 'ended_by_candidate', 'absent', 'lhr', 'cold', 4.9),
      (5, 'failed', 'failed', 'worker_lost', 'absent', 'nrt', 'cold', 8.2),
      (6, 'disconnected', 'disconnected', 'candidate_left', 'absent', 'syd', 'cold', 5.1),
      (7, 'completed', 'completed', 'max_duration', 'absent', 'fra', 'cold', 31.4)),
    sessions as (
      insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, outcome, reason, presence,
        regions, region, epoch, created_at, expires_at, ready_at, started_at, completed_at)
      select f.tenant_id, f.candidate_id, f.candidate, f.position_id, k.status, k.outcome, k.reason, k.presence, array[k.region],
        k.region, 1, t.at, t.at + interval '1 day', t.at + make_interval(secs => k.wait_s), t.at + interval '40 s',
        case when k.outcome is not null then t.at + interval '17 min' end
      from first f, generate_series(0, 319) i join kinds k on k.n = i % 8,
        lateral (select now() - make_interval(mins => 2 + i / 8, secs => i) as at) t
      returning *),
    phases as (
      insert into public.session_phases (session_id, tenant_id, path, attempts, wanted_region, region, standby_kept, slot_place,
        slot_count, due_at, begun_at, reserved_at, slot_at, asked_at, answered_at, started_at, booted_at, ready_at, joined_at,
        edge_wait_ms, socket_at, offered_at, credential_at, call_answered_at, connected_at, spoke_at)
      select s.id, s.tenant_id, k.path, 1, k.region, k.region, case when k.path = 'cold' then 0 end,
        case when k.n = 7 then 30 end, case when k.n = 7 then 100 end, s.created_at, s.created_at + interval '20 ms',
        s.created_at + interval '25 ms', s.created_at + make_interval(secs => 0.03 + greatest(0, k.wait_s - 2.4)),
        s.created_at + make_interval(secs => 0.05 + greatest(0, k.wait_s - 2.4)),
        s.ready_at - interval '700 ms', s.ready_at - interval '500 ms', s.ready_at - interval '200 ms', s.ready_at,
        s.created_at + interval '36 s', 40, s.created_at + interval '36.2 s', s.created_at + interval '36.6 s',
        s.created_at + interval '36.8 s', s.created_at + interval '37.3 s', s.created_at + interval '37.7 s',
        s.created_at + interval '38.4 s'
      from sessions s join kinds k on k.status = s.status and k.reason is not distinct from s.reason and k.region = s.region),
    machines as (
      insert into public.machines (tenant_id, session_id, app_name, fly_machine_id, region, image, state, reason, evidence, epoch,
        fly_request_id, reserved_at, not_before, asked_at, answered_at, created_at, started_at, booted_at, claimed_at, destroying_at, destroyed_at,
        last_heartbeat_at, lease_expires_at, hard_deadline_at, rss_bytes, unsaved_entries)
      select s.tenant_id, s.id, $2, substr(md5(s.id::text), 1, 14), s.region, 'registry.fly.io/worker@sha256:1',
        case when s.outcome is null then 'claimed' else 'destroyed' end,
        case when s.outcome = 'failed' then 'worker_lost' when s.outcome is not null then 'session_ended' end,
        case when s.outcome = 'failed' then 'Fly: exit event, code 137, oom_killed' end, 1,
        '01K' || upper(substr(md5(s.id::text), 1, 12)) || '-' || s.region, s.created_at, s.created_at, s.created_at, s.ready_at - interval '700 ms',
        s.ready_at - interval '700 ms', s.ready_at - interval '500 ms', s.ready_at - interval '200 ms', s.ready_at,
        s.completed_at, s.completed_at + interval '2 s', now(), now() + interval '1 day', s.created_at + interval '1 day',
        92e6::bigint, 0
      from sessions s returning *),
    usage as (
      insert into public.machine_usage (machine_id, tenant_id, session_id, region, size, started_seconds, cost_usd, recorded_at)
      select m.id, m.tenant_id, m.session_id, m.region, 'shared-cpu-1x:512', 1020, 0.0021, m.destroyed_at
      from machines m where m.destroyed_at is not null),
    events as (
      insert into public.session_events (session_id, tenant_id, type, data, created_at)
      select s.id, s.tenant_id, e.type, e.data, s.created_at + e.after from sessions s, (values
        ('session.pending', '{}'::jsonb, interval '0'), ('session.ready', '{"epoch": 1}', interval '3 s'),
        ('session.in_progress', '{"call": 1}', interval '38 s')) e (type, data, after)),
    standby as (
      insert into public.machines (tenant_id, app_name, fly_machine_id, region, image, state, created_at, reserved_at)
      select f.tenant_id, $2, 'standby' || i, 'fra', 'registry.fly.io/worker@sha256:1', 'created', now(), now() - interval '9 min'
      from first f, generate_series(1, 2) i returning *),
    pools as (
      insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
      select f.tenant_id, p.region, p.floor, p.ceiling, p.hot, p.hot * 2
      from first f, (values ('ams', 0, 1, 0), ('fra', 5, 20, 1)) p (region, floor, ceiling, hot)),
    due as (
      insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, regions, region, created_at,
        expires_at, scheduled_at)
      select f.tenant_id, f.candidate_id, f.candidate, f.position_id, 'scheduled', array['fra'], 'fra', now(), now() + interval '1 day',
        now() + make_interval(mins => 5 + 5 * (i / 40))
      from first f, generate_series(0, 99) i),
    results as (
      insert into public.interview_results (session_id, tenant_id, status, attempts, failure, last_error)
      select s.id, s.tenant_id, 'dead', 6, 'refused', 'the model refused the transcript'
      from sessions s where s.reason = 'max_duration' order by s.created_at desc limit 2 returning session_id),
    held as (
      insert into public.brake_holds (app_name, orchestrator_id, ends, ceiling, seen_at)
      select $2, gen_random_uuid(), jsonb_agg(jsonb_build_object('machine_id', m.id, 'fly_machine_id', m.fly_machine_id,
        'session_id', m.session_id, 'what', 'destroy: Fly does not list it')), 5, now() + interval '1 hour'
      from (select * from machines where destroyed_at is null order by id limit 7) m)
    select (select id from sessions where reason = 'max_duration' order by created_at desc limit 1) as limited,
      (select id from sessions where status = 'in_progress' and region = 'fra' order by created_at desc limit 1) as live,
      (select m.id from machines m join sessions s on s.id = m.session_id where s.status = 'in_progress' and s.region = 'fra'
        order by s.created_at desc limit 1) as machine,
      (select session_id from results limit 1) as dead`,
    [made.json.session_id, tenant.appName],
  );
  return rows[0] as Fleet;
}

type State = Awaited<ReturnType<BrowserContext['storageState']>>;

export interface DashboardOptions {
  /** Default: any. */
  port?: number;
  /** Variables of the orchestrator beside those of the dashboard. */
  environment?: Record<string, string>;
}

export async function startDashboard({
  port: wanted = 0,
  environment,
}: DashboardOptions = {}): Promise<DashboardWorld> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-dashboard-'));
  const tokens = Object.fromEntries(
    ['viewer', 'operator', 'admin'].map((role) => [role, `gr_op_${randomBytes(32).toString('hex')}`]),
  ) as DashboardWorld['tokens'];
  const [world] = await Promise.all([
    startApiWorld({
      ...environment,
      DASHBOARD_DIR: dir,
      OPERATOR_TOKENS: Object.entries(tokens)
        .map(([role, token]) => `${role}-kim:${role}:${hashOf(token)}`)
        .join(','),
    }),
    buildDashboard(dir),
  ]);
  const tenant = await world.tenant('acme');
  const fleet = await seedFleet(world, tenant);
  const app = await buildOpsApp(world.deps);
  const server = createServer(app.routing);
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(wanted);
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const browser: Browser = await chromium.launch({
    executablePath: browserPath(),
    headless: true,
    args: browserArguments,
  });
  const newPage = async (storageState?: State) => {
    const context = await browser.newContext({ timezoneId: 'UTC', ...(storageState ? { storageState } : {}) });
    const page = await context.newPage();
    // No test may fail because the machine is slow.
    page.setDefaultTimeout(120_000);
    return page;
  };
  /** The cookies of each role, so that it signs in once. */
  const kept = new Map<string, State>();
  return {
    ...{ world, tenant, url, tokens, fleet },
    newPage: () => newPage(),
    open: async (role, at = '/') => {
      const storageState = kept.get(role);
      const page = await newPage(storageState);
      await page.goto(`${url}${at}`);
      if (!storageState) {
        await page.getByLabel('Operator’s token').fill(tokens[role]);
        await page.getByRole('button', { name: 'Sign in' }).click();
      }
      await page.locator('h1[tabindex]').waitFor();
      kept.set(role, await page.context().storageState());
      return page;
    },
    setRole: (role, to) => {
      const { operators } = world.deps.config.access;
      const own = operators.find(({ name }) => name === `${role}-kim`);
      if (!own) throw new Error(`there is no ${role}`);
      const before = { ...own };
      Object.assign(own, to === 'none' ? { hash: Buffer.alloc(32) } : { role: to });
      return () => {
        Object.assign(own, before);
      };
    },
    goAway: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
    comeBack: () => listen(port),
    stop: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
      await world.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
