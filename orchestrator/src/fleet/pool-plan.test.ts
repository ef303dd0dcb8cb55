import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PoolFacts, TenantFacts } from '../database/pool-store.ts';
import { neededNow, planPools, unscheduledTarget } from './pool-plan.ts';

const options = { buildMs: 30_000, leadMs: 30_000 };
const pool = (changes: Partial<TenantFacts['pools'][number]> = {}): TenantFacts['pools'][number] => ({
  region: 'fra',
  hot: false,
  floor: 0,
  ceiling: 10,
  ready: 0,
  building: 0,
  stale: 0,
  ...changes,
});
const facts = (changes: Partial<TenantFacts> = {}): PoolFacts => ({
  image: 'worker:1',
  tenants: [{ tenant_id: 't', creates_per_second: 1, pools: [pool()], due: [], ...changes }],
});
const demand = (per_second: number) => [{ tenant_id: 't', region: 'fra', per_second }];

describe('the target of a pool of hot machines', () => {
  const hot = pool({ hot: true, floor: 1, ceiling: 4 });

  test('it follows the demand between its own floor and ceiling, beside the standby machines', () => {
    const targets = (perSecond: number) =>
      planPools(facts({ pools: [pool(), hot] }), demand(perSecond), options).map((order) => [order.hot, order.target]);
    expect(targets(0)).toEqual([[true, 1]]);
    expect(targets(0.1)).toEqual([
      [true, 4],
      [false, 8],
    ]);
  });

  test('scheduled sessions need standby machines and no hot one', () => {
    const due = [{ region: 'fra', due_in_ms: 30_000, sessions: 3 }];
    const orders = planPools(facts({ pools: [pool(), hot], due }), [], options);
    expect(orders.map((order) => [order.hot, order.target])).toEqual([
      [false, 3],
      [true, 1],
    ]);
  });

  test('a policy lowered to zero retires all hot machines, and one that is too old only when another is ready', () => {
    const [shrunk] = planPools(facts({ pools: [{ ...hot, floor: 0, ceiling: 0, ready: 3 }] }), [], options);
    expect(shrunk).toMatchObject({ hot: true, target: 0, shrink: 3 });
    const aged = { ...hot, stale: 1 };
    expect(planPools(facts({ pools: [aged] }), [], options)).toMatchObject([{ target: 1, retire_stale: 0 }]);
    expect(planPools(facts({ pools: [{ ...aged, ready: 1 }] }), [], options)).toMatchObject([{ retire_stale: 1 }]);
  });
});

describe('the target of a pool', () => {
  test('the target covers the demand of one build time plus a safety margin, between floor and ceiling', () => {
    expect(unscheduledTarget(0, 30_000, 2, 10)).toBe(2);
    expect(unscheduledTarget(0.1, 30_000, 0, 10)).toBe(8);
    expect(unscheduledTarget(5, 30_000, 0, 10)).toBe(10);
  });

  test('a pool without demand, floor or schedule orders nothing', () => {
    expect(planPools(facts(), demand(0.001), options)).toEqual([]);
  });

  test('machines that are being built count', () => {
    const pools = [pool({ ready: 3, building: 5 })];
    expect(planPools(facts({ pools }), demand(0.1), options)).toEqual([]);
  });

  test('a small surplus is kept, a larger one is reduced, and a pool with ceiling 0 is emptied', () => {
    const shrinkOf = (changes: object) =>
      planPools(facts({ pools: [pool(changes)] }), [], options).map((order) => order.shrink);
    expect(shrinkOf({ floor: 5, ready: 6 })).toEqual([]);
    expect(shrinkOf({ floor: 5, ready: 9 })).toEqual([3]);
    expect(shrinkOf({ ceiling: 0, ready: 1 })).toEqual([1]);
  });

  test('no machine is ordered in a region that has no capacity', () => {
    const closed = { ...options, isClosed: () => true };
    expect(planPools(facts({ pools: [pool({ floor: 5, ready: 2 })] }), [], closed)).toEqual([]);
  });
});

describe('after a change of the image', () => {
  const retired = (changes: object) =>
    planPools(facts({ pools: [pool({ floor: 4, ...changes })] }), [], options)[0]?.retire_stale;

  test('machines with the old image are retired one by one as new ones become ready', () => {
    expect(retired({ stale: 4 })).toBe(0);
    expect(retired({ stale: 4, ready: 3, building: 1 })).toBe(3);
    expect(retired({ stale: 1, ready: 4 })).toBe(1);
  });

  test('a pool whose target is 0 retires all machines with the old image at once', () => {
    expect(retired({ floor: 0, stale: 3 })).toBe(3);
  });
});

describe('scheduled sessions', () => {
  test('machines are ordered as late as the create limit allows', () => {
    expect(neededNow([{ region: 'fra', due_in_ms: 600_000, sessions: 100 }], 1, options)).toBe(0);
    expect(neededNow([{ region: 'fra', due_in_ms: 160_000, sessions: 100 }], 1, options)).toBe(1);
    expect(neededNow([{ region: 'fra', due_in_ms: 110_000, sessions: 100 }], 1, options)).toBe(51);
  });

  test('a large burst is prepared in time even if a small start time comes before it', () => {
    const due = [
      { region: 'fra', due_in_ms: 300_000, sessions: 1 },
      { region: 'fra', due_in_ms: 360_000, sessions: 320 },
    ];
    expect(neededNow(due, 1, options)).toBe(22);
  });

  test('their machines are added to the pool beyond its ceiling, earliest start times first', () => {
    const orders = planPools(
      facts({
        pools: [pool({ region: 'ams', ceiling: 0 }), pool({ floor: 1, ceiling: 1 })],
        due: [
          { region: 'fra', due_in_ms: 70_000, sessions: 5 },
          { region: 'ams', due_in_ms: 71_000, sessions: 50 },
        ],
      }),
      [],
      options,
    );
    expect(orders.map(({ region, target }) => [region, target])).toEqual([
      ['fra', 6],
      ['ams', 40],
    ]);
  });

  test('for any schedule, building as late as planned is no later than building everything at once', () => {
    const dues = fc.array(
      fc.record({ at: fc.integer({ min: 100, max: 900 }), sessions: fc.integer({ min: 1, max: 80 }) }),
    );
    fc.assert(
      fc.property(dues, (list) => {
        const sorted = list.toSorted((a, b) => a.at - b.at);
        const dueAt = (now: number) =>
          sorted.map(({ at, sessions }) => ({ region: 'fra', due_in_ms: (at - now) * 1_000, sessions }));
        const lateness = (want: (now: number) => number): number => {
          let built = 0;
          const doneAt: number[] = [];
          for (let now = 0; now < 4_000; now += 1) {
            if (want(now) > built) {
              built += 1;
              doneAt.push(now + 30);
            }
          }
          const dueTimes = sorted.flatMap(({ at, sessions }) => Array<number>(sessions).fill(at - 30));
          return Math.max(0, ...dueTimes.map((due, n) => (doneAt[n] ?? 9_999) - due));
        };
        const total = sorted.reduce((sum, { sessions }) => sum + sessions, 0);
        expect(lateness((now) => neededNow(dueAt(now), 1, options))).toBe(lateness(() => total));
      }),
      { numRuns: 60 },
    );
  });
});
