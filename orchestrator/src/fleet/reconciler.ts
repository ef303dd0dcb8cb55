import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import PQueue from 'p-queue';
import { createBatcher } from '../database/batch.ts';
import type { Duty, MachineStore, OurApp } from '../database/machine-store.ts';
import type { HeldEnd } from '../database/operator-store.ts';
import type { AliveRow } from '../database/rows.ts';
import type { FlyMachine } from '../fly/classify.ts';
import type { FlyClient } from '../fly/client.ts';
import { createLanes } from '../runtime/lanes.ts';
import type { Brake } from './brake.ts';
import { type Duties, dutyOfApp } from './duties.ts';
import { isHot, type JudgeContext, judge, type Listed, type Verdict } from './judge.ts';
import type { LeaseWatch } from './lease-watch.ts';
import type { Reaper } from './reaper.ts';

/**
 * Compares what should exist (rows) with what exists (Fly) and removes the differences in both directions.
 *
 * - Fly is listed before the rows are read. A machine in the list therefore has its row already, and a machine
 *   that was just created is never mistaken for an orphan.
 * - An empty or failed list ends nothing; at most it leads to probes.
 * - Only machines whose metadata names this deployment are ours. Others are never touched.
 * - Each app belongs to a duty (duties.ts). The orchestrator that holds the duty reconciles the app: at once
 *   after it took the duty, then every tick. Its writes carry the duty's fencing number.
 * - If the doubtful ends exceed the limit of the brake, none of them happens (brake.ts).
 * - Each app is reconciled in its own round, and a tick does not wait for rounds. An app whose requests hang is
 *   skipped until its round has ended, and one tenant can use only some of the concurrent rounds (lanes.ts).
 */
export interface Reconciler {
  /** Starts the rounds of the apps whose duties we hold and are due. Does not wait for them. */
  tick(): Promise<void>;
  /** Resolves when no round is running. */
  idle(): Promise<void>;
}

export interface ReconcilerDeps {
  machines: Pick<MachineStore, 'apps' | 'alive'>;
  fly: Pick<FlyClient, 'list'>;
  reaper: Reaper;
  duties: Pick<Duties, 'held'>;
  leases: Pick<LeaseWatch, 'mayJudge' | 'receivesHeartbeats'>;
  brake: Brake;
  clock: Pick<Clock, 'monotonicMs'>;
  deploymentId: string;
  deadlines: Deadlines;
  logger: Logger;
  /** Stores what the brake holds. Resolves with true if an operator released it. @default never */
  recordHold?: (app: string, ends: HeldEnd[]) => Promise<boolean>;
  /** Called after each round. @default none */
  onRound?: (result: RoundResult, tookMs: number) => void;
}

/** `held`: the brake refused the doubtful ends of the round. */
export type RoundResult = 'done' | 'list_failed' | 'held' | 'failed';

type Task = () => Promise<void>;
interface Plan {
  tasks: Task[];
  /** Doubtful ends, which the brake can hold. */
  braked: Array<{ end: HeldEnd; run: Task }>;
  /** Number of ends of machines in use that happen in any case. */
  certain: number;
}
/** One comparison of one app. */
interface Round {
  app: string;
  duty: Duty;
  /** Undefined if the list failed. */
  listed: FlyMachine[] | undefined;
  rows: AliveRow[];
  context: JudgeContext;
}

/** Rounds that may run at once: in total and per tenant. */
const rounds = { total: 64, perLane: 4 };
/** Concurrent requests for the machines of one app. */
const requestsAtOnce = 8;
const leavingStates = new Set(['destroyed', 'destroying']);

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { machines, fly, reaper, duties, leases, brake, clock, deploymentId, deadlines, logger } = deps;
  const { onRound = () => undefined, recordHold = async () => false } = deps;
  const lanes = createLanes(rounds);
  const underWay = new Set<string>();
  /** When each duty was last done, by name and fence. A duty that we took again has a new fence and is due at once. */
  const doneMs = new Map<string, number>();
  const keyOf = ({ name, fence }: Duty) => `${name} ${fence}`;
  /** What the last round of each app saw: its machines, the workers among them that are heard, and how many leases of these have expired. */
  const known = new Map<string, { machines: number; heard: number; lapsed: number }>();

  const takeDue = (): Duty[] => {
    const nowMs = clock.monotonicMs();
    const held = duties.held('reconcile');
    const due = held.filter((duty) => nowMs - (doneMs.get(keyOf(duty)) ?? -Infinity) >= deadlines.reconcileTickMs);
    const kept = new Set(held.map(keyOf));
    for (const key of doneMs.keys()) if (!kept.has(key)) doneMs.delete(key);
    for (const duty of due) doneMs.set(keyOf(duty), nowMs);
    return due;
  };

  /** Reads the rows of several apps with one query. */
  const aliveOf = createBatcher<string, AliveRow[]>({
    maxBatch: 200,
    run: async (apps) => {
      const rows = await machines.alive(apps);
      const byApp = Map.groupBy(rows, (row) => row.app_name);
      return apps.map((app) => byApp.get(app) ?? []);
    },
  });

  const runAll = async (tasks: Task[]): Promise<void> => {
    const queue = new PQueue({ concurrency: requestsAtOnce });
    const guarded = (task: Task) => () =>
      task().catch((error: unknown) => logger.warn({ error }, 'could not reconcile a machine'));
    await queue.addAll(tasks.map(guarded));
  };

  const carryOut = (row: AliveRow, verdict: Verdict, plan: Plan, { context, duty }: Round): void => {
    const { machine_id, fly_machine_id, session_id } = row;
    const add = (run: Task, isBraked: boolean): void => {
      if (isBraked) plan.braked.push({ end: { machine_id, fly_machine_id, session_id, what: verdict.kind }, run });
      else plan.tasks.push(run);
    };
    if (verdict.kind === 'destroy') add(() => reaper.destroy(row, verdict, context, duty), verdict.braked);
    if (verdict.kind === 'gone') {
      add(() => reaper.recordGone(row, verdict, duty), verdict.braked);
      if (!verdict.braked && row.state === 'claimed') plan.certain += 1;
    }
    if (verdict.kind === 'hedge') plan.tasks.push(() => reaper.hedge(row, verdict.evidence, duty));
    if (verdict.kind === 'noteHost') plan.tasks.push(() => reaper.noteHost(row, verdict.ok));
  };

  /** Adds the tasks for one machine. @returns the probe that has to come first, if the verdict asks for one */
  const planRow = (row: AliveRow, listed: Listed, plan: Plan, round: Round): Task | undefined => {
    const verdict = judge(row, listed, round.context);
    if (verdict.kind !== 'probe') return void carryOut(row, verdict, plan, round);
    return async () => carryOut(row, await reaper.probe(row, verdict, round.context), plan, round);
  };

  const planOrphans = ({ app, listed = [], rows, duty }: Round, plan: Plan): void => {
    const wanted = new Set(rows.map((row) => row.machine_id));
    for (const machine of listed) {
      const ours = machine.metadata.deployment_id === deploymentId;
      if (!ours || leavingStates.has(machine.state) || wanted.has(machine.metadata.machine_id ?? '')) continue;
      plan.braked.push({
        end: { machine_id: null, fly_machine_id: machine.id, session_id: null, what: 'orphan' },
        run: () => reaper.destroyOrphan(app, machine, duty),
      });
    }
  };

  const makePlan = async (round: Round): Promise<Plan> => {
    const { listed, rows } = round;
    const plan: Plan = { tasks: [], braked: [], certain: 0 };
    const byId = new Map((listed ?? []).map((machine) => [machine.id, machine]));
    const listedOf = (row: AliveRow): Listed => {
      if (listed === undefined) return 'unknown';
      return (row.fly_machine_id === null ? undefined : byId.get(row.fly_machine_id)) ?? 'missing';
    };
    // Nearly all machines need no request, so only probes are queued.
    await runAll(rows.flatMap((row) => planRow(row, listedOf(row), plan, round) ?? []));
    planOrphans(round, plan);
    return plan;
  };

  /** Whether leases may be judged depends on all apps: if all leases expired, this orchestrator is cut off. */
  const contextAfter = (app: string, rows: AliveRow[]): JudgeContext => {
    const heard = rows.filter((row) => row.state === 'claimed' || isHot(row));
    const lapsed = heard.filter((row) => row.lease_lapsed === true);
    known.set(app, { machines: rows.length, heard: heard.length, lapsed: lapsed.length });
    const all = { machines: 0, heard: 0, lapsed: 0 };
    for (const one of known.values()) {
      all.machines += one.machines;
      all.heard += one.heard;
      all.lapsed += one.lapsed;
    }
    brake.know(all.machines);
    return {
      deadlines,
      leasesCount: leases.mayJudge(all),
      receivesHeartbeats: leases.receivesHeartbeats(),
    };
  };

  const reconcile = async (app: string, duty: Duty): Promise<RoundResult> => {
    const outcome = await fly.list(app); // Before the rows are read; see the top of this file.
    const rows = await aliveOf(app);
    const listed = outcome.kind === 'listed' ? outcome.machines : undefined;
    const plan = await makePlan({ app, duty, listed, rows, context: contextAfter(app, rows) });
    const ends = plan.braked.map(({ end }) => end);
    const admitted = brake.admits(ends.length, plan.certain) || (await recordHold(app, ends));
    await runAll([...plan.tasks, ...(admitted ? plan.braked.map(({ run }) => run) : [])]);
    if (!admitted) return 'held';
    return listed === undefined ? 'list_failed' : 'done';
  };

  const round = async (app: string, duty: Duty): Promise<void> => {
    const startedMs = clock.monotonicMs();
    const result = await reconcile(app, duty).catch((error: unknown): RoundResult => {
      logger.warn({ app_name: app, error }, 'could not reconcile an app');
      return 'failed';
    });
    onRound(result, clock.monotonicMs() - startedMs);
  };

  const begin = ({ name: app, tenantId }: OurApp, duty: Duty): void => {
    if (underWay.has(app)) return;
    underWay.add(app);
    lanes.add(tenantId, () => round(app, duty)).finally(() => underWay.delete(app));
  };

  return {
    tick: async () => {
      const due = takeDue();
      if (due.length === 0) return;
      const apps = await machines.apps();
      const held = new Set(duties.held('reconcile').map(({ name }) => name));
      for (const app of known.keys()) if (!held.has(dutyOfApp(app))) known.delete(app);
      for (const app of apps) {
        const duty = due.find(({ name }) => name === dutyOfApp(app.name));
        if (duty !== undefined) begin(app, duty);
      }
    },
    idle: lanes.idle,
  };
}
