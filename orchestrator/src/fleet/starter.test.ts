import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import type { Intent } from '../database/rows.ts';
import type { FlyMachine, FlyRefusal, Presence } from '../fly/classify.ts';
import { flyId, machineId, makeIntent, noTracing, sessionId, until } from '../testing.ts';
import { createStarter } from './starter.ts';

type Answer = { kind: 'done' } | FlyRefusal;
const standby = (changes: Partial<Intent> = {}): Intent =>
  makeIntent({ action: 'start', fly_machine_id: flyId, ...changes });
const there = (state: string): Presence => ({ kind: 'there', machine: { id: flyId, state } as FlyMachine });

/** A starter with a Fly that gives these answers in order and then repeats the last one. */
function start(
  answers: Answer[],
  { found = there('started'), next = undefined as Intent | undefined, held = true } = {},
) {
  const clock = createFakeClock();
  const log: string[] = [];
  const holds: number[] = [];
  let asked = 0;
  const starter = createStarter({
    tracing: noTracing,
    pool: {
      takeStarts: async () => [standby()],
      recordStart: async ({ machineId }) => void log.push(`started ${machineId}`),
      holdStart: async (_id, waitMs) => {
        holds.push(waitMs);
        return held;
      },
      recordStarted: async () => log.push('runs') > 0,
      recordStartFailed: async () => {
        log.push('failed');
        return next ? { kind: 'next', intent: next } : { kind: 'ended' };
      },
    },
    fly: {
      start: async () => {
        asked += 1;
        return answers[Math.min(asked, answers.length) - 1] as Answer;
      },
      get: async () => found,
    },
    endings: { destroy: (_machine, reason) => log.push(`destroy ${reason}`) },
    execute: (intent) => log.push(`next ${intent.machine_id}`),
    clock,
    logger: silentLogger(),
    standbyStartMs: 10_000,
    onChange: (id) => log.push(`changed ${id}`),
  });
  return { starter, clock, log, holds, asked: () => asked };
}

describe('starting a standby machine', () => {
  test('a machine is started once and recorded as started', async () => {
    const { starter, log, asked } = start([{ kind: 'done' }]);
    starter.execute(standby());
    starter.execute(standby());
    await until(() => log.length > 0);
    expect([log, asked()]).toEqual([[`started ${machineId}`], 1]);
  });

  test('after a 412 the start is repeated, no faster than Fly allows, until it succeeds', async () => {
    const { starter, clock, log, asked } = start([
      { kind: 'precondition' },
      { kind: 'precondition' },
      { kind: 'precondition' },
      { kind: 'done' },
    ]);
    starter.execute(standby());
    await clock.advance(1_700);
    expect(asked()).toBe(3);
    await clock.advance(100);
    expect(log).toEqual([`started ${machineId}`]);
  });

  test('if Fly answers 412 until the deadline, the machine is destroyed and the next one tried', async () => {
    const other = '44444444-4444-4444-8444-444444444444';
    const { starter, clock, log } = start([{ kind: 'precondition' }], { next: standby({ machine_id: other }) });
    starter.execute(standby());
    await clock.advance(10_000);
    expect(log).toEqual(['failed', 'destroy start_failed', `next ${other}`, `changed ${sessionId}`]);
  });

  test.each<FlyRefusal['kind']>(['hostBusy', 'noCapacity', 'notFound', 'fatal'])(
    'after %s the session gets its next machine at once',
    async (kind) => {
      const { starter, log, asked } = start([{ kind } as FlyRefusal]);
      starter.execute(standby());
      await until(() => log.length === 3);
      expect([asked(), log[0]]).toEqual([1, 'failed']);
    },
  );

  test('a start without an answer is repeated, because a start is idempotent', async () => {
    const { starter, clock, log } = start([{ kind: 'ambiguous' }, { kind: 'done' }]);
    starter.execute(standby());
    await clock.advance(300);
    expect(log).toEqual([`started ${machineId}`]);
  });

  test('a machine is held while its start waits, and left alone if another orchestrator took it', async () => {
    const limited: Answer = { kind: 'rateLimited', retryAfterMs: 5_000 };
    const waiting = start([limited, { kind: 'done' }]);
    waiting.starter.execute(standby());
    await waiting.clock.advance(5_000);
    expect([waiting.holds, waiting.asked()]).toEqual([[5_000], 2]);
    const lost = start([limited], { held: false });
    lost.starter.execute(standby());
    await lost.clock.advance(60_000);
    expect([lost.asked(), lost.log]).toEqual([1, []]);
  });

  test('after a 429 the start is repeated after the Retry-After', async () => {
    const { starter, clock, log } = start([{ kind: 'rateLimited', retryAfterMs: 4_000 }, { kind: 'done' }]);
    starter.execute(standby());
    await clock.advance(3_900);
    expect(log).toEqual([]);
    await clock.advance(100);
    expect(log).toEqual([`started ${machineId}`]);
  });

  test.each<[string, Presence, string]>([
    ['that runs is recorded as started', there('started'), 'runs'],
    ['that was not started is given up', there('created'), 'failed'],
    ['that is gone is given up', { kind: 'gone', evidence: '404' }, 'failed'],
  ])('a late machine %s', async (_name, found, first) => {
    const { starter, log, asked } = start([{ kind: 'done' }], { found });
    starter.execute(standby({ late: true }));
    await until(() => log.length > 0);
    expect([log[0], asked()]).toEqual([first, 0]);
  });
});
