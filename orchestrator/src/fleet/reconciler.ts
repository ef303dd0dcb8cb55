import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import PQueue from 'p-queue';
import type { MachineStore } from '../database/machine-store.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { brakeLimit, judge, type Listed, type Verdict } from './judge.ts';
import type { Reaper } from './reaper.ts';

/**
 * Compares what should exist (rows) with what exists (Fly), both ways, and closes the difference.
 *
 * K1  Fly is listed first, the rows are read then: a machine that was just created is never taken for an orphan, because
 *     its row was there before it.
 * K2  An empty or failed list changes nothing: it makes probes at most.
 * K3  Only machines whose metadata names this deployment are ours; others are never touched.
 * K4  If one tick would destroy more than the brake allows, it destroys none of those and raises an alarm.
 */
export interface Reconciler {
  tick(): Promise<void>;
}

export interface ReconcilerDeps {
  machines: Pick<MachineStore, 'apps' | 'alive'>;
  fly: Pick<FlyClient, 'list'>;
  reaper: Reaper;
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

const requestsAtOnce = 8;
const leavingStates = new Set(['destroyed', 'destroying']);

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { machines, fly, reaper, deploymentId, deadlines, logger } = deps;

  const listApps = async (): Promise<AppList[]> => {
    const queue = new PQueue({ concurrency: requestsAtOnce });
    const list = async (app: string): Promise<AppList> => {
      const outcome = await fly.list(app);
      return { app, machines: outcome.kind === 'listed' ? outcome.machines : undefined };
    };
    return Promise.all((await machines.apps()).map((app) => queue.add(() => list(app))));
  };

  const listedOf = (row: AliveRow, lists: Map<string, AppList>, byId: Map<string, FlyMachine>): Listed => {
    if (!lists.get(row.app_name)?.machines) return 'unknown';
    return (row.fly_machine_id === null ? undefined : byId.get(row.fly_machine_id)) ?? 'missing';
  };

  const carryOut = (row: AliveRow, verdict: Verdict, plan: Plan): void => {
    if (verdict.kind === 'destroy')
      (verdict.braked ? plan.braked : plan.tasks).push(() => reaper.destroy(row, verdict));
  };

  /** Probes come first: what they find decides what is destroyed. */
  const planRow = async (row: AliveRow, verdict: Verdict, plan: Plan): Promise<void> => {
    if (verdict.kind !== 'probe') return carryOut(row, verdict, plan);
    carryOut(row, await reaper.probe(row, verdict.reason, verdict.sessionReason), plan);
  };

  const planOrphans = (lists: AppList[], rows: AliveRow[], plan: Plan): void => {
    const wanted = new Set(rows.map((row) => row.machine_id));
    for (const { app, machines: listed = [] } of lists) {
      for (const machine of listed) {
        const ours = machine.metadata.deployment_id === deploymentId; // K3
        if (!ours || leavingStates.has(machine.state) || wanted.has(machine.metadata.machine_id ?? '')) continue;
        plan.braked.push(() => reaper.destroyOrphan(app, machine));
      }
    }
  };

  const runAll = async (tasks: Task[]): Promise<void> => {
    const queue = new PQueue({ concurrency: requestsAtOnce });
    const guarded = (task: Task) => () =>
      task().catch((error: unknown) => logger.warn({ error }, 'a machine could not be reconciled'));
    await queue.addAll(tasks.map(guarded));
  };

  const makePlan = async (lists: AppList[], rows: AliveRow[]): Promise<Plan> => {
    const plan: Plan = { tasks: [], braked: [] };
    const byApp = new Map(lists.map((list) => [list.app, list]));
    const byId = new Map(lists.flatMap((list) => list.machines ?? []).map((machine) => [machine.id, machine]));
    await runAll(rows.map((row) => () => planRow(row, judge(row, listedOf(row, byApp, byId), deadlines), plan)));
    planOrphans(lists, rows, plan);
    return plan;
  };

  return {
    tick: async () => {
      const lists = await listApps(); // K1
      const rows = await machines.alive();
      const plan = await makePlan(lists, rows);
      const limit = brakeLimit(rows.length);
      if (plan.braked.length > limit) {
        logger.error(
          { count: plan.braked.length, ceiling: limit },
          'the destruction brake holds: an operator must look',
        ); // K4
        plan.braked = [];
      }
      await runAll([...plan.tasks, ...plan.braked]);
    },
  };
}
