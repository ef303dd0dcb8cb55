import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import type { Answer, HeartbeatResponse } from '../outside/orchestrator.ts';
import { createLease, type LeaseDeps } from './lease.ts';

const log = silentLogger();
const failed = (status: number, code?: 'claim_refused' | 'fenced') =>
  ({ kind: 'failed', status, code, retryAfterMs: 0, problem: {} }) as const;

describe('the lease', () => {
  const alive: Answer<HeartbeatResponse> = { kind: 'ok', value: { lease_ms: 20_000, directive: { kind: 'continue' } } };
  const setUp = (answer: () => Answer<HeartbeatResponse>, reclaimed: 'renewed' | 'refused' = 'renewed') => {
    const clock = createFakeClock();
    const beats: number[] = [];
    const seen = {
      onDirective: vi.fn(),
      onToken: vi.fn(),
      onVideo: vi.fn(),
      onLost: vi.fn(),
      reclaim: vi.fn(async () => reclaimed),
    };
    const deps: LeaseDeps = {
      clock,
      log,
      heartbeatMs: 5_000,
      leaseMs: 20_000,
      leaseLostMs: 600_000,
      beat: async () => {
        beats.push(clock.monotonicMs());
        return answer();
      },
      ...seen,
    };
    const lease = createLease(deps);
    lease.start();
    return { clock, beats, lease, ...seen };
  };

  test('sends a heartbeat every heartbeatMs, and passes on no directive for `continue`', async () => {
    const { clock, beats, onDirective, onLost } = setUp(() => alive);
    await clock.advance(1_000_000);
    expect(beats.slice(0, 3)).toEqual([5_000, 10_000, 15_000]);
    expect(onDirective).not.toHaveBeenCalled();
    expect(onLost).not.toHaveBeenCalled();
  });

  test('while the control plane is away the worker ends itself only leaseLostMs after its lease expired', async () => {
    const { clock, onLost } = setUp(() => failed(0));
    await clock.advance(619_000);
    expect(onLost).not.toHaveBeenCalled();
    await clock.advance(2_000);
    expect(onLost).toHaveBeenCalledTimes(1);
  });

  test('a control plane that is back in time resets that limit', async () => {
    let away = true;
    const { clock, onLost } = setUp(() => (away ? failed(0) : alive));
    await clock.advance(600_000);
    away = false;
    await clock.advance(5_000);
    away = true;
    await clock.advance(600_000);
    expect(onLost).not.toHaveBeenCalled();
  });

  test('passes on an `end` directive and a new token', async () => {
    const end = { kind: 'end', outcome: 'cancelled', reason: 'ended_by_platform' } as const;
    const token = { token: 'fresh', expires_at: 1 };
    const { clock, onDirective, onToken } = setUp(() => ({
      kind: 'ok',
      value: { lease_ms: 1, directive: end, worker_token: token },
    }));
    await clock.advance(5_000);
    expect(onDirective).toHaveBeenCalledWith(end);
    expect(onToken).toHaveBeenCalledWith(token);
  });

  test('a 409 means fenced', async () => {
    const { clock, onDirective } = setUp(() => failed(409, 'fenced'));
    await clock.advance(5_000);
    expect(onDirective).toHaveBeenCalledWith({ kind: 'fenced' });
  });

  test.each([
    ['renewed', 0],
    ['refused', 1],
  ] as const)('an expired token: claimed again and %s', async (reclaimed, fences) => {
    const { clock, onDirective, reclaim } = setUp(() => failed(401), reclaimed);
    await clock.advance(5_000);
    expect(reclaim).toHaveBeenCalledTimes(1);
    expect(onDirective).toHaveBeenCalledTimes(fences);
  });

  test('ask sends a heartbeat at once; stop ends all heartbeats', async () => {
    const { clock, beats, lease } = setUp(() => alive);
    expect(await lease.ask(1_000)).toEqual({ kind: 'continue' });
    expect(beats).toEqual([0]);
    lease.stop();
    await clock.advance(100_000);
    expect(beats).toEqual([0]);
    expect(clock.pending).toBe(0);
  });
});
