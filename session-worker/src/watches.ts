import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { ClaimResponse, Directive, HeartbeatRequest, VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import type { Ending } from './ending.ts';
import { createSessionDeadlines, type SessionDeadlines } from './lifecycle/deadlines.ts';
import { createLease, type Lease } from './lifecycle/lease.ts';
import { createSleepWatch, type SleepWatch } from './lifecycle/sleep-watch.ts';
import type { Orchestrator } from './outside/orchestrator.ts';

/**
 * The parts of a session that act because time passes: its deadlines, its lease, and the detection of a
 * suspended process.
 */
export interface Watches {
  timers: SessionDeadlines;
  /** Speaks in the call, but after a suspension only once the session is known to be still ours. */
  say: SleepWatch['say'];
  /** Asks the orchestrator for the directive at once. */
  ask(timeoutMs?: number): Promise<Directive | 'unreachable'>;
  start(): void;
  stop(): void;
}

export interface WatchesDeps {
  clock: Clock;
  /** This VM's own wall clock, which shows that it did not run for a while. */
  ownClock: Clock;
  log: Logger;
  claim: ClaimResponse;
  orchestrator: Pick<Orchestrator, 'heartbeat'>;
  reclaim: Parameters<typeof createLease>[0]['reclaim'];
  ending: Pick<Ending, 'obey' | 'conclude'>;
  heartbeat(): HeartbeatRequest;
  onToken(token: string): void;
  onVideo(offer: VideoOffer): void;
  send(message: ServerMessage): void;
  /** True while an offer is being handled. */
  isOpening(): boolean;
  /** The reason for ending a session whose time is up. */
  timeIsUp(): SessionReason;
}

/** How long to wait for a directive, ms: shorter than Fly waits after SIGTERM, longer than a slow answer. */
const directiveMs = 4_000;

export function createWatches(deps: WatchesDeps): Watches {
  const { clock, log, claim, orchestrator, ending } = deps;
  const { deadlines } = claim;
  const timers: SessionDeadlines = createSessionDeadlines({
    ...{ clock, deadlines, maxDurationMs: claim.session.max_duration_ms },
    onExpired: (reason) => {
      // An offer that came in time and is still being handled is not cut off.
      if (reason === 'call_not_established' && deps.isOpening()) return timers.awaitOffer();
      ending.conclude(reason === 'max_duration' ? deps.timeIsUp() : reason);
    },
    onWarning: (endsAt) => deps.send({ type: 'session_warning', code: 'time_limit', ends_at: endsAt }),
  });
  const lease: Lease = createLease({
    ...{ clock, log, reclaim: deps.reclaim, onDirective: ending.obey, onVideo: deps.onVideo },
    heartbeatMs: deadlines.heartbeatMs,
    leaseMs: deadlines.leaseMs,
    leaseLostMs: deadlines.leaseLostMs,
    beat: (timeoutMs) => orchestrator.heartbeat(deps.heartbeat(), timeoutMs),
    onToken: ({ token }) => deps.onToken(token),
    onLost: () => ending.conclude('worker_lost'),
  });
  const ask = (timeoutMs = directiveMs) => lease.ask(Math.min(timeoutMs, directiveMs));
  const awake = createSleepWatch({
    clock: deps.ownClock,
    ask: async (sleptMs) => {
      log.warn(
        { elapsed_ms: Math.round(sleptMs) },
        'this process was suspended; asking whether the session is still ours',
      );
      const directive = await ask();
      if (directive !== 'unreachable') ending.obey(directive);
    },
  });
  return {
    timers,
    say: awake.say,
    ask,
    start: () => {
      lease.start();
      awake.start();
    },
    stop: () => {
      timers.stop();
      lease.stop();
      awake.stop();
    },
  };
}
