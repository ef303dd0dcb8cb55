import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FaultRule } from '../../infra/local-cloud/src/faults.ts';
import { sha256 } from '../../orchestrator/src/access/authenticate.ts';
import { type CrashLabel, crashLabels } from '../../orchestrator/src/runtime/crash-labels.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import {
  type CrashWorld,
  createPersistently,
  dead,
  deletePersistently,
  kill,
  sessionWhen,
  violations,
} from '../support/crashes.ts';
import {
  machinesOf,
  platformOf,
  type RunningInterview,
  sessionBody,
  startInterview,
  until,
} from '../support/session.ts';

/**
 * Kills the orchestrator at every crash point (its own SIGKILL, in a real process) and starts another one. Afterwards
 * each session has one serving machine and the right outcome, and no orphaned machine or stuck session remains.
 *
 * The labels come from the code; a label without a scenario does not compile.
 */
const world = {} as CrashWorld;
let stack: Stack;
const platform = () => platformOf(stack);
const fault = (rule: FaultRule) => stack.cloud.fly.faults.add(rule);

/** Steps of a scenario around one crash. */
interface Scenario {
  /** Runs with an orchestrator that the test kills before it starts the armed one. Returns the session. */
  before?: () => Promise<SessionView>;
  /** Runs with the armed orchestrator; its successor is available when this step needs it. */
  act?: (given: SessionView | undefined) => Promise<SessionView>;
  /** Start the successor in advance, so that it takes over without a pause. */
  warm?: boolean;
  /** Runs with the successor: brings the session to its end and returns that end. */
  after: (session: SessionView) => Promise<object>;
}

const ready = (session: SessionView, epoch = 1) =>
  sessionWhen(
    platform(),
    session.session_id,
    `is ready at epoch ${epoch}`,
    (s) => s.status === 'ready' && s.epoch >= epoch,
  );
const ended = (session: SessionView) =>
  sessionWhen(platform(), session.session_id, 'has ended', (s) => s.completed_at !== null);

const create = () => createPersistently(world, sessionBody());
const createReady = async () => ready(await create());
/** The session becomes ready after all, and the platform ends it. */
const deleted = async (session: SessionView, epoch?: number) => {
  await ready(session, epoch);
  await deletePersistently(platform(), session.session_id);
  return ended(session);
};
const cancelled = { status: 'cancelled', reason: 'ended_by_platform' };
const flyId = (session: SessionView) =>
  machinesOf(stack, session.session_id).find((machine) => machine.state === 'started')?.id ?? '';

const created: Scenario = { act: create, after: (session) => deleted(session) };
/** The try that succeeds still gets the link of the session that an earlier try made. */
const createdWithLink: Scenario = {
  ...created,
  after: (session) => {
    expect(session.join_url).toContain(`/join/${session.session_id}#`);
    return deleted(session);
  },
};
const createdDespite = (rule: FaultRule): Scenario => ({
  act: () => {
    fault(rule);
    return create();
  },
  after: (session) => deleted(session),
});
const ending: Scenario = {
  act: async () => {
    const session = await createReady();
    await deletePersistently(platform(), session.session_id);
    return session;
  },
  after: ended,
};
/** The session's worker died while no orchestrator ran; Fly had already failed to find the machine once. */
const missed: Scenario = {
  before: createReady,
  act: async (session) => session as SessionView,
  after: (session) => deleted(session, 2),
};
const overdue: Scenario = { before: createReady, after: ended };

/** Starts an interview and keeps its candidate for the rest of the scenario. */
let interview: RunningInterview | undefined;
const talking = async (): Promise<SessionView> => {
  interview = await startInterview(stack);
  await until('the conversation has begun', () => (interview?.said() ?? 0) > 1);
  return interview.session;
};
const heard = async (session: SessionView) => {
  await interview?.ended;
  return ended(session);
};
const calling: Scenario = {
  warm: true,
  act: async () => {
    interview = await startInterview(stack);
    return interview.session;
  },
  after: heard,
};
const indebted: Scenario = {
  before: talking,
  after: async (session) => {
    interview?.client.leave();
    return ended(session);
  },
};

/** The interviewer has greeted, and the candidate says nothing. */
const greeted = async (): Promise<SessionView> => {
  interview = await startInterview(stack, sessionBody(), { peer: { autoAnswer: false } });
  await until('the interviewer has greeted', () => (interview?.said() ?? 0) > 0);
  return interview.session;
};
/** The candidate of the interview has consented, as `/api/join/consent` stores it. */
const agreed = async ({ session_id, join_url }: SessionView) => {
  await world.db.query("update public.interview_sessions set consent_text_version = 'v1' where id = $1", [session_id]);
  await world.db.query(
    `insert into public.consents (tenant_id, session_id, candidate_id, text_version)
       select tenant_id, id, candidate_id, consent_text_version from public.interview_sessions where id = $1`,
    [session_id],
  );
  await world.db.query('update public.session_invitations set browser_hash = $2 where session_id = $1', [
    session_id,
    sha256(browser),
  ]);
  return { session_id, code: new URL(join_url ?? '').hash.slice(1), browser };
};
const browser = 'the-browser-of-the-candidate';
const withdraw = async (session: SessionView): Promise<SessionView> => {
  const body = JSON.stringify(await agreed(session));
  const headers = { 'content-type': 'application/json' };
  const send = () => fetch(`${stack.publicUrl}/api/join/withdraw`, { method: 'POST', headers, body });
  await until('the withdrawal is answered', async () => (await send().catch(() => undefined))?.ok, 90_000);
  return session;
};
/** The session has ended and nothing of the interview is left. */
const erased = async (session: SessionView) => {
  interview?.client.leave();
  await until('the interview is erased', async () => {
    const { rows } = await world.db.query(
      `select withdrawal_settled_at is not null as settled, (select count(*)::int from public.transcript_entries
         where session_id = $1) as entries from public.interview_sessions where id = $1`,
      [session.session_id],
    );
    return rows[0].settled && rows[0].entries === 0;
  });
  return ended(session);
};

const standby: Scenario = {
  before: async () => {
    await world.db.query(
      "insert into public.pool_policies (tenant_id, region, floor, ceiling) values ($1, 'fra', 1, 1) on conflict do nothing",
      [stack.tenant.id],
    );
    await until('a standby machine rests', async () => {
      const { rows } = await world.db.query(
        "select 1 from public.machines where session_id is null and state = 'created' and fly_machine_id is not null",
      );
      return rows.length > 0;
    });
    return undefined as unknown as SessionView;
  },
  act: create,
  after: async (session) => {
    await world.db.query('delete from public.pool_policies');
    return deleted(session);
  },
};

/** A pool with one hot machine whose worker waits. */
const hot: Scenario = {
  before: async () => {
    await world.db.query(
      `insert into public.pool_policies (tenant_id, region, hot_floor, hot_ceiling) values ($1, 'fra', 1, 1)
       on conflict (tenant_id, region) do update set hot_floor = 1, hot_ceiling = 1`,
      [stack.tenant.id],
    );
    await until('a hot worker waits', async () => {
      const { rows } = await world.db.query("select 1 from public.machines where state = 'started' and hot");
      return rows.length > 0;
    });
    return undefined as unknown as SessionView;
  },
  act: create,
  after: async (session) => {
    await world.db.query('delete from public.pool_policies');
    return deleted(session);
  },
};
/** Its worker does not answer when it is assigned. */
const frozen: Scenario = {
  ...hot,
  after: async (session) => {
    await world.db.query('delete from public.pool_policies');
    return deleted(session, 2);
  },
};

/** Changes made to the world between the first orchestrator and the armed one. */
const between: Partial<Record<CrashLabel, (session: SessionView) => Promise<void>>> = {};
const afterDeath = async (session: SessionView) => {
  stack.cloud.fly.killMachineProcess(flyId(session), 'SIGKILL');
  await world.db.query("update public.machines set first_absent_at = now() - interval '10 s' where session_id = $1", [
    session.session_id,
  ]);
};
between['absence.certain'] = afterDeath;
between['absence.recorded'] = afterDeath;
const pastDeadline = async (session: SessionView) => {
  await world.db.query('update public.machines set hard_deadline_at = now() where session_id = $1', [
    session.session_id,
  ]);
};
between['reap.committed'] = pastDeadline;
between['reap.destroyed'] = pastDeadline;
/** The platform asked to end the session, and the worker died before it received the directive. */
const endedUnheard = async (session: SessionView) => {
  stack.cloud.fly.killMachineProcess(flyId(session), 'SIGKILL');
  await world.db.query(
    "update public.interview_sessions set end_requested_at = now(), outcome = 'cancelled', reason = 'ended_by_platform' where id = $1",
    [session.session_id],
  );
};
between['hang_up.taken'] = endedUnheard;
between['hang_up.done'] = endedUnheard;
between['withdrawal.erased'] = async (session) => {
  stack.cloud.fly.killMachineProcess(flyId(session), 'SIGKILL');
  const { code } = await agreed(session);
  await world.db.query("select public.withdraw_consent($1, $2, $3, '{}')", [
    session.session_id,
    sha256(code),
    sha256(browser),
  ]);
};
/** The machine's row was lost, as after a database restore; the machine keeps running. */
between['orphan.found'] = async (session) => {
  stack.cloud.fly.killMachineProcess(flyId(session), 'SIGSTOP');
  const client = await world.db.connect();
  await client.query('begin');
  await client.query('set local session_replication_role = replica');
  await client.query(
    `update public.interview_sessions set status = 'cancelled', outcome = 'cancelled', reason = 'operator_stopped', machine_id = null,
       completed_at = now(), counted = false, epoch = 0 where id = $1`,
    [session.session_id],
  );
  await client.query('update public.tenant_counters set live_sessions = live_sessions - 1 where tenant_id = $1', [
    stack.tenant.id,
  ]);
  await client.query('delete from public.machines where session_id = $1', [session.session_id]);
  await client.query('commit');
  client.release();
};
between['start.failure_recorded'] = async () =>
  fault({ on: 'machines.start', action: { kind: 'special', name: 'host_cpus' } });

/** The lease of the worker goes on for longer than the next orchestrator needs to assign its machine. */
between['hot.replaced'] = async () => {
  const { rows } = await world.db.query(
    `update public.machines set lease_expires_at = clock_timestamp() + interval '1 minute'
     where state = 'started' and hot returning fly_machine_id`,
  );
  for (const { fly_machine_id } of rows) stack.cloud.fly.killMachineProcess(fly_machine_id, 'SIGSTOP');
};

const scenarios: Record<CrashLabel, [Scenario, expected: object]> = {
  'create.committed': [created, cancelled],
  'answer.unstored': [createdWithLink, cancelled],
  'create.kept': [created, cancelled],
  'create.answered': [created, cancelled],
  'create.recorded': [created, cancelled],
  'create.unclear': [createdDespite({ on: 'machines.create', action: { kind: 'drop_after' } }), cancelled],
  'create.refused': [
    createdDespite({ on: 'machines.create', action: { kind: 'special', name: 'no_host' } }),
    cancelled,
  ],
  'create.refusal_recorded': [
    createdDespite({ on: 'machines.create', action: { kind: 'special', name: 'no_host' } }),
    { ...cancelled, region: 'ams' },
  ],
  'start.asked': [standby, cancelled],
  'start.answered': [standby, cancelled],
  'start.failure_recorded': [standby, cancelled],
  'hot.registered': [hot, cancelled],
  'hot.replaced': [frozen, { ...cancelled, epoch: 2 }],
  'claim.asked': [created, cancelled],
  'claim.committed': [created, cancelled],
  'call.opened': [calling, { status: 'completed', reason: 'interviewer_finished', epoch: 1 }],
  'call.minted': [calling, { status: 'completed', reason: 'interviewer_finished', epoch: 1 }],
  'finish.committed': [ending, cancelled],
  'ending.seen': [ending, cancelled],
  'ending.recorded': [ending, cancelled],
  'ending.committed': [
    {
      act: async () => {
        fault({ on: 'machines.create', action: { kind: 'special', name: 'stuck_in_created' } });
        const session = await create();
        await until('its machine is known', async () => {
          const { rows } = await world.db.query(
            "select 1 from public.machines where session_id = $1 and state = 'created'",
            [session.session_id],
          );
          return rows.length > 0;
        });
        await deletePersistently(platform(), session.session_id);
        return session;
      },
      after: ended,
    },
    cancelled,
  ],
  'absence.noted': [
    {
      act: async () => {
        const session = await createReady();
        stack.cloud.fly.killMachineProcess(flyId(session), 'SIGKILL');
        return session;
      },
      after: (session) => deleted(session, 2),
    },
    { ...cancelled, epoch: 2 },
  ],
  'absence.certain': [missed, { ...cancelled, epoch: 2 }],
  'absence.recorded': [missed, { ...cancelled, epoch: 2 }],
  'hedge.reserved': [
    createdDespite({ on: 'machines.create', action: { kind: 'special', name: 'stuck_in_created' } }),
    { ...cancelled, region: 'ams', epoch: 1 },
  ],
  'reap.committed': [overdue, { status: 'failed', reason: 'worker_lost' }],
  'reap.destroyed': [overdue, { status: 'failed', reason: 'worker_lost' }],
  'orphan.found': [overdue, { status: 'cancelled', reason: 'operator_stopped' }],
  'housekeeping.expired': [created, cancelled],
  'hang_up.taken': [indebted, cancelled],
  'hang_up.done': [indebted, cancelled],
  'withdrawal.committed': [
    { warm: true, act: async () => withdraw(await greeted()), after: erased },
    { status: 'cancelled', reason: 'consent_withdrawn' },
  ],
  'withdrawal.erased': [
    { before: greeted, after: erased },
    { status: 'cancelled', reason: 'consent_withdrawn' },
  ],
  'unreachable.recorded': [
    {
      warm: true,
      act: async () => {
        const session = await talking();
        const instance = flyId(session);
        const action = { kind: 'special', name: 'fail', value: 'timeout' } as const;
        fault({ on: 'proxy.replay', action, times: Number.POSITIVE_INFINITY, match: { instance } });
        stack.cloud.fly.cutConnections(instance);
        return session;
      },
      after: heard,
    },
    { status: 'completed', reason: 'interviewer_finished', epoch: 2 },
  ],
};

describe('crash points of the orchestrator', () => {
  beforeAll(async () => {
    stack = await startStack({
      orchestrators: 0,
      voice: { turns: 5, paceMs: 100 },
      flyLimits: false,
      environment: {
        DEPLOYMENT_ID: 'crash',
        HEARTBEAT_MS: '500',
        HEARTBEAT_FLUSH_MS: '200',
        LEASE_MS: '2500',
        CREATE_MS: '2000',
        RECONCILE_TICK_MS: '400',
        POOL_TICK_MS: '200',
        ABSENCE_GRACE_MS: '300',
        DRAINING_MS: '1500',
        INTENT_TAKEN_MS: '700',
        INTENT_SCAN_MS: '300',
        DUTY_LEASE_MS: '1000',
        DUTY_RENEW_MS: '200',
        UNREACHABLE_GAP_MS: '400',
      },
    });
    world.stack = stack;
    world.db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
  });
  afterEach(async () => {
    stack.cloud.fly.faults.clear();
    for (const orchestrator of [...stack.orchestrators]) await kill(stack, orchestrator);
    interview?.client.leave();
    interview = undefined;
  });
  afterAll(async () => {
    await world.db.end();
    await stack.stop();
  });

  const runBefore = async (label: CrashLabel, { before }: Scenario) => {
    if (!before) return undefined;
    const first = await stack.addOrchestrator();
    const session = await before();
    await kill(stack, first);
    await between[label]?.(session);
    return session;
  };

  /** An orchestrator that died before it was ready counts as well. */
  const startArmed = (label: CrashLabel) => stack.addOrchestrator({ CRASH_AT: label }).catch(() => undefined);

  const startWarm = async ({ warm }: Scenario) => {
    if (!warm) return undefined;
    const next = await stack.addOrchestrator();
    stack.orchestrators.splice(stack.orchestrators.indexOf(next), 1);
    return next;
  };

  test.each(crashLabels)('a kill at %s leaves no lost, doubled or stuck session', async (label) => {
    const [scenario, expected] = scenarios[label];
    const given = await runBefore(label, scenario);
    const armed = await startArmed(label);
    const warm = await startWarm(scenario);
    const acting = scenario.act?.(given) ?? Promise.resolve(given as SessionView);
    acting.catch(() => undefined);
    await dead(stack, armed, label);
    if (warm) stack.orchestrators.push(warm);
    else await stack.addOrchestrator();
    const session = await acting;
    expect(await scenario.after(session)).toMatchObject(expected);
    await expect.poll(() => violations(world, session.session_id), { timeout: 60_000, interval: 50 }).toEqual([]);
  });
});
