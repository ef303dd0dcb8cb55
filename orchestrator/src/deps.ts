import { type Clock, systemClock } from '@greenroom/shared/runtime/clock.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import { createLogger, type Logger } from '@greenroom/shared/runtime/logger.ts';
import { hardDeadlineMs } from '@greenroom/shared/session/deadlines.ts';
import { createDoor } from './access/door.ts';
import { addressKeyOf } from './access/remote-address.ts';
import { createEventFeed } from './api/event-feed.ts';
import type { Config } from './config.ts';
import { createRecordAudit } from './database/audit-store.ts';
import { createCallStore } from './database/call-store.ts';
import { createConnection } from './database/connection.ts';
import { createLimitStore } from './database/limit-store.ts';
import { createMachineStore } from './database/machine-store.ts';
import type { Intent } from './database/rows.ts';
import { createSessionStore } from './database/session-store.ts';
import { createEdge } from './edge/edge.ts';
import { createReadiness } from './edge/readiness.ts';
import { createSocketRoute } from './edge/socket-route.ts';
import { createFinishing } from './finishing/finishing.ts';
import { createBrake } from './fleet/brake.ts';
import { createDuties, dutyNames } from './fleet/duties.ts';
import { createEndings } from './fleet/ending.ts';
import { createHousekeeping } from './fleet/housekeeping.ts';
import { createLeaseWatch } from './fleet/lease-watch.ts';
import { type MachineTemplate, workerRuntime } from './fleet/machine-config.ts';
import { createPlanning } from './fleet/planning.ts';
import { createProvisioner } from './fleet/provisioner.ts';
import { createReaper } from './fleet/reaper.ts';
import { createReconciler } from './fleet/reconciler.ts';
import { createUnreachable } from './fleet/unreachable.ts';
import { createFlyClient } from './fly/client.ts';
import { createLimitedClient } from './fly/limited-client.ts';
import { createGuard } from './net/guard.ts';
import type { Check } from './ops/health.ts';
import { createRetention } from './people/retention.ts';
import { createRegionHealth } from './regions/health.ts';
import { createTicker, type Job } from './runtime/ticker.ts';
import { createTenancy } from './tenants/tenancy.ts';
import { createBrowserTokens } from './tokens/browser-tokens.ts';
import { createDatabaseTokens } from './tokens/database-tokens.ts';
import { createKeyRing } from './tokens/keys.ts';
import { createVault } from './tokens/vault.ts';
import { createVideo } from './video/video.ts';
import { createHangUps } from './voice/hang-up.ts';
import { createVoiceProvider } from './voice/provider.ts';
import { createWebhooks } from './webhooks/webhooks.ts';
import { createHeartbeats } from './workers/heartbeats.ts';
import { createMachineIdentities } from './workers/machine-identity.ts';

/** The composition root: everything that is made once, made here, and nowhere else. */
export type Deps = Awaited<ReturnType<typeof createDeps>>;

export interface Outside {
  /** Default: the system's. */
  clock?: Clock;
  /** Default: JSON lines on standard output. */
  logger?: Logger;
}

const version = '0.1.0';

async function createTokens({ keys, publicUrl: issuer, deadlines }: Config, clock: Clock) {
  const [join, db] = await Promise.all([createKeyRing(keys.join), createKeyRing([keys.db])]);
  return {
    browserTokens: createBrowserTokens({ keys: join, issuer, clock, deadlines }),
    databaseTokens: createDatabaseTokens({ keys: db, issuer, clock, workerTokenMs: deadlines.workerTokenMs }),
    vault: createVault(keys.credentials, ...(keys.previousCredentials === null ? [] : [keys.previousCredentials])),
  };
}

interface StoresOptions {
  orchestratorId: string;
  accessToken: () => Promise<string>;
  onAttempt: (intent: Intent) => void;
}

function createStores(config: Config, { orchestratorId, accessToken, onAttempt }: StoresOptions) {
  const { supabase, deadlines } = config;
  const connection = createConnection({ ...supabase, accessToken, requestMs: deadlines.databaseRequestMs });
  const { intentTakenMs, leaseMs } = deadlines;
  const machineLifeMs = hardDeadlineMs(deadlines, 0);
  return {
    connection,
    sessions: createSessionStore(connection.database),
    machines: createMachineStore(connection.database, {
      ...{ orchestratorId, intentTakenMs, leaseMs, machineLifeMs, version, onAttempt },
      ...{ maxAttempts: config.maxAttempts, image: config.fly.workerImage, publicUrl: config.publicUrl },
    }),
    calls: createCallStore(connection.database),
    audit: createRecordAudit(connection.database),
  };
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

export async function createDeps(config: Config, outside: Outside = {}) {
  const clock = outside.clock ?? systemClock;
  const logger = outside.logger ?? createLogger({ level: config.logLevel, component: 'orchestrator' });
  const { deadlines } = config;
  const orchestratorId = newId();
  const tokens = await createTokens(config, clock);
  const stores = createStores(config, {
    orchestratorId,
    accessToken: tokens.databaseTokens.own,
    onAttempt: (intent) => planning.launcher.execute(intent),
  });
  const { sessions, machines, calls, audit, connection } = stores;
  const health = createRegionHealth(clock);
  const fly = createLimitedClient(createFlyClient({ ...config.fly, requestMs: deadlines.flyRequestMs, logger }), {
    ...{ health, clock, limits: createLimitStore(connection.database) },
    maxListWaitMs: deadlines.reconcileTickMs,
  });
  const voice = createVoiceProvider({ ...config.voice, clock, requestMs: deadlines.providerRequestMs, logger });

  const readiness = createReadiness({ routes: sessions.routes, clock, pollMs: deadlines.readinessPollMs, logger });
  const feed = createEventFeed({ events: sessions.events, clock, pollMs: deadlines.eventsPollMs, logger });
  const onChange = (sessionId: string): void => {
    readiness.notify(sessionId);
    feed.notify(sessionId);
  };
  const { database } = connection;
  const door = createDoor({ config, database, findKey: sessions.findKey, audit, clock, logger });
  const guard = createGuard({ allow: config.outboundAllow });
  const tenancy = createTenancy({ config, database, fly, vault: tokens.vault, clock, logger });
  const persons = createRetention(database, logger);
  const outbox = createWebhooks({ database, guard, vault: tokens.vault, clock, logger });
  const { providerKeys } = tenancy;
  const finishing = createFinishing({ config, database, orchestratorId, logger, onChange, providerKeys });
  const video = createVideo({ config, database, vault: tokens.vault, clock, logger, onChange });
  const hangUps = createHangUps({ calls, voice, vault: tokens.vault, missingMs: deadlines.callMissingMs, logger });
  const onGone = (sessionId: string | undefined): void => {
    if (sessionId !== undefined) onChange(sessionId);
    void hangUps.run().catch((error: unknown) => logger.warn({ error }, 'calls could not be hung up'));
  };

  const { absenceGraceMs, stopTimeoutMs } = deadlines;
  const brake = createBrake({ clock, windowMs: deadlines.reconcileTickMs, logger });
  const endings = createEndings({
    machines,
    fly,
    brake,
    clock,
    logger,
    absenceGraceMs,
    watchMs: stopTimeoutMs,
    onGone,
  });
  const template = templateOf(config);
  const provisioner = createProvisioner({ machines, fly, endings, template, clock, logger, onChange });
  const planning = createPlanning({
    ...{ config, database, orchestratorId, fly, endings, health, clock, logger, onChange },
    provisioner: () => provisioner,
  });
  const leases = createLeaseWatch({ clock, leaseMs: deadlines.leaseMs });
  const duties = createDuties({ store: machines, names: dutyNames, leaseMs: deadlines.dutyLeaseMs, clock, logger });
  const reaper = createReaper({
    ...{ machines, fly, logger, absenceGraceMs, onGone },
    onAbsent: (machine, { reason, sessionReason }) => endings.confirm(machine, reason, sessionReason),
  });
  const reconciler = createReconciler({
    ...{ machines, fly, reaper, duties, leases, brake, clock, deadlines, logger },
    deploymentId: config.deploymentId,
  });
  const housekeeping = createHousekeeping({ duties, machines, sessions, hangUps, onChange });
  const heartbeats = createHeartbeats({ machines, clock, flushMs: deadlines.heartbeatFlushMs, leases });
  const unreachable = createUnreachable({ machines, endings, brake, deadlines, logger, onChange });
  const { origins, noteRefusal } = door;
  const sockets = createSocketRoute({
    edge: createEdge({
      ...{ tokens: tokens.browserTokens, origins, arrivals: planning.arrivals },
      ...{ readiness, unreachable, clock, logger, deadlines },
    }),
    ...{ noteRefusal, clock, logger, replayTimeoutMs: deadlines.replayTimeoutMs },
  });
  const identities = createMachineIdentities({
    issuer: config.fly.oidcIssuer,
    audience: config.workerApiUrl,
    org: config.fly.org,
    clock,
    requestMs: deadlines.flyRequestMs,
  });

  const register = () => machines.register(config.publicUrl, version);
  const everyMs = deadlines.reconcileTickMs;
  const renewDuties = () =>
    duties.renew().then(leases.able, (error: unknown) => {
      leases.unable();
      throw error;
    });
  const jobs: Job[] = [
    { name: 'duties', everyMs: deadlines.dutyRenewMs, run: renewDuties },
    { name: 'intents', everyMs: deadlines.intentScanMs, run: provisioner.scan },
    ...planning.jobs,
    // Looks for due duties often, so that one just taken is begun at once; each is done once a tick.
    { name: 'reconcile', everyMs: deadlines.dutyRenewMs, run: reconciler.tick },
    { name: 'housekeeping', everyMs, run: housekeeping.run },
    { name: 'evaluations', everyMs: deadlines.finishingTickMs, run: finishing.worker.run },
    ...[door, tenancy, persons, outbox].flatMap((part) => part.jobs),
    ...(video ? [{ name: 'recordings', everyMs: deadlines.finishingTickMs, run: video.worker.run }] : []),
  ];
  const ticker = createTicker(jobs, { clock, logger });

  const stopping = new AbortController();
  const own = [{ name: 'keys', isThere: () => tokens.browserTokens.keys.jwks.keys.length > 0 }];
  const checks: Check[] = [
    { name: 'database', freshMs: 2_000, run: () => register().then(() => true) },
    { name: 'fly', freshMs: 15_000, run: fly.reachable },
  ];
  const { publicUrl } = config;
  const create = {
    ...{ sessions, deadlines, orchestratorId, health, clock },
    defaultRegion: config.fly.defaultRegion,
    workerImage: config.fly.workerImage,
    simulated: config.voice.simulated,
    recordsVideo: video !== null,
  };
  return {
    ...{ config, clock, logger, orchestratorId, ...tokens, ...stores, fly, voice, webhookSender: outbox.sender },
    ...{
      readiness,
      feed,
      endings,
      provisioner,
      heartbeats,
      sockets,
      duties,
      ticker,
      reconciler,
      own,
      checks,
      finishing,
      video,
      door,
      planning,
    },
    api: {
      ...{
        access: door.access,
        ...{ guard, vault: tokens.vault, people: persons.people, webhooks: outbox.webhooks },
        ...{ tenants: tenancy.tenants, onboarding: tenancy.onboarding, providerKeys: tenancy.providerKeys },
        noteRefusal: door.noteRefusal,
        perMinute: config.access.perMinute.joinAddress,
        addressKey: addressKeyOf(config.keys.credentials),
        sessionExpiresMs: deadlines.sessionExpiresMs,
        sessions,
        results: finishing.results,
        recordings: video?.recordings ?? null,
        create,
        readiness,
        stopping: stopping.signal,
        launcher: planning.launcher,
        arrivals: planning.arrivals,
        pool: planning.pool,
        usage: planning.usage,
        endings,
        fly,
        feed,
        clock,
        stopTimeoutMs,
        publicUrl,
        transcriptUploadUrl: config.transcriptUploadUrl,
      },
      browserTokens: tokens.browserTokens,
    },
    workerApi: {
      ...tokens,
      config,
      machines,
      calls,
      identities,
      heartbeats,
      videoOffers: video?.offers ?? null,
      endings,
      audit: door.auditRefusal,
      providerKeys: tenancy.providerKeys,
      templates: tenancy.templates,
      voice,
      clock,
      logger,
      onChange,
    },
    isStopping: () => stopping.signal.aborted,
    beginStopping: () => stopping.abort(),
    closeConnections: async () => {
      await Promise.all([fly.close(), voice.close(), video?.close(), connection.close()]);
    },
  };
}
