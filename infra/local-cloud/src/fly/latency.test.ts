import { expect, test } from 'vitest';
import { createLatency } from './latency.ts';

const median = () => 0.5;

test('both profiles exist: a machine made with skip_launch starts as fast as a stopped one, or slowly', () => {
  const fast = createLatency('documented', median);
  const slow = createLatency('documented-slow-first-start', median);
  expect([fast.firstStartMs(), slow.firstStartMs()]).toEqual([1_000, 2_750]);
  expect([fast.bootMs(), slow.bootMs()]).toEqual([1_000, 1_000]);
  expect(createLatency('zero').firstStartMs()).toBe(0);
});

test('the median create answers after a quarter of a second and is started after three seconds', () => {
  const { createAnswerMs, prepareMs, bootMs } = createLatency('documented', median);
  expect([createAnswerMs(), createAnswerMs() + prepareMs() + bootMs()]).toEqual([250, 3_000]);
});
