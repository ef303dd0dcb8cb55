import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createShares, tenantShare } from './shares.ts';

test("reads above a tenant's limit wait in order, while another tenant's reads start at once", async () => {
  const shares = createShares(createFakeClock(), { ...tenantShare, atOnce: 2, waiting: 5 });
  const begun: string[] = [];
  const read = async (tenant: string, name: string) => {
    const give = await shares.take(tenant);
    begun.push(name);
    return give;
  };
  const [first] = [read('acme', 'a1'), read('acme', 'a2'), read('acme', 'a3'), read('acme', 'a4')];
  await read('globex', 'g1');
  expect(begun).toEqual(['a1', 'a2', 'g1']);
  (await first)();
  await Promise.resolve();
  await Promise.resolve();
  expect(begun).toEqual(['a1', 'a2', 'g1', 'a3']);
  expect(shares.underWay('acme')).toBe(2);
});

test('a read is refused when the queue is full, and the count returns to zero afterwards', async () => {
  const shares = createShares(createFakeClock(), { ...tenantShare, atOnce: 1, waiting: 1 });
  const give = await shares.take('acme');
  const waits = shares.take('acme');
  expect(() => shares.take('acme')).toThrow(expect.objectContaining({ code: 'rate_limited' }));
  give();
  (await waits)();
  expect(shares.underWay('acme')).toBe(0);
});

/** Requests of one tenant that each take 10 ms, as many as are asked for, always. @returns how many were served in a second */
async function servedInASecond({ asking, others }: { asking: number; others: boolean }): Promise<number> {
  const clock = createFakeClock();
  const shares = createShares(clock);
  let served = 0;
  const lane = async (): Promise<void> => {
    for (;;) {
      const give = await shares.take('busy');
      await clock.sleep(10);
      served += 1;
      give();
    }
  };
  for (let n = 0; n < asking; n += 1) void lane();
  for (let n = 0; n < 100; n += 1) {
    if (others) (await shares.take('other'))();
    await clock.advance(10);
  }
  return served;
}

test('a tenant that always has a crowd waiting is served a sixth as fast while others are served too', async () => {
  const alone = await servedInASecond({ asking: 50, others: false });
  const beside = await servedInASecond({ asking: 50, others: true });
  expect(alone).toBeGreaterThan(190);
  expect(beside).toBeLessThan(alone / 5);
  expect(beside).toBeGreaterThan(alone / 7);
});

test('a tenant without a crowd is not slowed down by others', async () => {
  expect(await servedInASecond({ asking: 8, others: true })).toBe(await servedInASecond({ asking: 8, others: false }));
});
