import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test, vi } from 'vitest';
import { createSidebandWatch } from './sideband-watch.ts';

describe('a call without its sideband', () => {
  const setUp = () => {
    const clock = createFakeClock();
    const seen = { onLost: vi.fn(), onHopeless: vi.fn() };
    return { clock, ...seen, watch: createSidebandWatch({ clock, lostMs: 20_000, ...seen }) };
  };

  test('is replaced only after the whole time without a sideband', async () => {
    const { clock, onLost, watch } = setUp();
    watch.missing();
    await clock.advance(15_000);
    watch.missing();
    watch.attached();
    await clock.advance(60_000);
    watch.missing();
    await clock.advance(19_999);
    expect(onLost).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(onLost).toHaveBeenCalledTimes(1);
  });

  test('is replaced twice in a row; the third time is reported as hopeless, once', async () => {
    const { clock, onLost, onHopeless, watch } = setUp();
    for (let n = 0; n < 6; n += 1) {
      watch.missing();
      await clock.advance(20_000);
    }
    expect([onLost.mock.calls.length, onHopeless.mock.calls.length]).toEqual([2, 1]);
    watch.attached();
    watch.missing();
    await clock.advance(20_000);
    expect(onLost).toHaveBeenCalledTimes(3);
    watch.stop();
    expect(clock.pending).toBe(0);
  });
});
