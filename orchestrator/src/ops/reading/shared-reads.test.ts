import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import type { OperatorStore } from '../../database/operator-store.ts';
import { withSharedReads } from './shared-reads.ts';

function make() {
  const clock = createFakeClock();
  const reads: Array<{ resolve: (answer: unknown) => void; reject: (error: Error) => void }> = [];
  const read = () => new Promise((resolve, reject) => reads.push({ resolve, reject }));
  const store = withSharedReads(
    {
      regions: read,
      pools: read,
      session: read,
      drainRegion: async () => ({ kind: 'done' }),
    } as never as OperatorStore,
    clock,
  );
  return { clock, reads, store };
}
const drain = (store: OperatorStore) => store.drainRegion('fra', undefined, { why: 'a test' } as never);

test('requests that arrive during a reading get the answer of that reading', async () => {
  const { reads, store } = make();
  const asked = [store.regions(), store.regions()];
  reads[0]?.resolve('one');
  expect([await Promise.all(asked), reads.length]).toEqual([['one', 'one'], 1]);
});

test('an answer is given again for nine times as long as the reading took, and for two seconds at most', async () => {
  const { clock, reads, store } = make();
  for (const [tookMs, restMs] of [
    [10, 90],
    [1_000, 2_000],
  ] as const) {
    const before = reads.length;
    const first = store.regions();
    await clock.advance(tookMs);
    reads.at(-1)?.resolve('one');
    await first;
    await clock.advance(restMs - 1);
    await store.regions();
    expect(reads.length).toBe(before + 1);
    await clock.advance(1);
    void store.regions();
    expect(reads.length).toBe(before + 2);
    reads.at(-1)?.resolve('two');
    await store.regions();
  }
});

test('other questions, and single documents, are read for each', () => {
  const { reads, store } = make();
  void store.pools({ region: 'fra' });
  void store.pools({ region: 'iad' });
  void store.session('a');
  void store.session('a');
  expect(reads.length).toBe(4);
});

test('an act is visible at once: what was read before it, or is under way, is not given again', async () => {
  const { clock, reads, store } = make();
  const first = store.regions();
  await clock.advance(100);
  reads[0]?.resolve('one');
  await first;
  await drain(store);
  void store.regions();
  expect(reads.length).toBe(2);
  await drain(store);
  void store.regions();
  expect(reads.length).toBe(3);
});

test('a failed reading fails for those who asked, and the next one reads', async () => {
  const { reads, store } = make();
  const asked = [store.regions(), store.regions()];
  reads[0]?.reject(new Error('away'));
  expect((await Promise.allSettled(asked)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  void store.regions();
  expect(reads.length).toBe(2);
});
