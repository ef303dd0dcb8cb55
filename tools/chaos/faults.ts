import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { FaultAction } from '../../infra/local-cloud/src/faults.ts';
import type { MachineSnapshot } from '../../infra/local-cloud/src/fly/fly.ts';
import { createPlatform } from '../demo/platform.ts';
import type { OrchestratorProcess } from '../stack/orchestrator-process.ts';
import type { SeededTenant } from '../stack/seed.ts';
import type { Stack } from '../stack/stack.ts';
import type { Random } from './random.ts';

/**
 * The faults of a campaign. The seed chooses each fault and its target; the effect depends on the moment. Only
 * faults that really happened are counted: a fault without a target returns `missed`, and a rule of a stand-in
 * counts the requests that it hit.
 *
 * Every fault can be removed (`removeFaults`), so that the system must recover at the end of a campaign.
 */
export interface FaultTarget {
  stack: Stack;
  /** A superuser's pool. */
  db: pg.Pool;
  random: Random;
  /** The tenant whose pools have hot machines. */
  pooled: SeededTenant;
  /** Sessions that faults created, beside those with candidates. */
  created: Set<string>;
  /** Machines whose hosts are lost at present. */
  lostHosts: Set<string>;
  /** Work that still runs in the background, such as a database that is starting again. */
  pending: Set<Promise<unknown>>;
}

/** The campaign's policy for hot machines. */
export const hotPolicy = { floor: 1, ceiling: 2 } as const;

/** Result of a fault: it hit, it had no target, or it waits for requests of its kind. */
export type Effect = 'hit' | 'missed' | 'waits';
export type InjectFault = (field: FaultTarget, name: string) => Effect | Promise<Effect>;

const inBackground = ({ pending }: FaultTarget, work: Promise<unknown>): Effect => {
  const task = work.catch(() => undefined).finally(() => pending.delete(task));
  pending.add(task);
  return 'hit';
};
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const running = ({ stack, lostHosts }: FaultTarget): MachineSnapshot[] =>
  stack.cloud.fly.machines().filter((machine) => machine.state === 'started' && !lostHosts.has(machine.id));

/** Ends one of several orchestrators and starts another after a while. */
const replaceOrchestrator =
  (end: (orchestrator: OrchestratorProcess) => Promise<unknown>): InjectFault =>
  (field) => {
    const { stack, random } = field;
    const victim = stack.orchestrators.length > 1 ? random.pick(stack.orchestrators) : undefined;
    if (!victim) return 'missed';
    stack.orchestrators.splice(stack.orchestrators.indexOf(victim), 1);
    const delayMs = random.between(0, 1_500);
    return inBackground(
      field,
      end(victim)
        .then(() => pause(delayMs))
        .then(() => stack.addOrchestrator()),
    );
  };

const signalWorker =
  (signal: NodeJS.Signals): InjectFault =>
  (field) => {
    const machine = field.random.pick(running(field));
    if (!machine) return 'missed';
    field.stack.cloud.fly.killMachineProcess(machine.id, signal);
    return 'hit';
  };

/** Freezes a worker for good while Fly shows its machine as started, and cuts its sockets. */
const freezeWorker: InjectFault = (field) => {
  const machine = field.random.pick(running(field));
  if (!machine) return 'missed';
  field.stack.cloud.fly.killMachineProcess(machine.id, 'SIGSTOP');
  field.stack.cloud.fly.cutConnections(machine.id);
  return 'hit';
};

/** Machines at Fly whose rows fulfil this condition. */
async function hotMachines({ stack, db }: FaultTarget, condition: string): Promise<string[]> {
  const { rows } = await db
    .query<{ id: string }>(
      `select fly_machine_id as id from public.machines
       where session_id is null and hot and fly_machine_id is not null and ${condition}`,
    )
    .catch(() => ({ rows: [] })); // The database may be away.
  const running = new Set(
    stack.cloud.fly
      .machines()
      .filter(({ state }) => state === 'started')
      .map(({ id }) => id),
  );
  return rows.flatMap(({ id }) => (running.has(id) ? [id] : []));
}

/** Strikes the worker of a hot machine that waits for a session. It may get one at the same moment. */
const signalHot =
  (signal: NodeJS.Signals): InjectFault =>
  async (field) => {
    const victim = field.random.pick(await hotMachines(field, "state = 'started'"));
    if (!victim) return 'missed';
    field.stack.cloud.fly.killMachineProcess(victim, signal);
    return 'hit';
  };

/** Freezes the next hot machine before its worker has claimed: it is never heard. Another hot machine is made for that. */
const silenceHot: InjectFault = (field) => {
  const { stack, db } = field;
  const grow = (by: number) =>
    db.query('update public.pool_policies set hot_floor = $1 + $3, hot_ceiling = $2 + $3', [
      hotPolicy.floor,
      hotPolicy.ceiling,
      by,
    ]);
  const strike = async () => {
    await grow(1);
    for (let n = 0; n < 200; n += 1, await pause(10)) {
      const [victim] = await hotMachines(field, 'lease_expires_at is null');
      if (!victim) continue;
      stack.cloud.fly.killMachineProcess(victim, 'SIGSTOP');
      return;
    }
  };
  return inBackground(
    field,
    strike().finally(() => grow(0)),
  );
};

/** Asks two orchestrators for a session at the same moment, when usually only one hot machine waits. */
const contendForHot: InjectFault = (field) => {
  const { stack, pooled, created } = field;
  const [first, second] = stack.orchestrators;
  if (!first || !second) return 'missed';
  const take = async ({ url }: OrchestratorProcess) => {
    const body = { candidate: { name: 'Grace' }, position: { title: 'Engineer' }, region: 'fra', admission: 'queue' };
    const key = { 'idempotency-key': randomUUID() };
    // The orchestrator may be killed meanwhile: then another one is asked.
    for (let base = url; ; base = stack.publicUrl, await pause(200)) {
      const session = await createPlatform(base, pooled.apiKey)
        .createSession(body, key)
        .catch(() => undefined);
      if (!session) continue;
      created.add(session.session_id);
      return session.session_id;
    }
  };
  const leave = async (sessionId: string) => {
    for (; ; await pause(200)) {
      const isGone = await createPlatform(stack.publicUrl, pooled.apiKey)
        .deleteSession(sessionId)
        .then(
          () => true,
          () => false,
        );
      if (isGone) return;
    }
  };
  const stayMs = field.random.between(0, 2_000);
  return inBackground(
    field,
    Promise.all([take(first), take(second)])
      .then((ids) => pause(stayMs).then(() => ids))
      .then((ids) => Promise.all(ids.map(leave))),
  );
};

/** While sessions are created, replaces each orchestrator in turn by one that starts workers from a new image. */
const rollImage: InjectFault = (field) => {
  const { stack } = field;
  stack.rollWorkerImage();
  const roll = async () => {
    for (const victim of [...stack.orchestrators]) {
      await stack.addOrchestrator();
      const at = stack.orchestrators.indexOf(victim);
      if (at < 0) continue; // Another fault has ended it.
      stack.orchestrators.splice(at, 1);
      await victim.stop();
    }
  };
  return inBackground(field, roll());
};

/** Lowers the policy of all pools to no hot machine for a while, as an operator may do while sessions are created. */
const lowerHotPolicy: InjectFault = (field) => {
  const { db, random } = field;
  const set = (floor: number, ceiling: number) =>
    db.query('update public.pool_policies set hot_floor = $1, hot_ceiling = $2', [floor, ceiling]);
  const lowMs = random.between(500, 4_000);
  return inBackground(
    field,
    set(0, 0)
      .then(() => pause(lowMs))
      .finally(() => set(hotPolicy.floor, hotPolicy.ceiling)),
  );
};

const loseHost =
  (process: 'kill' | 'freeze'): InjectFault =>
  (field) => {
    const machine = field.random.pick(running(field));
    if (!machine) return 'missed';
    const { fly } = field.stack.cloud;
    field.lostHosts.add(machine.id);
    fly.loseHost(machine.id, { process });
    fly.cutConnections(machine.id);
    const backMs = field.random.between(2_000, 8_000);
    return inBackground(
      field,
      pause(backMs).then(() => {
        if (field.lostHosts.delete(machine.id)) fly.restoreHost(machine.id);
      }),
    );
  };

/** Kills Postgres and starts it again. */
const restartPostgres: InjectFault = (field) => {
  const { postgres } = field.stack.cloud.supabase;
  const awayMs = field.random.between(500, 3_000);
  return inBackground(
    field,
    postgres
      .kill()
      .then(() => pause(awayMs))
      .then(() => postgres.start()),
  );
};

const rule =
  (on: string, action: FaultAction, most = 2): InjectFault =>
  ({ stack, random }, name) => {
    stack.cloud.fly.faults.add({ on, name, action, times: random.between(1, most) });
    return 'waits';
  };
/** Adds a rule at the voice provider. */
const voiceRule =
  (on: string, action: FaultAction, most = 2): InjectFault =>
  ({ stack, random }, name) => {
    stack.cloud.voice.faults.add({ on, name, action, times: random.between(1, most) });
    return 'waits';
  };
/** An error page as a gateway would send it. */
const page = (status: number): FaultAction => ({
  kind: 'status',
  status,
  body: `<html><body><h1>${status}</h1></body></html>`,
  headers: { 'content-type': 'text/html' },
});
const flyCalls = ['machines.get', 'machines.list', 'machines.create', 'machines.start', 'machines.destroy'];
const proxyPage: InjectFault = (field, name) =>
  rule(field.random.pick(flyCalls) as string, page(field.random.pick([404, 404, 403, 502]) as number))(field, name);

const special = (name: string, value?: unknown): FaultAction => ({ kind: 'special', name, value });
const tooMany: FaultAction = {
  kind: 'status',
  status: 429,
  body: { error: 'rate limit exceeded' },
  headers: { 'retry-after': '1' },
};

const stillCreated: FaultAction = {
  kind: 'status',
  status: 412,
  body: { error: "failed_precondition: unable to start machine from current state: 'created'" },
};

/** All faults by their name in the report. */
export const faultKinds: Record<string, InjectFault> = {
  orchestrator_killed: replaceOrchestrator((victim) => victim.kill()),
  orchestrator_stopped: replaceOrchestrator((victim) => victim.stop()),
  worker_killed: signalWorker('SIGKILL'),
  worker_stopped: signalWorker('SIGTERM'),
  worker_frozen: freezeWorker,
  hot_killed: signalHot('SIGKILL'),
  hot_frozen: signalHot('SIGSTOP'),
  hot_stopped: signalHot('SIGTERM'),
  hot_silent: silenceHot,
  hot_clock_jumped: signalHot('SIGUSR2'),
  hot_contended: contendForHot,
  hot_policy_lowered: lowerHotPolicy,
  image_rolled: rollImage,
  machine_migrated: (field) => {
    const machine = field.random.pick(running(field));
    if (!machine) return 'missed';
    return inBackground(field, field.stack.cloud.fly.migrateMachine(machine.id));
  },
  host_lost_dead: loseHost('kill'),
  host_lost_frozen: loseHost('freeze'),
  postgres_restarted: restartPostgres,
  sockets_cut: ({ stack }) => (stack.cloud.fly.cutConnections() > 0 ? 'hit' : 'missed'),
  create_late: rule('machines.create', { kind: 'delay', delayMs: 2_500 }),
  create_reply_lost: rule('machines.create', { kind: 'drop_after' }),
  create_request_lost: rule('machines.create', { kind: 'drop_before' }),
  create_429: rule('machines.create', tooMany),
  create_500: rule('machines.create', { kind: 'status', status: 500 }),
  create_408: rule('machines.create', special('answer_after')),
  create_stuck: rule('machines.create', special('stuck_in_created'), 1),
  create_no_capacity: rule('machines.create', special('no_host')),
  create_quota: rule('machines.create', special('org_quota')),
  create_invisible: rule('machines.create', special('invisible', 1_500)),
  boot_failed: rule('machines.create', special('launch_failed'), 1),
  start_reply_lost: rule('machines.start', { kind: 'drop_after' }),
  start_too_early: rule('machines.start', stillCreated),
  start_host_full: rule('machines.start', special('host_cpus'), 1),
  list_empty: rule('machines.list', special('empty_list'), 4),
  list_partial: rule('machines.list', special('partial_list'), 4),
  list_500: rule('machines.list', { kind: 'status', status: 500 }, 4),
  get_404: rule('machines.get', { kind: 'status', status: 404, body: { error: 'machine not found' } }, 6),
  proxy_page: proxyPage,
  call_404: voiceRule('realtime.hangup', {
    kind: 'status',
    status: 404,
    body: { error: { message: 'No session found for the provided call_id', code: 'call_id_not_found' } },
  }),
  call_page: voiceRule('realtime.hangup', page(404)),
  call_500: voiceRule('realtime.hangup', { kind: 'status', status: 500 }),
  get_500: rule('machines.get', { kind: 'status', status: 500 }, 4),
  destroy_reply_lost: rule('machines.destroy', { kind: 'drop_after' }),
  destroy_500: rule('machines.destroy', { kind: 'status', status: 500 }),
  replay_failed: rule('proxy.replay', special('fail', 'timeout')),
};

/** Removes every fault. */
export async function removeFaults(field: FaultTarget): Promise<void> {
  const { stack, lostHosts, pending } = field;
  stack.cloud.fly.faults.clear();
  stack.cloud.voice.faults.clear();
  while (pending.size > 0) await Promise.all(pending);
  for (const machineId of lostHosts) stack.cloud.fly.restoreHost(machineId);
  lostHosts.clear();
  while (stack.orchestrators.length < 2) await stack.addOrchestrator();
}
