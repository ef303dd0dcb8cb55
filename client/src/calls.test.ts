import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Calls, createCalls } from './calls.ts';
import { createProblems, type Problems } from './problems.ts';
import type { CallPeer } from './types.ts';

describe('a call that is up with sound in one direction only', () => {
  let offers: number;
  let isReachable: boolean;
  let problems: Problems;
  let calls: Calls;
  beforeEach(() => {
    vi.useFakeTimers();
    offers = 0;
    isReachable = true;
    problems = createProblems({ onChange: () => undefined });
    calls = createCalls({
      createPeer: () => {
        let tell: Parameters<CallPeer['onState']>[0] = () => undefined;
        return {
          offer: async () => 'offer',
          accept: async () => tell('connected'),
          onEvent: () => undefined,
          onState: (listener) => {
            tell = listener;
          },
          close: () => undefined,
        };
      },
      problems,
      send: (message) => {
        if (message.type === 'sdp_offer') {
          offers += 1;
          calls.answered({ type: 'sdp_answer', sdp: 'answer', ordinal: message.ordinal ?? 0 });
        }
        return true;
      },
      isReachable: () => isReachable,
      mayCall: () => true,
      onState: () => undefined,
      onPeer: () => undefined,
      onError: () => undefined,
    });
    calls.required(1);
  });
  afterEach(() => {
    calls.close();
    vi.useRealTimers();
  });

  const replaceAfter = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    calls.replace();
    await vi.advanceTimersByTimeAsync(9_000);
  };

  test('is replaced five times in a row, however long each was up, and then reported as blocked', async () => {
    await vi.advanceTimersByTimeAsync(0);
    problems.raise('voice_missing');
    for (let round = 0; round < 10; round += 1) await replaceAfter(20_000);
    expect([offers, calls.state, problems.current]).toEqual([6, 'blocked', 'call_blocked']);
  });

  test('is replaced again later, once sound has flowed for a while', async () => {
    await vi.advanceTimersByTimeAsync(0);
    for (let round = 0; round < 10; round += 1) {
      problems.raise('not_heard');
      calls.replace();
      await vi.advanceTimersByTimeAsync(9_000);
      problems.settle('not_heard');
      await vi.advanceTimersByTimeAsync(10_000);
    }
    expect([offers, calls.state, problems.current]).toEqual([11, 'up', null]);
  });

  test('is kept while the socket is lost, because no other call could be offered', async () => {
    await vi.advanceTimersByTimeAsync(0);
    isReachable = false;
    await replaceAfter(1_000);
    expect([offers, calls.state]).toEqual([1, 'up']);
  });
});
