import type { Directive, VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Answer, HeartbeatResponse } from '../outside/orchestrator.ts';

/**
 * The lease: heartbeats out, directives in.
 *
 * L1  A heartbeat that fails means nothing by itself. A live interview never ends because the control plane is away:
 *     only `leaseLostMs` after the lease has lapsed does the worker end itself.
 * L2  `fenced` (another machine serves the session) is final, whether it comes as a directive or as a refusal.
 * L3  A worker token that expired while the control plane was away is replaced by claiming again with the same nonce.
 */
export interface LeaseDeps {
  clock: Clock;
  log: Logger;
  heartbeatMs: number;
  leaseMs: number;
  leaseLostMs: number;
  beat(timeoutMs: number): Promise<Answer<HeartbeatResponse>>;
  /** L3. True when there is a new token, false when it was refused; throws or hangs never. */
  reclaim(): Promise<'renewed' | 'refused' | 'unreachable'>;
  onDirective(directive: Directive): void;
  onToken(token: { token: string; expires_at: number }): void;
  onVideo(offer: VideoOffer): void;
  /** L1: the lease has been gone for `leaseLostMs`. */
  onLost(): void;
}

export interface Lease {
  start(): void;
  /** Asks at once, whatever is under way. `unreachable` when no directive came within `timeoutMs`. */
  ask(timeoutMs: number): Promise<Directive | 'unreachable'>;
  stop(): void;
}

export function createLease(deps: LeaseDeps): Lease {
  const { clock, log, heartbeatMs } = deps;
  let leaseMs = deps.leaseMs;
  let next: Timer | undefined;
  let lapse: Timer | undefined;
  let stopped = false;

  const renewed = () => {
    lapse?.cancel();
    if (stopped) return;
    lapse = clock.setTimer(() => {
      log.warn({ elapsed_ms: leaseMs }, 'lease lapsed; the interview goes on');
      lapse = clock.setTimer(deps.onLost, deps.leaseLostMs);
    }, leaseMs);
  };

  const ask = async (timeoutMs: number): Promise<Directive | 'unreachable'> => {
    const answer = await deps.beat(timeoutMs);
    if (answer.kind === 'ok') {
      leaseMs = answer.value.lease_ms;
      renewed();
      if (answer.value.worker_token) deps.onToken(answer.value.worker_token);
      if (answer.value.video) deps.onVideo(answer.value.video);
      return answer.value.directive;
    }
    log.warn({ status_code: answer.status, code: answer.code }, 'heartbeat failed');
    if (answer.status === 409 || answer.code === 'fenced') return { kind: 'fenced' };
    if (answer.status !== 401) return 'unreachable';
    return (await deps.reclaim()) === 'refused' ? { kind: 'fenced' } : 'unreachable';
  };

  const beat = async () => {
    const directive = await ask(heartbeatMs);
    if (stopped) return;
    next = clock.setTimer(beat, heartbeatMs);
    if (directive !== 'unreachable' && directive.kind !== 'continue') deps.onDirective(directive);
  };

  return {
    ask,
    start: () => {
      renewed();
      next = clock.setTimer(beat, heartbeatMs);
    },
    stop: () => {
      stopped = true;
      next?.cancel();
      lapse?.cancel();
    },
  };
}
