import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { practise } from './practice.ts';

describe('the practice of a hot worker', () => {
  const connect = vi.spyOn(Socket.prototype, 'connect');
  const written = vi.spyOn(process.stdout, 'write');
  beforeEach(() => {
    connect.mockClear();
    written.mockClear();
  });
  afterEach(() => vi.restoreAllMocks());

  test('serves a whole session without a connection, a log line or a timer', async () => {
    const timers = timeouts();
    for (let time = 0; time < 5; time += 1) await practise(new AbortController().signal);
    expect(connect).not.toHaveBeenCalled();
    expect(written).not.toHaveBeenCalled();
    // The test runner ends timers of its own meanwhile.
    expect(timeouts()).toBeLessThanOrEqual(timers);
  });

  test('stops at whichever step it is when a session comes', async () => {
    let step = 0;
    for (let stopped = true; stopped; step += 1) {
      const session = comingAt(step);
      stopped = await practise(session).then(
        () => false,
        (error: unknown) => error === session.reason,
      );
    }
    expect(step).toBeGreaterThan(5);
  });
});

/** A signal that aborts at the look after `step` others. */
function comingAt(step: number): AbortSignal {
  const session = new AbortController();
  let looks = 0;
  return Object.assign(session.signal, {
    throwIfAborted: () => {
      if (looks === step) session.abort();
      looks += 1;
      if (session.signal.aborted) throw session.signal.reason;
    },
  });
}

const timeouts = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
