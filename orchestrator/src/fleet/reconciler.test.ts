import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { describe, expect, test } from 'vitest';
import type { DestroyingOptions, Duty, OurApp } from '../database/machine-store.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine, Presence } from '../fly/classify.ts';
import type { ListOutcome } from '../fly/client.ts';
import { flyId, machineId, makeAlive, makeIntent, sessionId } from '../testing.ts';
import { createBrake } from './brake.ts';
import { dutyNames, dutyOfApp } from './duties.ts';
import { createReaper } from './reaper.ts';
import { createReconciler } from './reconciler.ts';

const flyMachine = (changes: Partial<FlyMachine> = {}): FlyMachine => ({
  id: flyId,
  name: `gr-${machineId}`,
  state: 'started',
  region: 'fra',
  hostStatus: 'ok',
  metadata: { deployment_id: 'ours', machine_id: machineId },
  ...changes,
});

interface World {
  list?: ListOutcome;
  rows?: AliveRow[];
  get?: Presence;
  /** The row has changed since it was judged. */
  stale?: boolean;
  /** The duties that are held. */
  duties?: Duty[];
  apps?: OurApp[];
  /** Apps for which the list is never answered. */
  hanging?: (app: string) => boolean;
}

const mine: Duty = { name: dutyOfApp('gr-acme-1'), fence: 7 };

function make(world: World) {
  const { list = { kind: 'listed', machines: [flyMachine()] }, rows = [makeAlive()], get, duties = [mine] } = world;
  const calls: string[] = [];
  const clock = createFakeClock();
  const machines = {
    apps: async () => world.apps ?? [{ name: 'gr-acme-1', tenantId: 'acme' }],
    alive: async () => {
      calls.push('rows');
      return rows;
    },
    recordAbsent: async (_id: string, absent = true) => void calls.push(absent ? 'absent' : 'found again'),
    recordDestroying: async (_id: string, reason: string, { duty }: DestroyingOptions = {}) => {
      calls.push(`destroying ${reason} fence ${duty?.fence}`);
      return world.stale ? ('claimed' as const) : ('destroying' as const);
    },
    recordGone: async (_id: string, reason: string) => {
      calls.push(`gone ${reason}`);
      return { kind: 'recorded' as const, session_id: sessionId };
    },
    hedge: async (_id: string, region: string | undefined) => calls.push(`hedge in ${region}`) > 0,
    recordHost: async (_id: string, ok: boolean) => void calls.push(`host ${ok}`),
    intent: async () => makeIntent(),
  };
  const fly = {
    list: async (app: string) => {
      calls.push('list');
      if (world.hanging?.(app)) await new Promise(() => undefined);
      return list;
    },
    get: async (): Promise<Presence> => get ?? { kind: 'there', machine: flyMachine() },
    destroy: async (_app: string, id: string) => {
      calls.push(`DELETE ${id}`);
      return { kind: 'done' as const };
    },
    findByMetadata: async (): Promise<ListOutcome> => ({ kind: 'listed', machines: [] }),
  };
  const shared = { machines, fly, logger: silentLogger(), deadlines: defaultDeadlines };
  const reaper = createReaper({
    ...shared,
    absenceGraceMs: 3_000,
    onAbsent: ({ fly_machine_id }) => void calls.push(`look again at ${fly_machine_id}`),
    onGone: () => undefined,
  });
  const reconciler = createReconciler({
    ...{ ...shared, reaper, clock, deploymentId: 'ours' },
    duties: { held: () => duties },
    leases: { mayJudge: () => true, receivesHeartbeats: () => true },
    brake: createBrake({ clock, windowMs: defaultDeadlines.reconcileTickMs, logger: silentLogger() }),
  });
  return {
    clock,
    duties,
    calls,
    reconciler,
    tick: async () => {
      await reconciler.tick();
      await reconciler.idle();
      return calls;
    },
  };
}

describe('a tick', () => {
  test('Fly is listed before the rows are read, and a healthy machine is left alone', async () => {
    expect(await make({}).tick()).toEqual(['list', 'rows']);
  });

  test('an empty list ends nothing: a GET finds the machine', async () => {
    expect(await make({ list: { kind: 'listed', machines: [] } }).tick()).toEqual(['list', 'rows']);
  });

  test('a failed list changes nothing', async () => {
    expect(await make({ list: { kind: 'ambiguous' } }).tick()).toEqual(['list', 'rows']);
  });

  test('one 404 about a machine is only recorded; the session continues', async () => {
    const calls = await make({ list: { kind: 'listed', machines: [] }, get: { kind: 'gone', evidence: '404' } }).tick();
    expect(calls).toEqual(['list', 'rows', 'absent']);
  });

  const empty: ListOutcome = { kind: 'listed', machines: [] };
  const notFound: Presence = { kind: 'gone', evidence: '404' };
  const destroyed: Presence = { kind: 'gone', evidence: 'destroyed' };

  test('a machine that Fly reports destroyed is checked again after the grace period, then recorded as gone', async () => {
    expect(await make({ list: empty, get: destroyed }).tick()).toEqual([
      'list',
      'rows',
      'absent',
      `look again at ${flyId}`,
    ]);
    const rows = [makeAlive({ absent_ms: 3_500 })];
    expect(await make({ list: empty, rows, get: destroyed }).tick()).toEqual(['list', 'rows', 'gone worker_lost']);
  });

  test('when Fly finds a missing machine again, the recorded absence is cleared', async () => {
    const calls = await make({ list: empty, rows: [makeAlive({ absent_ms: 2_000 })] }).tick();
    expect(calls).toEqual(['list', 'rows', 'found again']);
  });

  test('a machine whose worker sends heartbeats is not ended by repeated 404s', async () => {
    const rows = [makeAlive({ absent_ms: 25_000 })];
    expect(await make({ list: empty, rows, get: notFound }).tick()).toEqual(['list', 'rows']);
  });

  test('404s about six machines without heartbeats are held by the brake; about five they are recorded as gone', async () => {
    const rows = (count: number) =>
      Array.from({ length: count }, () => makeAlive({ absent_ms: 25_000, lease_lapsed: true }));
    expect(await make({ list: empty, rows: rows(6), get: notFound }).tick()).toEqual(['list', 'rows']);
    const calls = await make({ list: empty, rows: rows(5), get: notFound }).tick();
    expect(calls.filter((call) => call.startsWith('gone'))).toHaveLength(5);
  });

  test('the DELETE is sent even if a GET does not find the machine', async () => {
    const rows = [makeAlive({ past_deadline: true })];
    expect(await make({ rows, get: notFound }).tick()).toEqual([
      ...['list', 'rows', 'destroying hard_deadline fence 7', 'absent', `DELETE ${flyId}`],
    ]);
  });

  test("hanging apps of one tenant delay neither another tenant's apps nor the next tick", async () => {
    const hung = Array.from({ length: 100 }, (_, n) => ({ name: `gr-hung-${n}`, tenantId: 'hung' }));
    const world = make({
      apps: [...hung, { name: 'gr-acme-1', tenantId: 'acme' }],
      hanging: (app) => app.startsWith('gr-hung'),
      rows: [makeAlive({ past_deadline: true })],
      duties: dutyNames.filter((name) => name !== 'housekeeping').map((name) => ({ name, fence: 7 })),
    });
    await world.reconciler.tick();
    await new Promise((resolve) => setImmediate(resolve));
    expect(world.calls.filter((call) => call === 'list')).toHaveLength(5);
    expect(world.calls.at(-1)).toBe(`DELETE ${flyId}`);
    await world.clock.advance(defaultDeadlines.reconcileTickMs);
    await world.reconciler.tick();
    await new Promise((resolve) => setImmediate(resolve));
    expect(world.calls.filter((call) => call.startsWith('DELETE'))).toHaveLength(2);
  });

  test('an unclear answer to a GET changes nothing', async () => {
    const world: World = {
      list: { kind: 'listed', machines: [] },
      rows: [makeAlive({ absent_ms: 9_999 })],
      get: { kind: 'unclear', evidence: 'HTTP 500' },
    };
    expect(await make(world).tick()).toEqual(['list', 'rows']);
  });

  test('the row becomes destroying before the DELETE is sent', async () => {
    const calls = await make({ rows: [makeAlive({ past_deadline: true })] }).tick();
    expect(calls).toEqual(['list', 'rows', 'destroying hard_deadline fence 7', `DELETE ${flyId}`]);
  });

  test('a machine of this deployment that no row wants is destroyed', async () => {
    expect(await make({ rows: [] }).tick()).toEqual(['list', 'rows', 'destroying orphan fence 7', `DELETE ${flyId}`]);
  });

  test('machines of other deployments are left alone', async () => {
    const machines = [flyMachine({ metadata: { deployment_id: 'theirs' } }), flyMachine({ metadata: {} })];
    expect(await make({ list: { kind: 'listed', machines }, rows: [] }).tick()).toEqual(['list', 'rows']);
  });

  test('no orphan is destroyed if there are more than the brake allows', async () => {
    const id = (n: number) => `${machineId.slice(0, -2)}${n + 10}`;
    const machines = Array.from({ length: 6 }, (_, n) =>
      flyMachine({ id: `fly${n}`, metadata: { deployment_id: 'ours', machine_id: id(n) } }),
    );
    expect(await make({ list: { kind: 'listed', machines }, rows: [] }).tick()).toEqual(['list', 'rows']);
    const five = await make({ list: { kind: 'listed', machines: machines.slice(1) }, rows: [] }).tick();
    expect(five.filter((call) => call.startsWith('DELETE'))).toHaveLength(5);
  });

  test('a machine that was claimed after it was judged is not destroyed', async () => {
    const rows = [makeAlive({ state: 'created', epoch: null, session_rank: 30, state_ms: 90_000 })];
    expect((await make({ rows, stale: true }).tick()).at(-1)).toBe('destroying boot_timeout fence 7');
  });

  test('a late machine gets a hedge in the next region', async () => {
    const rows = [makeAlive({ state: 'created', epoch: null, session_rank: 30, state_ms: 46_000 })];
    expect(await make({ rows }).tick()).toEqual(['list', 'rows', 'hedge in ams']);
  });

  test('apps whose duty another orchestrator holds are not reconciled', async () => {
    expect(await make({ duties: [] }).tick()).toEqual([]);
    expect(await make({ duties: [{ name: 'reconcile:99', fence: 1 }] }).tick()).toEqual([]);
  });

  test('each duty is done once a tick, and at once when its fencing number is new', async () => {
    const { clock, duties, tick } = make({});
    await tick();
    await clock.advance(defaultDeadlines.reconcileTickMs - 1);
    expect(await tick()).toHaveLength(2);
    duties[0] = { ...mine, fence: 9 };
    expect(await tick()).toHaveLength(4);
    await clock.advance(defaultDeadlines.reconcileTickMs);
    expect(await tick()).toHaveLength(6);
  });

  test('the brake does not hold ends that were already decided', async () => {
    const rows = Array.from({ length: 8 }, () => makeAlive({ state: 'destroying', reason: 'session_gone' }));
    const calls = await make({ rows }).tick();
    expect(calls.filter((call) => call.startsWith('DELETE'))).toHaveLength(8);
  });
});
