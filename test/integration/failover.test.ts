import { setTimeout as pause } from 'node:timers/promises';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';
import { restoreDatabase, saveDatabase } from '../support/older-database.ts';
import { type Relay, startRelay } from '../support/relay.ts';
import {
  endOf,
  machinesOf,
  platformOf,
  type RunningInterview,
  saidAtProvider,
  sessionBody,
  startInterview,
  until,
} from '../support/session.ts';

/** A live interview survives the loss of its machine, and no machine is replaced without evidence. */
describe('fail-over', () => {
  let stack: Stack;
  let relay: Relay;
  let db: pg.Pool;
  /** How long the interviewer speaks in a turn. Slow while a machine is replaced: the interview must outlast that. */
  let paceMs = 0;

  beforeAll(async () => {
    relay = await startRelay(() => new URL(stack.publicUrl));
    stack = await startStack({
      orchestrators: 2,
      voice: { turns: 10, paceMs: () => paceMs },
      flyLimits: false,
      environment: {
        WORKER_API_URL: relay.url,
        HEARTBEAT_MS: '500',
        HEARTBEAT_FLUSH_MS: '200',
        LEASE_MS: '2500',
        HOST_GRACE_MS: '1000',
        CREATE_MS: '2500',
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '400',
        UNREACHABLE_GAP_MS: '400',
        REPLAY_TIMEOUT_MS: '1000',
      },
    });
    db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
    db.on('error', () => undefined);
  });
  afterEach(() => stack.cloud.fly.faults.clear());
  afterAll(async () => {
    await db.end();
    await stack.stop();
    await relay.stop();
  });

  const machineOf = ({ session }: RunningInterview) =>
    machinesOf(stack, session.session_id).find((machine) => machine.state === 'started')?.id ?? '';

  const begun = async (body = sessionBody()) => {
    paceMs = 50;
    const callsBefore = stack.cloud.voice.calls().length;
    const interview = await startInterview(stack, body);
    await until('the conversation has begun', () => interview.said() > 2);
    paceMs = 1_000;
    return { interview, callsBefore };
  };

  const epochOf = async ({ session }: RunningInterview): Promise<number> =>
    (await platformOf(stack).getSession(session.session_id)).epoch;

  const reaches = (
    interview: RunningInterview,
    epoch: number,
    meanwhile: () => Promise<void> = async () => undefined,
  ) =>
    until(`epoch ${epoch} serves`, async () => {
      await meanwhile();
      return (await epochOf(interview)) >= epoch;
    });

  /** Asks for the candidate's socket and does not wait for the answer. The candidate's own browser waits half a minute. */
  const ask = async ({ session }: RunningInterview) => {
    const socket = new WebSocket(session.websocket_url, ['greenroom.v1', `greenroom.token.${session.join_token}`]);
    socket.on('error', () => undefined);
    await pause(1_000);
    socket.terminate();
  };

  /** Waits until the browser has its socket again: what is said comes through it. */
  const heardAgain = (interview: RunningInterview) => {
    const heard = interview.said();
    return until('its machine tells the browser what is said', () => interview.said() > heard + 1);
  };

  /** Expects that the interview completes normally in a single realtime call, at `epoch`. */
  const expectWhole = async ({ interview, callsBefore }: Awaited<ReturnType<typeof begun>>, epoch: number) => {
    await reaches(interview, epoch);
    await heardAgain(interview);
    paceMs = 50;
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
    const ended = await endOf(stack, interview.session.session_id);
    expect(ended).toMatchObject({ status: 'completed', reason: 'interviewer_finished', epoch });
    const { entries } = await platformOf(stack).transcript(ended.session_id);
    expect(entries.map(({ item_id, speaker, text }) => ({ item_id, speaker, text }))).toEqual(
      saidAtProvider(stack, callsBefore),
    );
    const calls = stack.cloud.voice.calls().slice(callsBefore);
    expect(calls.map((call) => call.state)).toEqual(['ended']);
  };

  test('a worker killed in mid-interview is replaced, and the conversation continues with every word kept', async () => {
    const running = await begun();
    stack.cloud.fly.killMachineProcess(machineOf(running.interview), 'SIGKILL');
    await expectWhole(running, 2);
    const { rows } = await db.query(
      "select data from public.session_events where session_id = $1 and type = 'session.failed_over'",
      [running.interview.session.session_id],
    );
    expect(rows).toEqual([{ data: { epoch: 2 } }]);
  });

  test('a worker asked to stop hands over, and its successor continues', async () => {
    const running = await begun();
    stack.cloud.fly.killMachineProcess(machineOf(running.interview), 'SIGTERM');
    await expectWhole(running, 2);
    const { rows } = await db.query(
      'select reason from public.machines where session_id = $1 order by attempt limit 1',
      [running.interview.session.session_id],
    );
    expect(rows).toEqual([{ reason: 'handed_over' }]);
  });

  test('when Fly moves the machine to another host, the first worker that is up continues and the other exits', async () => {
    const running = await begun();
    await stack.cloud.fly.migrateMachine(machineOf(running.interview));
    await expectWhole(running, 2);
  });

  test('a worker cut off from every orchestrator but not from its candidate keeps its session', async () => {
    const running = await begun();
    relay.cut();
    await until('its lease has lapsed for long', async () => {
      const { rows } = await db.query(
        "select lease_expires_at < now() - interval '1.5 s' as lapsed from public.machines where session_id = $1",
        [running.interview.session.session_id],
      );
      return rows[0].lapsed;
    });
    relay.restore();
    await expectWhole(running, 1);
    expect(machinesOf(stack, running.interview.session.session_id)).toHaveLength(1);
  });

  test('a lost host with a frozen worker is replaced, and the old worker wakes up fenced and ends no call', async () => {
    const running = await begun();
    const old = machineOf(running.interview);
    stack.cloud.fly.loseHost(old, { process: 'freeze' });
    stack.cloud.fly.cutConnections(old);
    await reaches(running.interview, 2);
    stack.cloud.fly.restoreHost(old);
    await expectWhole(running, 2);
    // Two kinds of evidence arrive together and either is enough: Fly's report of the host or the browser's failed tries.
    const { rows } = await db.query('select reason from public.machines where fly_machine_id = $1', [old]);
    expect(['host_lost', 'unreachable']).toContain(rows[0].reason);
  });

  test('a frozen worker is replaced although Fly shows its machine as started, once its browser asks for it twice', async () => {
    const running = await begun();
    const old = machineOf(running.interview);
    stack.cloud.fly.killMachineProcess(old, 'SIGSTOP');
    stack.cloud.fly.cutConnections(old);
    await reaches(running.interview, 2, () => ask(running.interview));
    await expectWhole(running, 2);
    const { rows } = await db.query('select reason from public.machines where fly_machine_id = $1', [old]);
    expect(rows).toEqual([{ reason: 'unreachable' }]);
  });

  test('a machine is replaced after its browser fails to connect to it twice', async () => {
    const running = await begun();
    const old = machineOf(running.interview);
    const action = { kind: 'special', name: 'fail', value: 'timeout' } as const;
    stack.cloud.fly.faults.add({
      on: 'proxy.replay',
      action,
      times: Number.POSITIVE_INFINITY,
      match: { instance: old },
    });
    stack.cloud.fly.cutConnections(old);
    await expectWhole(running, 2);
    const { rows } = await db.query(
      'select reason from public.machines where session_id = $1 order by attempt limit 1',
      [running.interview.session.session_id],
    );
    expect(rows).toEqual([{ reason: 'unreachable' }]);
  });

  test('a database outage during five live interviews causes no fail-over', async () => {
    const callsBefore = stack.cloud.voice.calls().length;
    paceMs = 50;
    const interviews = await Promise.all(Array.from({ length: 5 }, () => startInterview(stack)));
    await until('all have begun', () => interviews.every((interview) => interview.said() > 1));
    paceMs = 1_000;
    await stack.cloud.supabase.postgres.stop();
    const awaySinceMs = performance.now();
    await until('it was away for two leases', () => performance.now() - awaySinceMs > 6_000);
    await stack.cloud.supabase.postgres.start();
    paceMs = 50;
    const ends = await Promise.all(interviews.map((interview) => interview.ended));
    expect(ends.map(({ reason }) => reason)).toEqual(Array.from({ length: 5 }, () => 'interviewer_finished'));
    for (const interview of interviews) {
      expect(await endOf(stack, interview.session.session_id)).toMatchObject({ status: 'completed', epoch: 1 });
      expect(machinesOf(stack, interview.session.session_id)).toHaveLength(1);
    }
    expect(stack.cloud.voice.calls().slice(callsBefore)).toHaveLength(5);
  });

  test('after the database is restored to a state before the last fail-over, the interview has one worker again', async () => {
    const running = await begun();
    // Two machines are replaced, one after the other.
    paceMs = 2_000;
    const saved = await saveDatabase(db);
    stack.cloud.fly.killMachineProcess(machineOf(running.interview), 'SIGKILL');
    await reaches(running.interview, 2);
    await heardAgain(running.interview);
    const forgotten = machineOf(running.interview);
    await restoreDatabase(db, saved);
    await reaches(running.interview, 2);
    // Until it is fenced, the machine that the database forgot still has the browser's socket.
    await until('the machine that the database forgot is gone', () =>
      machinesOf(stack, running.interview.session.session_id).some(
        ({ id, state }) => id === forgotten && state === 'destroyed',
      ),
    );
    await heardAgain(running.interview);
    paceMs = 50;
    expect(await running.interview.ended).toMatchObject({ reason: 'interviewer_finished' });
    await endOf(stack, running.interview.session.session_id);
    const calls = stack.cloud.voice.calls().slice(running.callsBefore);
    expect(calls.map((call) => call.state)).toEqual(['ended']);
  });

  test('a machine that stays in created gets a hedge in the next region: the first claim wins, the other is destroyed', async () => {
    stack.cloud.fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'stuck_in_created' } });
    const { interview, callsBefore } = await begun();
    await expectWhole({ interview, callsBefore }, 1);
    const machines = machinesOf(stack, interview.session.session_id);
    expect(machines.map((machine) => machine.region).sort()).toEqual(['ams', 'fra']);
    const { rows } = await db.query('select reason from public.machines where session_id = $1 order by attempt', [
      interview.session.session_id,
    ]);
    expect(rows.map(({ reason }) => reason)).toEqual(['superseded', 'session_ended']);
  });

  test('a session fails with its reason after its worker died too often', async () => {
    stack.cloud.fly.faults.add({ on: 'machines.create', action: { kind: 'special', name: 'launch_failed' }, times: 9 });
    const session = await platformOf(stack).createSession(sessionBody());
    expect(await endOf(stack, session.session_id)).toMatchObject({ status: 'failed', reason: 'boot_timeout' });
    expect(machinesOf(stack, session.session_id)).toHaveLength(3);
  });

  test('a worker that hangs past its hard deadline is destroyed, and its session gives the reason', async () => {
    const { interview } = await begun();
    const id = machineOf(interview);
    stack.cloud.fly.killMachineProcess(id, 'SIGSTOP');
    await db.query('update public.machines set hard_deadline_at = clock_timestamp() where fly_machine_id = $1', [id]);
    const sinceMs = performance.now();
    await until('it is destroyed', () =>
      machinesOf(stack, interview.session.session_id).every((machine) => /^destroy/.test(machine.state)),
    );
    // Two ticks are 1 s. The bound is for a busy machine; without the deadline the session would live for minutes.
    expect(performance.now() - sinceMs).toBeLessThan(15_000);
    const ended = await endOf(stack, interview.session.session_id);
    expect(ended).toMatchObject({ status: 'failed', reason: 'worker_lost' });
    const { rows } = await db.query('select reason from public.machines where fly_machine_id = $1', [id]);
    expect(rows).toEqual([{ reason: 'hard_deadline' }]);
    interview.client.leave();
  });

  test('the log gives the evidence for every machine that was recorded as gone', async () => {
    const { rows } = await db.query(
      "select fly_machine_id, reason from public.machines where state = 'destroyed' and fly_machine_id is not null",
    );
    const kills = ['worker_lost', 'handed_over', 'unreachable', 'superseded', 'boot_timeout'];
    expect(rows.map(({ reason }) => reason)).toEqual(expect.arrayContaining(kills));
    const saidOf = (id: string) =>
      stack.logLines
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line.fly_machine_id === id && line.evidence !== undefined);
    for (const { fly_machine_id, reason } of rows) {
      await until(`the end of ${fly_machine_id} (${reason}) was logged`, () =>
        saidOf(fly_machine_id).some((line) => line.msg === 'machine gone'),
      );
      for (const line of saidOf(fly_machine_id)) expect(line.evidence).toMatch(/.../);
    }
  });

  test('after one orchestrator is killed another holds all duties within seconds, and interviews continue', async () => {
    const running = await begun();
    const held = async () =>
      (await db.query('select count(*)::int as n from public.duties where expires_at > clock_timestamp()')).rows[0].n;
    const { rows: before } = await db.query('select distinct holder from public.duties');
    expect(before).toHaveLength(2);
    const all = (await db.query('select count(*)::int as n from public.duties')).rows[0].n;
    const [victim] = stack.orchestrators.splice(0, 1);
    await victim?.kill();
    const killedMs = performance.now();
    await until('one holds all', async () => {
      const { rows } = await db.query('select distinct holder from public.duties where expires_at > clock_timestamp()');
      return rows.length === 1 && (await held()) === all;
    });
    // A lease lasts 2 s. The bound is for a busy machine.
    expect(performance.now() - killedMs).toBeLessThan(15_000);
    stack.cloud.fly.killMachineProcess(machineOf(running.interview), 'SIGKILL');
    await expectWhole(running, 2);
    await stack.addOrchestrator();
  });

  test('an orchestrator stopped by a deploy releases its duties at once and exits cleanly, and interviews continue', async () => {
    await until('both hold some', async () => {
      const { rows } = await db.query('select distinct holder from public.duties where expires_at > clock_timestamp()');
      return rows.length === 2;
    });
    const running = await begun();
    const [old] = stack.orchestrators.splice(0, 1);
    expect(await old?.stop()).toBe(0);
    const { rows } = await db.query(
      'select count(*)::int as n from public.duties d join public.orchestrators o on o.id = d.holder where o.draining and d.expires_at > clock_timestamp()',
    );
    expect(rows).toEqual([{ n: 0 }]);
    await expectWhole(running, 1);
    await stack.addOrchestrator();
  });

  test('every event of this file matches the schema in docs/events.md', async () => {
    expect(eventsOfAnotherShape((await db.query(allEvents)).rows)).toEqual([]);
  });
});
