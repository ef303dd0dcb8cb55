import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { createShutdown } from '@greenroom/shared/runtime/shutdown.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { expect, test } from 'vitest';
import { createConclusion } from './conclusion.ts';
import { type TeardownParts, teardownPhases } from './teardown.ts';

const ending = { kind: 'ended', outcome: 'completed', reason: 'max_duration' } as const;

/** A worker in its teardown. `database`: how the database answers the report that the session is finalizing. */
function make(database: 'takes it' | 'says that another machine serves' | 'is away') {
  const calls: string[] = [];
  const clock = createFakeClock();
  const conclusion = createConclusion(() => undefined);
  conclusion.decide(ending);
  const flush = async (signal: AbortSignal) => {
    if (database === 'says that another machine serves') conclusion.decide({ kind: 'fenced' });
    if (database !== 'is away') return;
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const parts = {
    clock,
    deadlines: defaultDeadlines,
    conclusion,
    calls: {
      attached: false,
      stop: () => undefined,
      close: () => undefined,
      hangUp: async () => calls.push('hang up') > 0,
    },
    transcript: { awaited: () => 0, settle: () => undefined },
    writer: { unsaved: 0, refused: 0, flush: async () => undefined },
    reports: { add: () => undefined, flush, stop: () => undefined },
    flags: { flush: async () => undefined, stop: () => undefined },
    room: { close: (code: number) => void calls.push(`close ${code}`) },
    stopTimers: () => undefined,
    finish: async () => {
      calls.push('finish');
      return { kind: 'ok', value: undefined };
    },
  } as unknown as TeardownParts;
  const run = async () => {
    const done = createShutdown(teardownPhases(parts, ending)).run();
    await clock.advance(5_000);
    await done;
    return calls;
  };
  return { run };
}

test('an ending is reported to the database; then the call is hung up, the room closed and the machine reported as finished', async () => {
  expect(await make('takes it').run()).toEqual(['hang up', 'close 1000', 'finish']);
});

test('a worker that wakes up when another machine serves its session neither hangs up nor reports', async () => {
  expect(await make('says that another machine serves').run()).toEqual(['close 4409']);
});

test('an unreachable database does not prevent the hang-up', async () => {
  expect(await make('is away').run()).toEqual(['hang up', 'close 1000', 'finish']);
});
