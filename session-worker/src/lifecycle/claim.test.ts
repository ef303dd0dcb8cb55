import { createFakeClock, type FakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test, vi } from 'vitest';
import { type ClaimDeps, claimSession } from './claim.ts';
import type { Identity } from './identity.ts';

const log = silentLogger();
const failed = (status: number, code?: 'claim_refused' | 'fenced' | 'worker_identity_refused') =>
  ({ kind: 'failed', status, code, retryAfterMs: 0, problem: {} }) as const;

const identityOf = (give: () => Promise<string>, forget = () => false): Identity => Object.assign(give, { forget });

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
      identity: identityOf(async () => 't'),
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
    const identity = identityOf(async () => {
      if (left-- > 0) throw new Error('no socket');
      return 't';
    });
    const result = claimSession({ ...deps, identity });
    await clock.advance(5_000);
    expect(await result).toMatchObject({ kind: 'claimed' });
  });

  test('asks with a new identity token when one that was used before is refused, and gives up when the new one is', async () => {
    const { clock, nonces, deps } = setUp([failed(401, 'worker_identity_refused')]);
    const known = [true, false];
    const forget = vi.fn(() => known.shift() ?? false);
    const result = claimSession({ ...deps, identity: identityOf(async () => 't', forget) });
    await clock.advance(5_000);
    expect(await result).toEqual({ kind: 'refused', status: 401, code: 'worker_identity_refused' });
    expect(nonces).toHaveLength(2);
  });

  describe('of a hot worker', () => {
    const pending = { kind: 'ok', value: { hold_ms: 10_000 } } as const;
    const claimed = { kind: 'ok', value: {} as never } as const;

    /** Each held claim is answered `tookMs` after it was sent, the last answer is a session. */
    const holding = (clock: FakeClock, tookMs: number[]) => {
      const holds: number[] = [];
      const claim = async (_token: string, _nonce: string, holdMs: number) => {
        holds.push(holdMs);
        if (holdMs > 0) await clock.sleep(tookMs.shift() ?? 0);
        return tookMs.length > 0 || holds.length < 2 ? pending : claimed;
      };
      return { holds, orchestrator: { claim } };
    };

    test('claims again and again, each time held after the first, until it has a session', async () => {
      const { clock, deps } = setUp([]);
      const { holds, orchestrator } = holding(clock, [10_000, 10_001, 10_000]);
      const waiting = vi.fn();
      const result = claimSession({ ...deps, orchestrator, onWaiting: waiting });
      await clock.advance(30_001);
      expect(await result).toMatchObject({ kind: 'claimed' });
      expect(holds).toEqual([0, 10_000, 10_000, 10_000]);
      expect(waiting).toHaveBeenCalledOnce();
    });

    test('a held claim that is answered early is followed by one that is not held, and no socket breaks it off', async () => {
      const { clock, deps } = setUp([]);
      const asked: Array<{ holdMs: number; signal: AbortSignal | undefined }> = [];
      const answers = [pending, pending, claimed];
      const answered = Promise.withResolvers<void>();
      const orchestrator: ClaimDeps['orchestrator'] = {
        claim: async (_token, _nonce, holdMs, signal) => {
          asked.push({ holdMs, signal });
          if (asked.length === 3) await answered.promise;
          return answers[asked.length - 1] ?? failed(0);
        },
      };
      let hurry = () => {};
      const onWaiting = (claimNow: () => void) => {
        hurry = claimNow;
      };
      const result = claimSession({ ...deps, orchestrator, onWaiting });
      await vi.waitFor(() => expect(asked).toHaveLength(3));
      hurry();
      expect(asked.map(({ holdMs }) => holdMs)).toEqual([0, 10_000, 0]);
      expect(asked[2]?.signal?.aborted).toBe(false);
      answered.resolve();
      expect(await result).toMatchObject({ kind: 'claimed' });
      expect(asked).toHaveLength(3);
      expect(clock.pending).toBe(0);
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
