import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import { brakeLimit, createBrake } from './brake.ts';

const windowMs = 5_000;
function make(machines = 20) {
  const clock = createFakeClock();
  const brake = createBrake({ clock, windowMs, logger: silentLogger() });
  brake.know(machines);
  return { clock, brake };
}

test('the limit is five ends, or 5 % of the machines if that is more', () => {
  expect([0, 5, 100, 101, 1_000].map(brakeLimit)).toEqual([5, 5, 5, 5, 50]);
});

test('six doubtful ends at once are all refused; five are admitted', () => {
  const { brake } = make();
  expect([brake.admits(6), brake.admits(5)]).toEqual([false, true]);
});

test('doubtful ends that come one by one within a window are counted together', () => {
  const { brake } = make();
  expect([1, 2, 3, 4, 5, 6].map(() => brake.admits(1))).toEqual([true, true, true, true, true, false]);
  expect(brake.holds).toBe(true);
});

test('after the window the brake admits ends again', async () => {
  const { clock, brake } = make();
  brake.admits(5);
  await clock.advance(windowMs + 1);
  expect([brake.holds, brake.admits(1)]).toEqual([false, true]);
});

test('certain ends are counted and leave less room for doubtful ones', () => {
  const { brake } = make();
  expect(brake.admits(0, 8)).toBe(true);
  expect(brake.admits(1)).toBe(false);
});
