import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createShutdown, shutdownError } from '@greenroom/shared/runtime/shutdown.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { describe, expect, test } from 'vitest';
import { type Conclusion, createConclusion } from './conclusion.ts';
import { type TeardownParts, teardownPhases } from './teardown.ts';

const ended: Conclusion = { kind: 'ended', outcome: 'completed', reason: 'ended_by_candidate' };

function setUp(
  conclusion: Conclusion,
  changes: { hangUp?: () => Promise<boolean>; flush?: () => Promise<void>; teardownMs?: number } = {},
) {
  const done: string[] = [];
  const note = (what: string) => void done.push(what);
  const hangUp = async () => {
    note('hang up');
    return true;
  };
  const box = createConclusion(() => {});
  box.decide(conclusion);
  const parts = {
    clock: systemClock,
    deadlines: { ...defaultDeadlines, lateTranscriptMs: 30, teardownMs: changes.teardownMs ?? 2_000 },
    conclusion: box,
    stopTimers: () => note('timers'),
    finish: async (request: { kind: string; transcript_complete?: boolean }) => {
      note(`finish ${request.kind}${request.kind === 'ended' ? ` complete=${request.transcript_complete}` : ''}`);
      return { kind: 'ok', value: {} };
    },
    calls: {
      attached: true,
      stop: () => note('no more offers'),
      hangUp: changes.hangUp ?? hangUp,
      close: () => note('sideband closed'),
    },
    transcript: { awaited: () => 1, settle: () => note('settle') },
    writer: {
      unsaved: 0,
      refused: 0,
      stop: () => note('writer stopped'),
      flush: changes.flush ?? (async () => note('flush')),
    },
    reports: {
      add: (report: { status: string }) => note(`report ${report.status}`),
      flush: async () => undefined,
      stop: () => note('reports stopped'),
    },
    flags: { flush: async () => note('flags'), stop: () => note('flags stopped') },
    room: { close: async (code: number, _reason: string, last: { type: string }) => note(`${last.type} ${code}`) },
  };
  const phases = teardownPhases(parts as unknown as TeardownParts, conclusion);
  return { done, box, parts, phases, shutdown: createShutdown(phases, { hurriedMs: 20 }) };
}

describe('teardown', () => {
  test('an ending runs each phase once, in order', async () => {
    const { done, shutdown } = setUp(ended);
    expect(shutdownError(await shutdown.run())).toBeUndefined();
    expect(done).toEqual([
      'timers',
      'no more offers',
      'report finalizing',
      'hang up',
      'sideband closed',
      'settle',
      'flush',
      'flags',
      'session_ended 1000',
      'finish ended complete=true',
    ]);
  });

  test('a hand-over flushes and reports, and never hangs up', async () => {
    const { done, shutdown } = setUp({ kind: 'handed_over' });
    await shutdown.run();
    expect(done).toEqual([
      'timers',
      'no more offers',
      'flush',
      'flags',
      'finish draining',
      'moved 4409',
      'sideband closed',
    ]);
  });

  test('a fenced worker stops writing and closes the room with 4409, and does nothing else', async () => {
    const { done, shutdown } = setUp({ kind: 'fenced' });
    await shutdown.run();
    expect(done).toEqual([
      'timers',
      'no more offers',
      'writer stopped',
      'reports stopped',
      'flags stopped',
      'moved 4409',
      'sideband closed',
    ]);
  });

  test('a worker fenced during its ending neither hangs up nor reports from then on', async () => {
    const { done, box, shutdown } = setUp(ended);
    box.decide({ kind: 'fenced' });
    await shutdown.run();
    expect(done).toEqual(['timers', 'no more offers', 'sideband closed', 'settle', 'flush', 'flags', 'moved 4409']);
  });

  test('a failed hang-up and a flush that hangs do not stop the later phases; every error is kept with its phase', async () => {
    const { done, shutdown } = setUp(ended, {
      hangUp: async () => false,
      flush: () => new Promise(() => {}),
      teardownMs: 400,
    });
    const error = shutdownError(await shutdown.run());
    expect(error?.errors.map((e: Error) => e.message)).toEqual(['hang up', 'flush']);
    expect(done.slice(-2)).toEqual(['session_ended 1000', 'finish ended complete=true']);
  });

  test('a second signal shortens the current phase, and the remaining phases still run', async () => {
    const { done, shutdown } = setUp(ended, { flush: () => new Promise(() => shutdown.hurry()), teardownMs: 60_000 });
    await shutdown.run();
    expect(done.slice(-2)).toEqual(['session_ended 1000', 'finish ended complete=true']);
  });

  test.each([ended, { kind: 'handed_over' }, { kind: 'fenced' }] satisfies Conclusion[])(
    'the limits of all phases stay within teardownMs: $kind',
    (conclusion) => {
      const { parts } = setUp(conclusion);
      parts.deadlines = { ...defaultDeadlines, lateTranscriptMs: 5_000, teardownMs: 60_000 };
      const limits = teardownPhases(parts as unknown as TeardownParts, conclusion).map((phase) => phase.limitMs);
      expect(limits.reduce((sum, limit) => sum + limit, 0)).toBeLessThanOrEqual(60_000);
    },
  );
});
