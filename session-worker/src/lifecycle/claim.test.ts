import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import { type ClaimDeps, claimSession } from './claim.ts';

const log = silentLogger();
const failed = (status: number, code?: 'claim_refused' | 'fenced') =>
  ({ kind: 'failed', status, code, retryAfterMs: 0, problem: {} }) as const;

describe('the claim', () => {
  const setUp = (answers: Array<Awaited<ReturnType<ClaimDeps['orchestrator']['claim']>>>) => {
    const clock = createFakeClock();
    const nonces: string[] = [];
    const orchestrator = {
      claim: async (_token: string, nonce: string) => {
        nonces.push(nonce);
        return answers.length > 1 ? (answers.shift() as (typeof answers)[0]) : (answers[0] as (typeof answers)[0]);
      },
    };
    const deps: ClaimDeps = {
      clock,
      log,
      identity: async () => 't',
      orchestrator,
      bootNonce: 'n',
      claimMs: 30_000,
      waitMs: 600_000,
      random: () => 0.5,
    };
    return { clock, nonces, deps };
  };

  test('retries after no answer and a 503, with the same nonce on every try', async () => {
    const { clock, nonces, deps } = setUp([failed(0), failed(503), { kind: 'ok', value: {} as never }]);
    const result = claimSession(deps);
    await clock.advance(5_000);
    expect(await result).toMatchObject({ kind: 'claimed' });
    expect(nonces).toEqual(['n', 'n', 'n']);
  });

  test('a 409 ends the claim at once', async () => {
    const { nonces, deps } = setUp([failed(409, 'claim_refused')]);
    expect(await claimSession(deps)).toEqual({ kind: 'refused', status: 409, code: 'claim_refused' });
    expect(nonces).toHaveLength(1);
  });

  test('gives up after claimMs without an answer, not earlier', async () => {
    const { clock, deps } = setUp([failed(0)]);
    const over = vi.fn();
    const result = claimSession(deps).finally(over);
    await clock.advance(29_000);
    expect(over).not.toHaveBeenCalled();
    await clock.advance(2_000);
    expect(await result).toEqual({ kind: 'gave_up', elapsedMs: 30_000 });
    expect(clock.pending).toBe(0);
  });

  test('waits for an identity token that is not available yet', async () => {
    const { clock, deps } = setUp([{ kind: 'ok', value: {} as never }]);
    let left = 2;
    const identity = async () => {
      if (left-- > 0) throw new Error('no socket');
      return 't';
    };
    const result = claimSession({ ...deps, identity });
    await clock.advance(5_000);
    expect(await result).toMatchObject({ kind: 'claimed' });
  });

  describe('of a hot worker', () => {
    const pending = { kind: 'ok', value: { hold_ms: 10_000 } } as const;
    const claimed = { kind: 'ok', value: {} as never } as const;

    test('claims again and again, each time held after the first, until it has a session', async () => {
      const { deps } = setUp([]);
      const holds: number[] = [];
      const orchestrator = {
        claim: async (_token: string, _nonce: string, holdMs: number) => (holds.push(holdMs) < 3 ? pending : claimed),
      };
      const waiting = vi.fn();
      expect(await claimSession({ ...deps, orchestrator, onWaiting: waiting })).toMatchObject({ kind: 'claimed' });
      expect(holds).toEqual([0, 10_000, 10_000]);
      expect(waiting).toHaveBeenCalledOnce();
    });

    test('is patient for waitMs without an answer, and no longer', async () => {
      const { clock, deps } = setUp([pending, failed(0)]);
      const over = vi.fn();
      const result = claimSession(deps).finally(over);
      await clock.advance(599_000);
      expect(over).not.toHaveBeenCalled();
      await clock.advance(2_000);
      expect(await result).toEqual({ kind: 'gave_up', elapsedMs: 600_000 });
    });

    test('pauses when held claims are answered at once without a session', async () => {
      const { clock, nonces, deps } = setUp([pending]);
      const result = claimSession(deps);
      await clock.advance(10_000);
      expect(nonces.length).toBeLessThan(30);
      await clock.advance(600_000);
      expect(nonces.length).toBeLessThan(1_300);
      void result;
    });

    test('exits when its machine was given up', async () => {
      const { deps } = setUp([pending, failed(409, 'claim_refused')]);
      expect(await claimSession(deps)).toMatchObject({ kind: 'refused' });
    });
  });
});
