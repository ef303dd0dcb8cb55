import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import type { StoreResult } from '../outside/store.ts';
import { createReports } from './reports.ts';

const log = silentLogger();

describe('reports', () => {
  const setUp = (answer: (n: number) => StoreResult<unknown>) => {
    const clock = createFakeClock();
    const sent: unknown[] = [];
    const onFenced = vi.fn();
    const report = async (one: unknown) => {
      sent.push(one);
      return answer(sent.length);
    };
    return { clock, sent, onFenced, reports: createReports({ clock, log, report, onFenced, random: () => 0.5 }) };
  };
  const ok: StoreResult<unknown> = { kind: 'ok', value: {} };
  const away: StoreResult<unknown> = { kind: 'unavailable', error: new Error('away') };

  test('in order, tried again while the database is away, and of presence only the latest', async () => {
    const { clock, sent, reports } = setUp((n) => (n < 3 ? away : ok));
    reports.add({ status: 'connecting', presence: 'present' });
    reports.add({ status: 'in_progress' });
    for (const presence of ['lost', 'present', 'lost'] as const) reports.add({ presence });
    await clock.advance(60_000);
    await reports.flush(new AbortController().signal);
    expect(sent.slice(2)).toEqual([
      { status: 'connecting', presence: 'present' },
      { status: 'in_progress' },
      { presence: 'lost' },
    ]);
  });

  test('fenced: told once, and silent from then on', async () => {
    const { clock, sent, reports, onFenced } = setUp(() => ({ kind: 'fenced' }));
    reports.add({ status: 'connecting' });
    await clock.advance(0);
    reports.add({ status: 'in_progress' });
    await clock.advance(10_000);
    expect(sent).toHaveLength(1);
    expect(onFenced).toHaveBeenCalledTimes(1);
  });
});
