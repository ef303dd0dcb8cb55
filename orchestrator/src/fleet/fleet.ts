import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Config } from '../config.ts';
import type { MachineStore } from '../database/machine-store.ts';
import { createRecordHold } from '../database/operator-store.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { FlyClient } from '../fly/client.ts';
import type { RegionHealth } from '../regions/health.ts';
import type { Job } from '../runtime/ticker.ts';
import type { Creations } from '../sessions/creations.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { HangUps } from '../voice/hang-up.ts';
import { createBrake } from './brake.ts';
import { createDuties, dutyNames } from './duties.ts';
import { createEndings } from './ending.ts';
import { createHotWorkers } from './hot-workers.ts';
import { createHousekeeping } from './housekeeping.ts';
import { createLeaseWatch, type LeaseWatch } from './lease-watch.ts';
import { type MachineTemplate, workerRuntime } from './machine-config.ts';
import { createPlanning } from './planning.ts';
import { createProvisioner } from './provisioner.ts';
import { createReaper } from './reaper.ts';
import { createReconciler, type RoundResult } from './reconciler.ts';
import { createUnreachable } from './unreachable.ts';

/** Is called with what happened, for the metrics. */
export interface FleetObserver {
  round: (result: RoundResult, tookMs: number) => void;
  /** A machine without a row was destroyed. */
  orphan: () => void;
  /** The brake refused to end machines. */
  brakeHeld: () => void;
}

/** Creates everything that gives machines to sessions and ends them. */
export interface FleetDeps {
  config: Config;
  database: Database;
  orchestratorId: string;
  machines: MachineStore;
  sessions: Pick<SessionStore, 'expire'>;
  fly: FlyClient;
  hangUps: HangUps;
  health: RegionHealth;
  clock: Clock;
  logger: Logger;
  observe: FleetObserver;
  creations: Creations;
  /** Called when a session's state has changed. */
  onChange: (sessionId: string) => void;
  tracing: Tracing;
}

const templateOf = ({ deploymentId, workerApiUrl, logLevel, fly, deadlines }: Config): MachineTemplate => ({
  deploymentId,
  guest: fly.guest,
  stopTimeoutMs: deadlines.stopTimeoutMs,
  env: {
    ...{ ORCHESTRATOR_URL: workerApiUrl, PORT: '8080', CLAIM_MS: String(deadlines.claimMs), LOG_LEVEL: logLevel },
    ...workerRuntime,
  },
});

/** Everything that ends machines. When a machine is gone, its open voice calls are hung up at once. */
function createLeaving(deps: FleetDeps, leases: LeaseWatch) {
  const { config, machines, fly, hangUps, clock, logger, observe, onChange } = deps;
  const { absenceGraceMs, stopTimeoutMs, reconcileTickMs, ...deadlines } = config.deadlines;
  const onGone = (sessionId: string | undefined): void => {
    if (sessionId !== undefined) onChange(sessionId);
    void hangUps.run().catch((error: unknown) => logger.warn({ error }, 'could not hang up calls; will retry'));
  };
  const brake = createBrake({ clock, windowMs: reconcileTickMs, logger, onHeld: observe.brakeHeld });
  const endings = createEndings({
    ...{ machines, fly, brake, clock, logger, absenceGraceMs, onGone },
    watchMs: stopTimeoutMs,
  });
  const reaper = createReaper({
    ...{ machines, fly, logger, absenceGraceMs, onGone },
    onOrphan: observe.orphan,
    onAbsent: (machine, { reason }) => endings.confirm(machine, reason),
  });
  const unreachable = createUnreachable({ machines, endings, brake, leases, deadlines, logger, onChange });
  return { brake, endings, reaper, unreachable };
}

export function createFleet(deps: FleetDeps) {
  const { config, machines, sessions, fly, hangUps, clock, logger, observe, onChange } = deps;
  const { deploymentId, deadlines } = config;
  const recordHold = createRecordHold(deps.database, deps.orchestratorId);
  const leases = createLeaseWatch({ clock, leaseMs: deadlines.leaseMs });
  const { brake, endings, reaper, unreachable } = createLeaving(deps, leases);
  const provisioner = createProvisioner({
    ...{ machines, fly, endings, clock, logger, onChange, tracing: deps.tracing },
    template: templateOf(config),
  });
  const hotWorkers = createHotWorkers({ ...deps, endings, deadlines });
  const planning = createPlanning({ ...deps, endings, hotWorkers, provisioner: () => provisioner });
  const duties = createDuties({ store: machines, names: dutyNames, leaseMs: deadlines.dutyLeaseMs, clock, logger });
  const reconciler = createReconciler({
    ...{ machines, fly, reaper, duties, leases, brake, clock, deploymentId, deadlines, logger },
    onRound: observe.round,
    recordHold: (app, ends) => recordHold(app, ends, brake.ceiling),
  });
  const housekeeping = createHousekeeping({ duties, machines, sessions, hangUps, onChange });
  const renewDuties = () =>
    duties.renew().then(leases.able, (error: unknown) => {
      leases.unable();
      throw error;
    });
  const jobs: Job[] = [
    { name: 'duties', everyMs: deadlines.dutyRenewMs, run: renewDuties },
    { name: 'intents', everyMs: deadlines.intentScanMs, run: provisioner.scan },
    ...planning.jobs,
    { name: 'hot-assigned', everyMs: deadlines.readinessPollMs, run: hotWorkers.look },
    { name: 'hot-late', everyMs: deadlines.poolTickMs, run: hotWorkers.replaceLate },
    // Runs more often than the tick, so that a duty just taken is done at once; each duty is done once a tick.
    { name: 'reconcile', everyMs: deadlines.dutyRenewMs, run: reconciler.tick },
    { name: 'housekeeping', everyMs: deadlines.reconcileTickMs, run: housekeeping.run },
  ];
  return { brake, endings, unreachable, provisioner, planning, hotWorkers, leases, duties, reconciler, jobs };
}
