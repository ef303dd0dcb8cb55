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

  test('reports are sent in order, and retried while the database is away', async () => {
    const { clock, sent, reports } = setUp((n) => (n < 3 ? away : ok));
    reports.presence('present');
    reports.add({ status: 'in_progress' });
    reports.add({ status: 'finalizing', outcome: 'completed', reason: 'ended_by_candidate' });
    await clock.advance(60_000);
    await reports.flush(new AbortController().signal);
    expect(sent.slice(2)).toEqual([
      { status: 'connecting', presence: 'present' },
      { status: 'in_progress' },
      { status: 'finalizing', outcome: 'completed', reason: 'ended_by_candidate' },
    ]);
  });

  test('the first presence is sent half a second later, or before whatever is reported next', async () => {
    const first = { status: 'connecting', presence: 'present' };
    const waiting = setUp(() => ok);
    waiting.reports.presence('present');
    await waiting.clock.advance(499);
    expect(waiting.sent).toEqual([]);
    await waiting.clock.advance(1);
    expect(waiting.sent).toEqual([first]);
    const followed = setUp(() => ok);
    followed.reports.presence('present');
    followed.reports.add({ status: 'in_progress' });
    await followed.clock.advance(0);
    expect(followed.sent).toEqual([first, { status: 'in_progress' }]);
    const lost = setUp(() => ok);
    lost.reports.presence('present');
    lost.reports.presence('lost');
    await lost.clock.advance(1_000);
    expect(lost.sent).toEqual([first, { presence: 'lost' }]);
    const ended = setUp(() => ok);
    ended.reports.presence('present');
    await ended.reports.flush(new AbortController().signal);
    expect(ended.sent).toEqual([first]);
    expect(ended.clock.pending).toBe(0);
  });

  // Failure pinned: a socket that opened and closed repeatedly made an event and a webhook delivery each time.
  test('a presence that changes rapidly is reported a limited number of times, always with the last state', async () => {
    const { clock, sent, reports } = setUp(() => ok);
    for (let n = 0; n < 100; n += 1) {
      reports.presence('present');
      await clock.advance(100);
      reports.presence('lost');
      await clock.advance(100);
    }
    await clock.advance(10_000);
    expect(sent.length).toBeLessThanOrEqual(10);
    expect(sent[0]).toEqual({ status: 'connecting', presence: 'present' });
    expect(sent.at(-1)).toEqual({ presence: 'lost' });
    reports.presence('present');
    await clock.advance(0);
    expect(sent.at(-1)).toEqual({ presence: 'present' });
    reports.stop();
  });

  test('while the database is away only the latest presence waits', async () => {
    let isAway = true;
    const { clock, sent, reports } = setUp(() => (isAway ? away : ok));
    for (const presence of ['present', 'lost', 'present', 'lost', 'present'] as const) {
      reports.presence(presence);
      await clock.advance(6_000);
    }
    isAway = false;
    sent.length = 0;
    await clock.advance(20_000);
    expect(sent).toEqual([{ status: 'connecting', presence: 'present' }, { presence: 'present' }]);
    reports.stop();
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
