import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import PQueue from 'p-queue';
import type { Duty, MachineStore } from '../database/machine-store.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { type Duties, dutyOfApp } from './duties.ts';
import { brakeLimit, type Court, judge, type Listed, type Verdict } from './judge.ts';
import type { LeaseWatch } from './lease-watch.ts';
import type { Reaper } from './reaper.ts';

/**
 * Compares what should exist (rows) with what exists (Fly), both ways, and closes the difference.
 *
 * K1  Fly is listed first, the rows are read then: a machine that was just created is never taken for an orphan, because
 *     its row was there before it.
 * K2  An empty or failed list changes nothing: it makes probes at most.
 * K3  Only machines whose metadata names this deployment are ours; others are never touched.
 * K4  Each app belongs to a duty (duties.ts), and whoever holds the duty reconciles it: at once when it was just taken, then
 *     every tick. What is found there is written with the duty's fence.
 * K5  If one tick would destroy more than the brake allows, it destroys none of those and raises an alarm.
 */
export interface Reconciler {
  /** Reconciles the apps of those duties of ours that are due. */
  tick(): Promise<void>;
}

export interface ReconcilerDeps {
  machines: Pick<MachineStore, 'apps' | 'alive'>;
  fly: Pick<FlyClient, 'list'>;
  reaper: Reaper;
  duties: Pick<Duties, 'held'>;
  leases: Pick<LeaseWatch, 'mayJudge'>;
  clock: Pick<Clock, 'monotonicMs'>;
  deploymentId: string;
  deadlines: Deadlines;
  logger: Logger;
}

interface AppList {
  app: string;
  /** Undefined when the list failed (K2). */
  machines: FlyMachine[] | undefined;
}

type Task = () => Promise<void>;
interface Plan {
  tasks: Task[];
  braked: Task[];
}
/** What one tick is about. */
interface Round {
  lists: AppList[];
  rows: AliveRow[];
  court: Court;
  dutyOf(app: string): Duty | undefined;
}

const requestsAtOnce = 8;
const leavingStates = new Set(['destroyed', 'destroying']);

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { machines, fly, reaper, duties, leases, clock, deploymentId, deadlines, logger } = deps;
  /** When each duty was last reconciled, by name and fence: one that comes back to us is as new. */
  const doneMs = new Map<string, number>();
  const keyOf = ({ name, fence }: Duty) => `${name} ${fence}`;

  /** K4. */
  const takeDue = (): Duty[] => {
    const nowMs = clock.monotonicMs();
    const held = duties.held('reconcile');
    const due = held.filter((duty) => nowMs - (doneMs.get(keyOf(duty)) ?? -Infinity) >= deadlines.reconcileTickMs);
    const kept = new Set(held.map(keyOf));
    for (const key of doneMs.keys()) if (!kept.has(key)) doneMs.delete(key);
    for (const duty of due) doneMs.set(keyOf(duty), nowMs);
    return due;
  };

  const listApps = async (apps: string[]): Promise<AppList[]> => {
    const queue = new PQueue({ concurrency: requestsAtOnce });
    const list = async (app: string): Promise<AppList> => {
      const outcome = await fly.list(app);
      return { app, machines: outcome.kind === 'listed' ? outcome.machines : undefined };
    };
    return Promise.all(apps.map((app) => queue.add(() => list(app))));
  };

  const listedOf = (row: AliveRow, lists: Map<string, AppList>, byId: Map<string, FlyMachine>): Listed => {
    if (!lists.get(row.app_name)?.machines) return 'unknown';
    return (row.fly_machine_id === null ? undefined : byId.get(row.fly_machine_id)) ?? 'missing';
  };

  const carryOut = (row: AliveRow, verdict: Verdict, plan: Plan, duty: Duty | undefined): void => {
    if (verdict.kind === 'destroy')
      (verdict.braked ? plan.braked : plan.tasks).push(() => reaper.destroy(row, verdict, duty));
    if (verdict.kind === 'hedge') plan.tasks.push(() => reaper.hedge(row, verdict.evidence, duty));
    if (verdict.kind === 'noteHost') plan.tasks.push(() => reaper.noteHost(row, verdict.ok));
  };

  /** Probes come first: what they find decides what is destroyed. */
  const planRow = async (row: AliveRow, verdict: Verdict, plan: Plan, { court, dutyOf }: Round): Promise<void> => {
    const duty = dutyOf(row.app_name);
    const found = verdict.kind === 'probe' ? await reaper.probe(row, verdict, court, duty) : verdict;
    carryOut(row, found, plan, duty);
  };

  const planOrphans = ({ lists, rows, dutyOf }: Round, plan: Plan): void => {
    const wanted = new Set(rows.map((row) => row.machine_id));
    for (const { app, machines: listed = [] } of lists) {
      for (const machine of listed) {
        const ours = machine.metadata.deployment_id === deploymentId; // K3
        if (!ours || leavingStates.has(machine.state) || wanted.has(machine.metadata.machine_id ?? '')) continue;
        plan.braked.push(() => reaper.destroyOrphan(app, machine, dutyOf(app)));
      }
    }
  };

  const runAll = async (tasks: Task[]): Promise<void> => {
    const queue = new PQueue({ concurrency: requestsAtOnce });
    const guarded = (task: Task) => () =>
      task().catch((error: unknown) => logger.warn({ error }, 'a machine could not be reconciled'));
    await queue.addAll(tasks.map(guarded));
  };

  const makePlan = async (round: Round): Promise<Plan> => {
    const { lists, rows, court } = round;
    const plan: Plan = { tasks: [], braked: [] };
    const byApp = new Map(lists.map((list) => [list.app, list]));
    const byId = new Map(lists.flatMap((list) => list.machines ?? []).map((machine) => [machine.id, machine]));
    await runAll(rows.map((row) => () => planRow(row, judge(row, listedOf(row, byApp, byId), court), plan, round)));
    planOrphans(round, plan);
    return plan;
  };

  const courtOf = (rows: AliveRow[]): Court => {
    const lapsed = rows.filter((row) => row.state === 'claimed').map((row) => row.lease_lapsed === true);
    return { deadlines, leasesCount: leases.mayJudge(lapsed) };
  };

  const reconcile = async (due: Duty[]): Promise<void> => {
    const dutyOf = (app: string) => due.find(({ name }) => name === dutyOfApp(app));
    const apps = (await machines.apps()).filter((app) => dutyOf(app) !== undefined);
    if (apps.length === 0) return;
    const lists = await listApps(apps); // K1
    const rows = await machines.alive(apps);
    const plan = await makePlan({ lists, rows, court: courtOf(rows), dutyOf });
    const limit = brakeLimit(rows.length);
    if (plan.braked.length > limit) {
      logger.error({ count: plan.braked.length, ceiling: limit }, 'the destruction brake holds: an operator must look'); // K5
      plan.braked = [];
    }
    await runAll([...plan.tasks, ...plan.braked]);
  };

  return {
    tick: async () => {
      const due = takeDue();
      if (due.length > 0) await reconcile(due);
    },
  };
}
