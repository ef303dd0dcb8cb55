import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createSharedReading } from './shared-reading.ts';

test('those who ask at once, or within the time for which an answer is fresh, share one reading', async () => {
  const clock = createFakeClock();
  let reads = 0;
  const read = createSharedReading(async () => ++reads, { clock, freshMs: 1_000 });
  expect(await Promise.all([read(), read(), read()])).toEqual([1, 1, 1]);
  await clock.advance(999);
  expect(await read()).toBe(1);
  await clock.advance(1);
  expect(await read()).toBe(2);
});

test('a failed reading is repeated for the next who asks', async () => {
  let reads = 0;
  const clock = createFakeClock();
  const read = createSharedReading(
    async () => {
      reads += 1;
      if (reads === 1) throw new Error('the database is away');
      return reads;
    },
    { clock, freshMs: 1_000 },
  );
  await expect(read()).rejects.toThrow('away');
  expect(await read()).toBe(2);
});
