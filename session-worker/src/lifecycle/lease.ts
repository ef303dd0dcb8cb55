import type { Directive, VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Answer, HeartbeatResponse } from '../outside/orchestrator.ts';

/**
 * Sends heartbeats, which renew the lease and bring directives back.
 *
 * - A failed heartbeat has no consequence by itself. The worker ends itself only `leaseLostMs` after the
 *   lease has expired, so a control plane that is away for a shorter time ends no interview.
 * - `fenced` (another machine serves the session) is final, whether it arrives as a directive or as a
 *   refusal.
 * - A worker token that expired while the control plane was away is renewed by claiming again with the same
 *   nonce.
 */
export interface LeaseDeps {
  clock: Clock;
  log: Logger;
  heartbeatMs: number;
  leaseMs: number;
  leaseLostMs: number;
  beat(timeoutMs: number): Promise<Answer<HeartbeatResponse>>;
  /** Claims again for a new worker token. Never throws and always resolves. */
  reclaim(): Promise<'renewed' | 'refused' | 'unreachable'>;
  onDirective(directive: Directive): void;
  onToken(token: { token: string; expires_at: number }): void;
  onVideo(offer: VideoOffer): void;
  /** The lease expired `leaseLostMs` ago. */
  onLost(): void;
}

export interface Lease {
  start(): void;
  /**
   * Sends a heartbeat at once, beside any that is under way. `unreachable` when no directive came within
   * `timeoutMs`.
   */
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
      log.warn({ elapsed_ms: leaseMs }, 'lease expired; the interview continues');
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
