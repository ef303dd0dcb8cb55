import { describe, expect, test } from 'vitest';
import type { Bill } from '../database/usage-store.ts';
import { runningPerSecond, sizeOf, standbyPerSecond } from '../regions/prices.ts';
import { createUsage } from './usage.ts';

const monthS = 30 * 86_400;
const small = { cpu_kind: 'shared', cpus: 1, memory_mb: 256 };

describe('prices', () => {
  // The examples of Fly's pricing page, for 30 days.
  test.each([
    [small, 'iad', 1.94],
    [{ ...small, memory_mb: 1_024 }, 'iad', 5.7],
    [{ cpu_kind: 'performance', cpus: 1, memory_mb: 2_048 }, 'iad', 31.0],
    [{ cpu_kind: 'performance', cpus: 1, memory_mb: 2_048 }, 'fra', 35.77],
  ])('%o in %s costs %d a month', (guest, region, usd) => {
    expect(runningPerSecond(guest, region) * monthS).toBeCloseTo(usd, 1);
  });

  test('a standby machine costs its root file system', () => {
    expect(standbyPerSecond() * monthS).toBeCloseTo(0.045, 6);
  });

  test('sizes have the names that Fly uses', () => {
    expect([sizeOf(small), sizeOf({ cpu_kind: 'performance', cpus: 2, memory_mb: 4_096 })]).toEqual([
      'shared-cpu-1x:256MB',
      'performance-2x:4096MB',
    ]);
  });
});

describe('usage', () => {
  test('all machines that are gone are billed, with standby and hot time as separate costs', async () => {
    const waiting = Array.from({ length: 250 }, (_, n) => ({
      machine_id: `m${n}`,
      region: 'iad',
      started_seconds: 3_600,
      standby_seconds: 60,
      hot_seconds: 1_800,
    }));
    const bills: Bill[] = [];
    const usage = createUsage({
      guest: small,
      usage: {
        toBill: async (limit) => waiting.splice(0, limit),
        record: async (rows) => bills.push(...rows),
      },
    });
    await usage.run();
    expect(bills).toHaveLength(250);
    expect(bills[0]).toMatchObject({
      ...{ size: 'shared-cpu-1x:256MB', cost_usd: 0.0027 },
      ...{ standby_cost_usd: 0.00000104, hot_cost_usd: 0.00135 },
    });
  });
});
