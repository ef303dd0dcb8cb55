import { expect, test } from 'vitest';
import { createShares } from './shares.ts';

test("reads above a tenant's limit wait in order, while another tenant's reads start at once", async () => {
  const shares = createShares({ atOnce: 2, waiting: 5 });
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
  const shares = createShares({ atOnce: 1, waiting: 1 });
  const give = await shares.take('acme');
  const waits = shares.take('acme');
  expect(() => shares.take('acme')).toThrow(expect.objectContaining({ code: 'rate_limited' }));
  give();
  (await waits)();
  expect(shares.underWay('acme')).toBe(0);
});
