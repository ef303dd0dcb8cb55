import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createCreations, longestMs } from './creations.ts';

function setUp() {
  const clock = createFakeClock();
  const creations = createCreations(clock);
  const log: string[] = [];
  return { clock, creations, log, wait: (name: string) => void creations.over().then(() => log.push(name)) };
}

test('nobody waits while no session is being created', async () => {
  const { clock, log, wait } = setUp();
  wait('a');
  await clock.advance(0);
  expect([log, clock.pending]).toEqual([['a'], 0]);
});

test('all who wait go on when the last creation has been answered, however often that is said', async () => {
  const { clock, creations, log, wait } = setUp();
  const [first, second] = [creations.begin(), creations.begin()];
  wait('a');
  wait('b');
  first();
  first();
  await clock.advance(0);
  expect(log).toEqual([]);
  second();
  await clock.advance(0);
  expect([log, clock.pending]).toEqual([['a', 'b'], 0]);
});

test('each waits for a limited time only', async () => {
  const { clock, creations, log, wait } = setUp();
  creations.begin();
  wait('a');
  await clock.advance(100);
  wait('b');
  await clock.advance(longestMs - 101);
  expect(log).toEqual([]);
  await clock.advance(1);
  expect(log).toEqual(['a']);
  await clock.advance(100);
  expect(log).toEqual(['a', 'b']);
});
