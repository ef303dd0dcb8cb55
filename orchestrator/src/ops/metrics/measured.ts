import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { LimitStore } from '../../database/limit-store.ts';
import type { MachineStore } from '../../database/machine-store.ts';
import type { SessionStore } from '../../database/session-store.ts';
import type { FleetObserver } from '../../fleet/fleet.ts';
import type { FlyClient } from '../../fly/client.ts';
import type { VoiceProvider } from '../../voice/provider.ts';
import type { Metrics } from './metrics.ts';

/** Wrappers that count what passes through a component. They change nothing about it. */

type Monotonic = Pick<Clock, 'monotonicMs'>;

/** Counts each request to Fly and its class, which is the `kind` of the classified answer. */
export function measuredFly(client: FlyClient, { fly }: Metrics, clock: Monotonic): FlyClient {
  const counted =
    <A extends unknown[], R extends { kind: string }>(action: string, request: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const startedMs = clock.monotonicMs();
      const outcome = await request(...args);
      fly.requests.inc({ action, class: outcome.kind });
      fly.seconds.observe({ action }, (clock.monotonicMs() - startedMs) / 1_000);
      return outcome;
    };
  const create = counted('create', client.create);
  return {
    ...client,
    create: async (app, body, signal) => {
      const outcome = await create(app, body, signal);
      if ((outcome.kind === 'noCapacity' || outcome.kind === 'quota') && 'region' in body)
        fly.refusals.inc({ region: String(body.region), class: outcome.kind });
      return outcome;
    },
    get: counted('get', client.get),
    list: counted('list', client.list),
    findByMetadata: counted('find', client.findByMetadata),
    stop: counted('stop', client.stop),
    start: counted('start', client.start),
    destroy: counted('destroy', client.destroy),
  };
}

/** Observes how long lists and look-ups wait for Fly's rate limit. Creates are observed with their intent (deps.ts). */
export const measuredLimits = (limits: LimitStore, { fly }: Metrics): LimitStore => ({
  ...limits,
  listSlot: async (app, urgent, maxWaitMs) => {
    const waitMs = await limits.listSlot(app, urgent, maxWaitMs);
    if (waitMs !== undefined) fly.limiterWait.observe({ action: urgent ? 'find' : 'list' }, waitMs / 1_000);
    return waitMs;
  },
});

export const measuredVoice = (voice: VoiceProvider, { provider }: Metrics): VoiceProvider => ({
  ...voice,
  mint: async (...args) => {
    const outcome = await voice.mint(...args);
    provider.inc({ action: 'mint', class: outcome.kind });
    return outcome;
  },
  hangUp: async (...args) => {
    const outcome = await voice.hangUp(...args);
    provider.inc({ action: 'hang_up', class: outcome.kind });
    return outcome;
  },
});

export const measuredSessions = (sessions: SessionStore, { sessionRequests }: Metrics): SessionStore => ({
  ...sessions,
  create: async (...args) => {
    const result = await sessions.create(...args);
    sessionRequests.inc({ result: result.kind });
    return result;
  },
});

export const measuredMachines = (machines: MachineStore, { claims }: Metrics): MachineStore => ({
  ...machines,
  claim: async (...args) => {
    const claimed = await machines.claim(...args);
    claims.inc({ result: claimed.kind });
    return claimed;
  },
});

export const fleetObserver = ({ reconcile }: Metrics): FleetObserver => ({
  round: (result, tookMs) => {
    reconcile.rounds.inc({ result });
    reconcile.seconds.observe(tookMs / 1_000);
  },
  orphan: () => reconcile.orphans.inc(),
  brakeHeld: () => reconcile.brake.inc(),
});
