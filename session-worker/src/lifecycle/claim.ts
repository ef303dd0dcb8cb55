import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { mayWorkLater, type Orchestrator } from '../outside/orchestrator.ts';
import type { Identity } from './identity.ts';

/**
 * The claim: this boot asks for the session that its machine was created for.
 *
 * - Every try of one boot carries the same nonce. A claim whose answer was lost is therefore answered again,
 *   and a second boot is refused.
 * - A refusal is final: another machine serves the session, or it is over. The process exits at once without
 *   writing anything.
 * - Without an answer within `claimMs` the process exits.
 */
export type ClaimResult =
  | { kind: 'claimed'; claim: ClaimResponse }
  | { kind: 'refused'; status: number; code: string }
  | { kind: 'gave_up' };

export interface ClaimDeps {
  clock: Clock;
  log: Logger;
  identity: Identity;
  orchestrator: Pick<Orchestrator, 'claim'>;
  bootNonce: string;
  /** How long to try, ms. */
  claimMs: number;
  random?: () => number;
}

export async function claimSession(deps: ClaimDeps): Promise<ClaimResult> {
  const { clock, log, claimMs, random = Math.random } = deps;
  const limit = new AbortController();
  const timer = clock.setTimer(() => limit.abort(new Error('not claimed in time')), claimMs);
  try {
    for (let attempt = 0; !limit.signal.aborted; attempt += 1) {
      const result = await tryOnce(deps, limit.signal);
      if (result.kind !== 'again') return result;
      const delayMs = 50 + backoffMs(attempt, { baseMs: 100, maxMs: 2_000, random });
      log.warn({ attempt: attempt + 1, delay_ms: delayMs, status_code: result.status }, 'claim got no answer');
      await clock.sleep(delayMs, limit.signal).catch(() => undefined);
    }
    return { kind: 'gave_up' };
  } finally {
    timer.cancel();
  }
}

async function tryOnce(
  { identity, orchestrator, bootNonce, log }: ClaimDeps,
  signal: AbortSignal,
): Promise<ClaimResult | { kind: 'again'; status: number }> {
  let token: string;
  try {
    token = await identity(signal);
  } catch (error) {
    log.warn({ error }, 'no identity token yet');
    return { kind: 'again', status: 0 };
  }
  const answer = await orchestrator.claim(token, bootNonce, signal);
  if (answer.kind === 'ok') return { kind: 'claimed', claim: answer.value };
  if (mayWorkLater(answer)) return { kind: 'again', status: answer.status };
  return { kind: 'refused', status: answer.status, code: answer.code ?? 'unknown' };
}
