import { expect, test } from 'vitest';
import { createBatcher } from './batch.ts';

/** A run that answers when told to. */
function createManualRun() {
  const batches: Array<{ items: number[]; finish(): void; fail(error: unknown): void }> = [];
  const run = (items: number[]) =>
    new Promise<string[]>((resolve, reject) => {
      batches.push({ items, finish: () => resolve(items.map((n) => `r${n}`)), fail: reject });
    });
  return { batches, run };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('a call goes at once when none is in flight; those that come meanwhile share the next batch', async () => {
  const { batches, run } = createManualRun();
  const call = createBatcher({ run });
  const results = [call(1), call(2), call(3)];
  expect(batches.map((b) => b.items)).toEqual([[1]]);
  batches[0]?.finish();
  await settle();
  expect(batches.map((b) => b.items)).toEqual([[1], [2, 3]]);
  batches[1]?.finish();
  expect(await Promise.all(results)).toEqual(['r1', 'r2', 'r3']);
});

test('a batch never grows beyond its maximum', async () => {
  const { batches, run } = createManualRun();
  const call = createBatcher({ run, maxBatch: 2 });
  const results = [1, 2, 3, 4].map(call);
  for (let n = 0; n < 3; n += 1) {
    batches[n]?.finish();
    await settle();
  }
  expect(batches.map((b) => b.items)).toEqual([[1], [2, 3], [4]]);
  expect(await Promise.all(results)).toHaveLength(4);
});

test('a failed batch fails its calls and not the next one', async () => {
  const { batches, run } = createManualRun();
  const call = createBatcher({ run });
  const first = call(1);
  const second = call(2);
  batches[0]?.fail(new Error('away'));
  await expect(first).rejects.toThrow('away');
  await settle();
  batches[1]?.finish();
  expect(await second).toBe('r2');
});

test('one bad call does not spoil those it travels with', async () => {
  const run = async (items: number[]) => {
    if (items.includes(3)) throw new Error('bad item');
    return items;
  };
  const call = createBatcher({ run, isolate: () => true });
  const results = await Promise.allSettled([1, 2, 3, 4].map(call));
  expect(results.map((r) => r.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
});

test('a batch that is too much at once is run in halves until it fits', async () => {
  const sizes: number[] = [];
  const run = async (items: number[]) => {
    sizes.push(items.length);
    if (items.length > 2) throw new Error('statement timeout');
    return items;
  };
  const call = createBatcher({ run, isolate: () => true });
  expect(await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(call))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  // The first goes alone, at once; the other seven are one batch.
  expect(sizes).toEqual([1, 7, 4, 2, 2, 3, 2, 1]);
});

test('a run that answers too little is an error, not a silent undefined', async () => {
  const call = createBatcher({ run: async () => [] });
  await expect(call(1)).rejects.toThrow('got 0 answers');
});
