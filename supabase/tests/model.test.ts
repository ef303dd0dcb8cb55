import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { useProject } from './support/project.ts';
import { type Answer, call, newTenant, sessionRequest, type TestTenant } from './support/sessions.ts';

/**
 * A model of the life of sessions and machines against real Postgres: several actors, each with a connection of its own
 * and an outdated view of the world, act one after another or at the same time. In every order:
 *
 *   - ranks, epochs and decided endings never go back, and every ending has a reason
 *   - each epoch is claimed once, and only the newest claim gets the directive to continue
 *   - an assignment never moves to another machine while its machine is claimed
 *   - the tenant's counter equals the number of its sessions
 *   - a live session that was placed has a machine that may serve it, or one that is being destroyed
 *   - when all machines are gone, every session has ended
 */
const project = useProject();
const db = (): pg.Pool => project().owner;
let tenant: TestTenant;
beforeAll(async () => {
  tenant = await newTenant(db(), { max_live_sessions: 1_000 });
});

const next = {
  orchestrator_id: randomUUID(),
  taken_ms: 2_000,
  max_attempts: 3,
  max_failed: 5,
  image: 'worker:1',
  life_ms: 60_000,
};

interface Machine {
  id: string;
  session_id: string;
  epoch: number | null;
  state: string;
  name: string;
  app_name: string;
}

/** An operation of one actor on the machine or session with its number. */
type Command = { kind: Kind; target: number; boot: number };
type Kind = keyof typeof acts;

/** The view of an actor: read before it acts, so it may be outdated. */
interface View {
  machines: Machine[];
  sessions: string[];
}
type Act = (view: View, command: Command) => Promise<unknown>;

const machineOf = ({ machines }: View, { target }: Command): Machine | undefined => machines[target % machines.length];
const sessionOf = ({ sessions }: View, { target }: Command): string | undefined => sessions[target % sessions.length];
/** Runs an operation on a machine, if there is one. */
const toMachine =
  (name: string, args: (machine: Machine, command: Command) => object): Act =>
  async (view, command) => {
    const machine = machineOf(view, command);
    return machine && call(db(), name, { p_machine_id: machine.id, ...args(machine, command) });
  };
const toSession =
  (name: string, args: object): Act =>
  async (view, command) => {
    const id = sessionOf(view, command);
    return id && call(db(), name, { p_session_id: id, ...args });
  };

const acts = {
  /** Few sessions, so that operations often hit the same session. */
  create: async ({ sessions }: View) =>
    sessions.length < 3 ? call(db(), 'create_sessions', { p_requests: [sessionRequest(tenant.id)] }) : undefined,
  recordCreated: toMachine('record_machine_created', ({ id }) => ({ p_fly_machine_id: `fly-${id}`, p_region: 'fra' })),
  createFailed: toMachine('record_create_failed', () => ({ p_reason: 'no_capacity' })),
  createFailedNext: toMachine('record_create_failed', () => ({
    p_reason: 'no_capacity',
    p_launch: { ...next, region: 'ams' },
  })),
  claim: async (view: View, command: Command) => {
    const machine = machineOf(view, command);
    if (!machine) return undefined;
    return call(db(), 'app.claim_session', {
      ...{ p_machine_name: machine.name, p_app_name: machine.app_name, p_fly_machine_id: `fly-${machine.id}` },
      ...{ p_boot_nonce: `boot-${command.boot}`, p_lease_ms: 20_000, p_life_ms: 60_000 },
    });
  },
  heartbeat: async (view: View, command: Command) => {
    const machine = machineOf(view, command);
    if (!machine || machine.epoch === null) return undefined;
    const beat = { machine_id: machine.id, epoch: machine.epoch, presence: 'present', unsaved_entries: 0 };
    return call(db(), 'record_heartbeats', { p_beats: [beat], p_lease_ms: 20_000 });
  },
  leaseLapses: async (view: View, command: Command) => {
    const machine = machineOf(view, command);
    return db().query("update public.machines set lease_expires_at = now() - interval '1 s' where id = $1", [
      machine?.id ?? null,
    ]);
  },
  begin: toSession('app.move_session', { p_status: 'in_progress' }),
  finalize: toSession('app.move_session', {
    ...{ p_status: 'finalizing', p_outcome: 'completed', p_reason: 'ended_by_candidate' },
  }),
  finish: toMachine('finish_session', ({ epoch }) => ({
    ...{ p_epoch: epoch ?? 1, p_kind: 'ended', p_outcome: 'completed', p_reason: 'interviewer_finished' },
  })),
  handOver: toMachine('finish_session', ({ epoch }) => ({ p_epoch: epoch ?? 1, p_kind: 'draining', p_next: next })),
  requestEnd: toSession('request_end', {
    ...{ p_tenant_id: null, p_outcome: 'cancelled', p_reason: 'ended_by_platform' },
  }),
  expire: async () => call(db(), 'expire_sessions'),
  hedge: toMachine('hedge_machine', () => ({ p_next: { ...next, region: 'ams' } })),
  judgeLost: toMachine('record_machine_destroying', ({ epoch }) => ({
    ...{ p_reason: 'host_lost', p_epoch: epoch, p_judged: true, p_next: next },
  })),
  judgeTimeout: toMachine('record_machine_destroying', ({ epoch }) => ({
    ...{ p_reason: 'boot_timeout', p_epoch: epoch, p_judged: true, p_next: next },
  })),
  overdue: toMachine('record_machine_destroying', () => ({ p_reason: 'hard_deadline' })),
  gone: toMachine('record_machine_gone', () => ({ p_machine_reason: 'worker_lost', p_next: next })),
  unreachable: toMachine('record_unreachable', ({ epoch }) => ({
    ...{ p_epoch: epoch ?? 1, p_gap_ms: 0, p_window_ms: 60_000, p_next: next },
  })),
  settle: async () => call(db(), 'settle_sessions', { p_next: next }),
} satisfies Record<string, Act>;

async function look(sessions: string[]): Promise<View> {
  const { rows } = await db().query<Machine>(
    'select id, session_id, epoch, state, name, app_name from public.machines where session_id = any ($1) order by reserved_at, id',
    [sessions],
  );
  return { machines: rows, sessions };
}

/** Earlier values of a session, to check that it never goes back. */
interface Seen {
  rank: number;
  epoch: number;
  ending: string;
}

const wrongsQuery = `
  select s.id, s.state_rank as rank, s.epoch, concat(s.outcome, '/', s.reason) as ending, s.outcome,
    (select count(*)::int from public.session_events e where e.session_id = s.id and e.type = 'machine.claimed') as claims,
    (select count(*)::int from public.machines m where m.session_id = s.id and m.state = 'claimed') as claimed,
    (select count(*)::int from public.machines m where m.session_id = s.id and m.state = 'claimed' and m.id is distinct from s.machine_id) as strangers,
    (select count(*)::int from public.machines m where m.session_id = s.id and m.state <> 'destroyed') as machines
  from public.interview_sessions s where s.id = any ($1)`;

async function check(sessions: string[], seen: Map<string, Seen>): Promise<void> {
  const { rows } = await db().query(wrongsQuery, [sessions]);
  for (const { id, rank, epoch, ending, outcome, claims, claimed, strangers, machines } of rows) {
    const before = seen.get(id) ?? { rank: 0, epoch: 0, ending: '/' };
    expect({ rank: rank >= before.rank, epoch: epoch >= before.epoch }, '1').toEqual({ rank: true, epoch: true });
    if (before.ending !== '/') expect(ending, '1').toBe(before.ending);
    if (rank >= 70) expect(outcome, '1').not.toBeNull();
    expect(claims, '2').toBe(epoch);
    expect({ claimed: claimed <= 1, strangers }, '3').toEqual({ claimed: true, strangers: 0 });
    if (rank < 90) expect(machines, '5').toBeGreaterThan(0);
    seen.set(id, { rank, epoch, ending });
  }
  const { rows: counters } = await db().query(
    `select c.live_sessions, (select count(*)::int from public.interview_sessions s where s.tenant_id = c.tenant_id and s.counted) as counted
     from public.tenant_counters c where c.tenant_id = $1`,
    [tenant.id],
  );
  expect(counters[0].live_sessions, '4').toBe(counters[0].counted);
}

const isDeadlock = (error: Answer): boolean => error?.code === '40P01';

async function run(command: Command, view: View, sessions: string[]): Promise<void> {
  const answer: Answer = await acts[command.kind](view, command).catch((error: Answer) => {
    if (isDeadlock(error)) throw new Error(`${command.kind} waited for somebody who waited for it`);
    throw error;
  });
  if (command.kind === 'create' && answer) sessions.push(answer[0].session.session_id);
}

/** Ends all remaining machines, as Fly would in the end. */
async function endAll(sessions: string[], seen: Map<string, Seen>): Promise<void> {
  for (let round = 0; round < 12; round += 1) {
    const { machines } = await look(sessions);
    const left = machines.filter((machine) => machine.state !== 'destroyed');
    if (left.length === 0) break;
    for (const { id } of left)
      await call(db(), 'record_machine_gone', { p_machine_id: id, p_machine_reason: 'worker_lost', p_next: next });
    await check(sessions, seen);
  }
  const { rows } = await db().query(
    'select id, status from public.interview_sessions where id = any ($1) and outcome is null',
    [sessions],
  );
  expect(rows, '6').toEqual([]);
}

/** Operations that give one session several machines are more frequent. */
const often: Partial<Record<Kind, number>> = { claim: 6, hedge: 4, handOver: 3, gone: 4, judgeLost: 2, leaseLapses: 2 };
const kinds = (Object.keys(acts) as Kind[]).flatMap((kind) => Array.from({ length: often[kind] ?? 1 }, () => kind));
const command = fc.record({
  kind: fc.constantFrom(...kinds),
  target: fc.nat({ max: 30 }),
  boot: fc.nat({ max: 2 }),
});
/** Steps, each of one command or of several at once. */
const history = fc.array(fc.array(command, { minLength: 1, maxLength: 4 }), { minLength: 10, maxLength: 40 });

test('every interleaving of session and machine operations keeps the invariants of the model', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const sessions: string[] = [];
      const seen = new Map<string, Seen>();
      await run({ kind: 'create', target: 0, boot: 0 }, { machines: [], sessions }, sessions);
      for (const step of steps) {
        const view = await look([...sessions]);
        await Promise.all(step.map((one) => run(one, view, sessions)));
        await check(sessions, seen);
      }
      await endAll(sessions, seen);
    }),
    { numRuns: 60, interruptAfterTimeLimit: 45_000, markInterruptAsFailure: false },
  );
}, 300_000);
