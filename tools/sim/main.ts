import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { percentile } from '../bench/figures.ts';
import { assumptions, createRandom } from './assumptions.ts';
import { dayS, makeDay, stepS, type Tenant } from './day.ts';
import { type Path, type Policy, runningCostUsd, runTenant, standbyCostUsd } from './fleet.ts';
import { readOptions, usage } from './options.ts';
import { withFigures } from './page.ts';
import { plot, type Series } from './plot.ts';

/**
 * `npm run sim -- --json`: simulates a day of demand under the product's policies, with and without hot machines, and under two
 * simple ones:
 * machines created on demand, and a pool of fixed size that is as large as ours is on average (options.ts).
 */
const docs = path.resolve(import.meta.dirname, '../../docs');
const slotS = 900;
const slots = dayS / slotS;
const paths: Path[] = ['hot', 'standby', 'scheduled', 'cold'];

interface Result {
  waits: Record<Path, number[]>;
  bySlot: number[][];
  standbyBySlot: number[];
  standbyMachineS: number;
  hotMachineS: number;
  meanOf: Map<string, number>;
}

function run(tenants: Tenant[], policy: Policy, seed: number): Result {
  const result: Result = {
    waits: { hot: [], standby: [], scheduled: [], cold: [] },
    bySlot: Array.from({ length: slots }, () => []),
    standbyBySlot: Array<number>(slots).fill(0),
    standbyMachineS: 0,
    hotMachineS: 0,
    meanOf: new Map(),
  };
  for (const tenant of tenants) {
    let machineS = 0;
    runTenant(tenant, policy, createRandom(seed), {
      outcome: ({ path: taken, atS, waitS }) => {
        result.waits[taken].push(waitS);
        (result.bySlot[Math.min(slots - 1, Math.floor(atS / slotS))] as number[]).push(waitS);
      },
      prepared: (step, standby, hot) => {
        machineS += standby * stepS;
        result.hotMachineS += hot * stepS;
        const slot = Math.floor((step * stepS) / slotS);
        result.standbyBySlot[slot] = (result.standbyBySlot[slot] as number) + (standby * stepS) / slotS;
      },
    });
    result.standbyMachineS += machineS;
    result.meanOf.set(tenant.id, machineS / dayS);
  }
  return result;
}

const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

function summary({ waits, standbyMachineS, hotMachineS }: Result, tenants: Tenant[]) {
  const all = paths.flatMap((name) => waits[name]);
  const stats = (values: number[]) =>
    values.length === 0
      ? { sessions: 0 }
      : {
          sessions: values.length,
          ready_p50_s: round(percentile(values, 50)),
          ready_p99_s: round(percentile(values, 99)),
          worst_s: round(values.reduce((a, b) => Math.max(a, b), 0)),
        };
  return {
    all: stats(all),
    paths: Object.fromEntries(paths.map((name) => [name, stats(waits[name])])),
    over_5_s: round(all.filter((wait) => wait > 5).length / all.length, 5),
    standby_machines_mean: round(standbyMachineS / dayS, 1),
    standby_cost_usd: round(standbyCostUsd(standbyMachineS), 2),
    hot_machines_mean: round(hotMachineS / dayS, 1),
    hot_cost_usd: round(runningCostUsd(hotMachineS), 2),
    running_cost_usd: round(runningCostUsd(all.length * assumptions.interviewS), 2),
    apps: tenants.reduce((sum, { apps }) => sum + apps, 0),
  };
}

const p99BySlot = ({ bySlot }: Result): number[] =>
  bySlot.map((waits) => (waits.length === 0 ? 0 : percentile(waits, 99)));

function draw(results: Record<string, Result>, tenants: Tenant[], caption: string): string {
  const demand = (scheduled: boolean): number[] => {
    const counts = Array<number>(slots).fill(0);
    const add = (atS: number) => (counts[Math.floor(atS / slotS)] = (counts[Math.floor(atS / slotS)] as number) + 1);
    for (const tenant of tenants) {
      if (scheduled) for (const { atS } of tenant.scheduled) add(atS);
      else for (const list of tenant.unscheduled.values()) for (const { atS } of list) add(atS);
    }
    return counts;
  };
  const of = (name: string): Result => results[name] as Result;
  const [ours, hot, onDemand, fixed] = [of('pool'), of('hot'), of('on-demand'), of('fixed')];
  const line = (name: string, colour: string, values: number[]): Series => ({ name, colour, values });
  return plot(
    [
      {
        title: 'Interviews',
        unit: 'in each quarter of an hour, UTC',
        series: [
          { ...line('by appointment', '#b0529a', demand(true)), bars: true },
          line('unscheduled', '#3b6ea8', demand(false)),
        ],
      },
      {
        title: 'Standby machines',
        unit: 'all tenants',
        series: [
          line('fixed pool', '#c98a1b', fixed.standbyBySlot),
          line('pool and prewarm', '#2a8f5a', ours.standbyBySlot),
        ],
      },
      {
        title: 'Ready, p99',
        unit: 's',
        logFrom: 0.01,
        series: [
          line('on demand', '#c0392b', p99BySlot(onDemand)),
          line('fixed pool', '#c98a1b', p99BySlot(fixed)),
          line('pool and prewarm', '#2a8f5a', p99BySlot(ours)),
          line('with hot ones', '#7a4fc0', p99BySlot(hot)),
        ],
      },
    ],
    caption,
  );
}

function main(args: string[]): number {
  const values = readOptions(args);
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const { interviews, seed } = values;
  const options = { interviews, tenants: values.tenants, seed, scheduledShare: values.scheduled };
  const firstStartS = values['slow-first-start'] ? assumptions.slowFirstStartS : assumptions.firstStartS;
  const tenants = makeDay(options);
  const ours = run(tenants, { name: 'pool', firstStartS }, seed);
  const hot = run(tenants, { name: 'hot', firstStartS }, seed);
  const onDemand = run(tenants, { name: 'on-demand', firstStartS }, seed);
  const fixedSize = (tenant: Tenant, pool: number) =>
    Math.max(
      1,
      Math.round(
        ((ours.meanOf.get(tenant.id) ?? 0) * (pool === 0 ? 0.6 : 0.4)) /
          (pool === 0 ? 1 : Math.max(1, tenant.regions.length - 1)),
      ),
    );
  const fixed = run(tenants, { name: 'fixed', firstStartS, fixedSize }, seed);
  const results = { pool: ours, hot, 'on-demand': onDemand, fixed };
  const policies = Object.fromEntries(
    Object.entries(results).map(([name, result]) => [name, summary(result, tenants)]),
  );
  for (const [name, figures] of Object.entries(policies)) {
    const { all, over_5_s, standby_machines_mean, standby_cost_usd, hot_machines_mean, hot_cost_usd } = figures;
    process.stdout.write(
      `${name.padEnd(10)} ready p50 ${all.ready_p50_s} s, p99 ${all.ready_p99_s} s, worst ${all.worst_s} s; over 5 s ${(100 * over_5_s).toFixed(2)} %; standby ${standby_machines_mean} machines, ${standby_cost_usd} USD; hot ${hot_machines_mean} machines, ${hot_cost_usd} USD\n`,
    );
  }
  if (values.plot) {
    const caption = `${options.interviews.toLocaleString('en')} interviews, ${options.tenants} tenants, seed ${seed}; drawn by npm run sim -- --plot`;
    writeFileSync(path.join(docs, 'capacity.svg'), draw(results, tenants, caption));
    const page = readFileSync(path.join(docs, 'capacity.md'), 'utf8');
    writeFileSync(path.join(docs, 'capacity.md'), withFigures(page, policies));
  }
  const better =
    (policies.pool?.all.ready_p99_s ?? Number.POSITIVE_INFINITY) <
    Math.min(policies['on-demand']?.all.ready_p99_s ?? 0, policies.fixed?.all.ready_p99_s ?? 0);
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ name: 'sim', ok: better, options: { ...options, firstStartS }, policies })}\n`,
    );
  return better ? 0 : 1;
}

try {
  process.exit(main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${usage}`);
  process.exit(2);
}
