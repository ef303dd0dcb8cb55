import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test, vi } from 'vitest';
import { createRollover } from './rollover.ts';

describe('the roll-over', () => {
  const setUp = () => {
    const clock = createFakeClock();
    const onDue = vi.fn();
    const rollover = createRollover({ clock, ageMs: 3_300_000, onDue });
    rollover.callUp();
    return { clock, onDue, rollover };
  };
  test('comes at the call’s age limit, at the next turn boundary', async () => {
    const { clock, onDue, rollover } = setUp();
    rollover.turnOver();
    await clock.advance(3_300_000);
    expect(onDue).not.toHaveBeenCalled();
    rollover.turnOver();
    rollover.turnOver();
    expect(onDue).toHaveBeenCalledTimes(1);
  });
  test('comes without a turn boundary too, well before the provider’s 60 minutes; a new call restarts the count', async () => {
    const { clock, onDue, rollover } = setUp();
    await clock.advance(1_000_000);
    rollover.callUp();
    await clock.advance(3_300_000);
    expect(onDue).not.toHaveBeenCalled();
    await clock.advance(120_000);
    expect(onDue).toHaveBeenCalledTimes(1);
    expect(3_300_000 + 120_000).toBeLessThan(3_600_000);
  });
});
