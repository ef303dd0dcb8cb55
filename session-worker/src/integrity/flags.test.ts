import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import type { StoreResult } from '../outside/store.ts';
import { createFlags } from './flags.ts';

const ok: StoreResult<unknown> = { kind: 'ok', value: null };

describe('integrity flags', () => {
  const setUp = (answer: (kind: string, count: number) => Promise<StoreResult<unknown>>) => {
    const clock = createFakeClock();
    const onFenced = vi.fn();
    const flag = vi.fn(answer);
    return {
      clock,
      flag,
      onFenced,
      flags: createFlags({ clock, log: silentLogger(), flag, onFenced, random: () => 0.5 }),
    };
  };

  test('a flood of flags takes two requests, and their counts add up', async () => {
    const { clock, flag, flags } = setUp(async () => ok);
    flags.add('foreign_item');
    await clock.advance(0);
    for (let n = 0; n < 999; n += 1) flags.add('foreign_item');
    await flags.flush(new AbortController().signal);
    expect(flag.mock.calls).toEqual([
      ['foreign_item', 1],
      ['foreign_item', 999],
    ]);
  });

  test('flags added while the database is away are stored when it is back', async () => {
    let away = true;
    const { clock, flag, flags } = setUp(async () => (away ? { kind: 'unavailable', error: new Error('away') } : ok));
    flags.add('foreign_item');
    flags.add('foreign_cancel');
    await clock.advance(2_000);
    away = false;
    flag.mockClear();
    await clock.advance(20_000);
    expect(new Set(flag.mock.calls.map(([kind]) => kind))).toEqual(new Set(['foreign_item', 'foreign_cancel']));
  });

  test('fenced: told once, and silent from then on', async () => {
    const { flag, flags, onFenced } = setUp(async () => ({ kind: 'fenced' }));
    flags.add('foreign_item');
    await flags.flush(new AbortController().signal);
    flags.add('foreign_item');
    expect(onFenced).toHaveBeenCalledTimes(1);
    expect(flag).toHaveBeenCalledTimes(1);
  });
});
