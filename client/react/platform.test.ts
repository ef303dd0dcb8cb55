import { describe, expect, test } from 'vitest';
import type { Status } from '../src/types.ts';
import { statusWordOf } from './platform.tsx';

describe('the status of an interview in one word', () => {
  const cases: Array<[Status, string]> = [
    [{ name: 'idle' }, 'initializing'],
    [{ name: 'joining', since: 0 }, 'initializing'],
    [{ name: 'waiting', for: 'machine', since: 0 }, 'connecting'],
    [{ name: 'connecting', step: 'audio', since: 0 }, 'connecting'],
    [{ name: 'live', turn: 'paused', since: 0 }, 'connected'],
    [{ name: 'ending', since: 0 }, 'connected'],
    [{ name: 'reconnecting', lost: 'audio', since: 0 }, 'disconnected'],
    [{ name: 'ended', outcome: 'completed', reason: 'max_duration', at: 0 }, 'completed'],
    [{ name: 'ended', outcome: 'failed', reason: 'worker_lost', at: 0 }, 'error'],
    [{ name: 'ended', outcome: 'cancelled', reason: 'ended_by_platform', at: 0 }, 'disconnected'],
  ];
  test.each(cases)('%j is %s', (status, word) => {
    expect(statusWordOf(status)).toBe(word);
  });
});
