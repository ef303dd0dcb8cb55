import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createSharedTime } from './shared-time.ts';

test('the time is the orchestrator’s, however the own clock jumps', async () => {
  const clock = createFakeClock();
  let jumpMs = 0;
  const time = createSharedTime({ now: () => clock.now() + jumpMs, monotonicMs: clock.monotonicMs });
  time.heard(1_000_000);
  jumpMs = 3_600_000;
  await clock.advance(250);
  expect(time.now()).toBe(1_000_250);
  time.heard(1_000_300);
  expect(time.now()).toBe(1_000_300);
});

test('an orchestrator that does not tell its time leaves the own clock in force', () => {
  const clock = createFakeClock();
  const time = createSharedTime(clock);
  time.heard(undefined);
  expect(time.now()).toBe(clock.now());
});
