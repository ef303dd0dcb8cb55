import type { ClaimPending, ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { mayWorkLater, type Orchestrator } from '../outside/orchestrator.ts';
import type { Identity } from './identity.ts';

/**
 * The claim: this boot asks for the session of its machine.
 *
 * - Every try of one boot carries the same nonce. A claim whose answer was lost is therefore answered again,
 *   and a second boot is refused.
 * - A refusal is final: another machine serves the session, or it is over. The process exits at once without
 *   writing anything.
 * - Without an answer within `claimMs` the process exits.
 * - A hot machine has no session yet. Its worker claims again and lets the orchestrator hold the claim until there is
 *   one (docs/adr/0017). `hurry` ends the wait: the worker claims at once. Without an answer within `waitMs` the process
 *   exits.
 * - A held claim that is answered before its time is over says that there may be a session. The next claim is not held, and
 *   `hurry` does not break it off: its answer is on the way.
 */
export type ClaimResult =
  | { kind: 'claimed'; claim: ClaimResponse }
  | { kind: 'refused'; status: number; code: string }
  | { kind: 'gave_up'; elapsedMs: number };

export interface ClaimDeps {
  clock: Clock;
  log: Logger;
  identity: Identity;
  orchestrator: Pick<Orchestrator, 'claim'>;
  bootNonce: string;
  /** How long to try, ms. */
  claimMs: number;
  /** How long a hot worker goes on trying without an answer, ms. */
  waitMs: number;
  /** Called once when the first claim is under way: time for work that is needed later. @default none */
  onAsked?: () => void;
  /** Called once when the worker begins to wait for a session. @default none */
  onWaiting?: (hurry: () => void) => void;
  random?: () => number;
}

type Try = ClaimResult | { kind: 'again'; status: number } | { kind: 'pending'; pending: ClaimPending };

/** A held claim that is answered sooner found no session: from the third in a row on, the worker pauses. */
const earlyMs = 100;
const pauseMs = 500;

export async function claimSession(deps: ClaimDeps): Promise<ClaimResult> {
  const { clock, log, random = Math.random, onWaiting = () => undefined } = deps;
  const limit = createLimit(clock, deps.claimMs);
  let holdMs = 0;
  let failures = 0;
  let early = 0;
  let wasTold = false;
  let held: AbortController | undefined;
  let hurried = false;
  let asked = false;
  const onAsked = () => {
    if (!asked) deps.onAsked?.();
    asked = true;
  };
  const hurry = () => {
    hurried = held !== undefined;
    held?.abort();
  };

  const attempt = async (): Promise<Try> => {
    const wait = new AbortController();
    const mayHold = !hurried && !wasTold && holdMs > 0;
    const startedMs = clock.monotonicMs();
    hurried = false;
    held = mayHold ? wait : undefined;
    try {
      const result = await tryOnce(
        { ...deps, onAsked },
        mayHold ? holdMs : 0,
        AbortSignal.any([limit.signal, wait.signal]),
      );
      wasTold = mayHold && result.kind === 'pending' && clock.monotonicMs() - startedMs < holdMs;
      return result;
    } finally {
      held = undefined;
    }
  };

  const wait = async (pending: ClaimPending, tookMs: number): Promise<void> => {
    if (holdMs === 0) onWaiting(hurry);
    holdMs = pending.hold_ms;
    limit.restart(deps.waitMs);
    early = tookMs < earlyMs ? early + 1 : 0;
    if (early > 2) await clock.sleep(pauseMs, limit.signal).catch(() => undefined);
  };

  try {
    while (!limit.signal.aborted) {
      const startedMs = clock.monotonicMs();
      const result = await attempt();
      if (result.kind === 'pending') {
        failures = 0;
        await wait(result.pending, clock.monotonicMs() - startedMs);
      } else if (result.kind !== 'again') return result;
      else if (!hurried) {
        const delayMs = 50 + backoffMs(failures, { baseMs: 100, maxMs: 2_000, random });
        failures += 1;
        log.warn({ attempt: failures, delay_ms: delayMs, status_code: result.status }, 'claim got no answer');
        await clock.sleep(delayMs, limit.signal).catch(() => undefined);
      }
    }
    return { kind: 'gave_up', elapsedMs: holdMs === 0 ? deps.claimMs : deps.waitMs };
  } finally {
    limit.cancel();
  }
}

function createLimit(clock: Clock, limitMs: number) {
  const over = new AbortController();
  const set = (ms: number) => clock.setTimer(() => over.abort(new Error('not claimed in time')), ms);
  let timer = set(limitMs);
  return {
    signal: over.signal,
    restart: (ms: number): void => {
      timer.cancel();
      timer = set(ms);
    },
    cancel: (): void => timer.cancel(),
  };
}

async function tryOnce(
  { identity, orchestrator, bootNonce, log, onAsked }: ClaimDeps & { onAsked: () => void },
  holdMs: number,
  signal: AbortSignal,
): Promise<Try> {
  let token: string;
  try {
    token = await identity(signal);
  } catch (error) {
    log.warn({ error }, 'no identity token yet');
    return { kind: 'again', status: 0 };
  }
  const asking = orchestrator.claim(token, bootNonce, holdMs, signal);
  onAsked();
  const answer = await asking;
  if (answer.kind === 'ok')
    return 'hold_ms' in answer.value
      ? { kind: 'pending', pending: answer.value }
      : { kind: 'claimed', claim: answer.value };
  if (mayWorkLater(answer)) return { kind: 'again', status: answer.status };
  // A token that was accepted before may have expired: this VM was suspended, or its clock differs.
  if (answer.code === 'worker_identity_refused' && identity.forget()) return { kind: 'again', status: answer.status };
  return { kind: 'refused', status: answer.status, code: answer.code ?? 'unknown' };
}
