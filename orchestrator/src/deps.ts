import { type Clock, systemClock } from '@greenroom/shared/runtime/clock.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import { createLogger, type Logger } from '@greenroom/shared/runtime/logger.ts';
import { claimedLifeMs } from '@greenroom/shared/session/deadlines.ts';
import { createDoor } from './access/door.ts';
import { createSignOn } from './access/operator-sign-on.ts';
import { createOperatorAccess } from './access/operators.ts';
import { addressKeyOf } from './access/remote-address.ts';
import { createEventFeed } from './api/event-feed.ts';
import { createIdempotency, idempotencyTimes } from './api/idempotency.ts';
import { createLinkLimits } from './api/link-limits.ts';
import { createRequestLog } from './api/request-log.ts';
import { websocketUrl } from './api/session-view.ts';
import { createTenantFeed } from './api/tenant-feed.ts';
import type { PastVersion } from './api/versions.ts';
import { type Config, organisationOf } from './config.ts';
import { createListAudit, createRecordAudit } from './database/audit-store.ts';
import { createCallStore } from './database/call-store.ts';
import { createConnection } from './database/connection.ts';
import { createReadGauges, createReadTotals } from './database/gauge-store.ts';
import { createIdempotencyStore } from './database/idempotency-store.ts';
import { createLimitStore } from './database/limit-store.ts';
import { createMachineStore } from './database/machine-store.ts';
import { createOperatorStore, createReadDrains } from './database/operator-store.ts';
import { createPhasesStore } from './database/phases-store.ts';
import { createRequestStore } from './database/request-store.ts';
import type { Intent } from './database/rows.ts';
import { createSessionStore } from './database/session-store.ts';
import { createSimulationStore } from './database/simulation-store.ts';
import { createEdge } from './edge/edge.ts';
import { createReadiness } from './edge/readiness.ts';
import { createSocketRoute } from './edge/socket-route.ts';
import { createFinishing } from './finishing/finishing.ts';
import { createFleet } from './fleet/fleet.ts';
import { launchParameters } from './fleet/launch-parameters.ts';
import { createFlyClient } from './fly/client.ts';
import { createLimitedClient } from './fly/limited-client.ts';
import { createGuard } from './net/guard.ts';
import type { Check } from './ops/health.ts';
import { createFleetGauges } from './ops/metrics/fleet-gauges.ts';
import { createMetricsListener } from './ops/metrics/listener.ts';
import {
  fleetObserver,
  measuredFly,
  measuredLimits,
  measuredMachines,
  measuredSessions,
  measuredVoice,
} from './ops/metrics/measured.ts';
import { createMetrics, type Metrics } from './ops/metrics/metrics.ts';
import { readOverview } from './ops/reading/documents.ts';
import { withSharedReads } from './ops/reading/shared-reads.ts';
import { createFleetFeed } from './ops/stream/fleet-feed.ts';
import { createRequestTracing } from './ops/tracing/requests.ts';
import {
  tracedDatabase,
  tracedFly,
  tracedGuard,
  tracedMachines,
  tracedSessions,
  tracedVideo,
  tracedVoice,
} from './ops/tracing/traced.ts';
import { createRetention } from './people/retention.ts';
import { createRegionHealth } from './regions/health.ts';
import { createTicker, type Job } from './runtime/ticker.ts';
import { createCreations } from './sessions/creations.ts';
import { createSimulations } from './simulations/simulations.ts';
import { createTenancy } from './tenants/tenancy.ts';
import { createBrowserTokens } from './tokens/browser-tokens.ts';
import { createDatabaseTokens } from './tokens/database-tokens.ts';
import { createKeyRing } from './tokens/keys.ts';
import { createVault } from './tokens/vault.ts';
import type { Recorder } from './tracing/recorder.ts';
import { createScopes } from './tracing/scopes.ts';
import { createTracing, type Tracing } from './tracing/tracing.ts';
import { createVideo } from './video/video.ts';
import { createHangUps } from './voice/hang-up.ts';
import { createVoiceProvider } from './voice/provider.ts';
import { createWebhooks } from './webhooks/webhooks.ts';
import { createHeartbeats } from './workers/heartbeats.ts';
import { createMachineIdentities } from './workers/machine-identity.ts';

/** The composition root. It creates every component once and connects them. */
export type Deps = Awaited<ReturnType<typeof createDeps>>;

export interface Outside {
  /** @default the system clock */
  clock?: Clock;
  /** @default JSON lines on standard output */
  logger?: Logger;
  /** Versions of the platform API before the newest, in the order of time. @default none: no version was replaced yet */
  pastVersions?: readonly PastVersion[];
}

const version = '0.1.0';
/** Time between two readings of the fleet's gauges, ms. */
const gaugesMs = 5_000;
/** The same without a listener: often enough that each time collects all tallies. */
const unreadMs = 60_000;

async function createTokens({ keys, publicUrl: issuer, deadlines }: Config, clock: Clock) {
  const [join, db] = await Promise.all([createKeyRing(keys.join), createKeyRing([keys.db])]);
  return {
    browserTokens: createBrowserTokens({ keys: join, issuer, clock, deadlines }),
    databaseTokens: createDatabaseTokens({ keys: db, issuer, clock, workerTokenMs: deadlines.workerTokenMs }),
    vault: createVault(keys.credentials, ...(keys.previousCredentials === null ? [] : [keys.previousCredentials])),
  };
}

/** Undefined if traces are not exported; then the libraries are not loaded. */
async function createRecorder(
  { tracing, deploymentId }: Config,
  orchestratorId: string,
  logger: Logger,
): Promise<Recorder | undefined> {
  if (tracing === null) return undefined;
  const library = await import('./tracing/open-telemetry.ts');
  return library.createRecorder({ ...tracing, version, deploymentId, orchestratorId, logger });
}

type OnAttempt = (intent: Intent) => void;

interface StoresOptions {
  orchestratorId: string;
  accessToken: () => Promise<string>;
  onAttempt: OnAttempt;
  metrics: Metrics;
  tracing: Tracing;
  clock: Clock;
}

function createStores(config: Config, options: StoresOptions) {
  const { orchestratorId, accessToken, onAttempt, metrics, tracing, clock } = options;
  const { supabase, deadlines } = config;
  const connection = createConnection({
    ...{ ...supabase, accessToken, requestMs: deadlines.databaseRequestMs },
    onAnswer: (status) => metrics.database.inc({ class: status === 0 ? 'none' : `${Math.floor(status / 100)}xx` }),
    observe: tracedDatabase(tracing),
  });
  const { leaseMs } = deadlines;
  const machines = createMachineStore(connection.database, {
    ...{ launch: launchParameters(config, orchestratorId), leaseMs, claimedLifeMs: claimedLifeMs(deadlines) },
    ...{ publicUrl: config.publicUrl, version, onAttempt },
  });
  return {
    connection,
    sessions: tracedSessions(measuredSessions(createSessionStore(connection.database), metrics), tracing),
    machines: tracedMachines(measuredMachines(machines, metrics), tracing, clock),
    calls: createCallStore(connection.database, config.voice.provider),
    audit: createRecordAudit(connection.database),
  };
}

/** Settings, keys, stores and clients, on which all other components depend. */
async function createGround(config: Config, { clock = systemClock, ...outside }: Outside, onAttempt: OnAttempt) {
  const scopes = createScopes();
  const logger =
    outside.logger ?? createLogger({ level: config.logLevel, component: 'orchestrator', context: scopes.fields });
  const { deadlines } = config;
  const orchestratorId = newId();
  const recorder = await createRecorder(config, orchestratorId, logger);
  const tracing = createTracing({ scopes, recorder, clock });
  const metrics = createMetrics(version);
  const tokens = await createTokens(config, clock);
  const stores = createStores(config, {
    ...{ orchestratorId, accessToken: tokens.databaseTokens.own, metrics, tracing, clock },
    onAttempt: (intent) => {
      if (intent.action === 'create') metrics.fly.limiterWait.observe({ action: 'create' }, intent.wait_ms / 1_000);
      onAttempt(intent);
    },
  });
  const { database } = stores.connection;
  const health = createRegionHealth(clock);
  const creations = createCreations(clock);
  const direct = createFlyClient({
    ...config.fly,
    requestMs: deadlines.flyRequestMs,
    logger,
    observe: tracedFly(tracing),
  });
  const fly = createLimitedClient(measuredFly(direct, metrics, clock), {
    ...{ health, clock, limits: measuredLimits(createLimitStore(database), metrics) },
    maxListWaitMs: deadlines.reconcileTickMs,
  });
  const provider = createVoiceProvider({ ...config.voice, clock, requestMs: deadlines.providerRequestMs, logger });
  const voice = tracedVoice(measuredVoice(provider, metrics), tracing);
  return {
    config,
    deadlines,
    clock,
    logger,
    metrics,
    orchestratorId,
    ...tokens,
    ...stores,
    database,
    health,
    creations,
    fly,
    voice,
    scopes,
    recorder,
    tracing,
    requestTracing: createRequestTracing(scopes, recorder),
  };
}
type Ground = Awaited<ReturnType<typeof createGround>>;

/** The components that wait for changes of sessions, and the function that notifies them. */
function createNews({ sessions, deadlines, scopes, logger, ...ground }: Ground) {
  // The feeds read for all who watch, again and again: not for the request that came first.
  const clock: Clock = {
    ...ground.clock,
    setTimer: (callback, delayMs) => ground.clock.setTimer(() => scopes.outside(callback), delayMs),
  };
  const readiness = createReadiness({ routes: sessions.routes, clock, pollMs: deadlines.readinessPollMs, logger });
  const feed = createEventFeed({ events: sessions.events, clock, pollMs: deadlines.eventsPollMs, logger });
  const tenantFeed = createTenantFeed({
    ...{ start: sessions.tenantEventsStart, events: sessions.tenantEvents },
    ...{ clock, pollMs: deadlines.eventsPollMs, logger },
  });
  const onChange = (sessionId: string): void => {
    readiness.notify(sessionId);
    feed.notify(sessionId);
  };
  return { readiness, feed, tenantFeed, onChange };
}

function createParts(ground: Ground) {
  const { config, deadlines, sessions, machines, audit, clock, logger, metrics, vault, tracing } = ground;
  const news = createNews(ground);
  const { onChange } = news;
  const door = createDoor({ ...ground, findKey: sessions.findKey, audit });
  const guard = createGuard({ allow: config.outboundAllow });
  const idempotency = createIdempotency({
    ...{ vault, clock, logger },
    store: createIdempotencyStore(ground.database, idempotencyTimes.holdMs),
  });
  const requests = createRequestStore(ground.database);
  const requestLog = createRequestLog({ record: requests.record, clock, logger });
  const tenancy = createTenancy(ground);
  const persons = createRetention(ground.database, logger);
  const outbox = createWebhooks({
    ...ground,
    guard: tracedGuard(guard, tracing),
    onOutcome: (outcome) => metrics.webhooks.inc({ outcome }),
  });
  const finishing = createFinishing({
    ...{ ...ground, onChange, providerAccess: tenancy.providerAccess },
    onOutcome: (outcome) => metrics.evaluations.inc({ outcome }),
  });
  const video = createVideo({ ...ground, onChange, observe: tracedVideo(tracing) });
  const { providerAccess } = tenancy;
  const hangUps = createHangUps({ ...ground, providerAccess, missingMs: deadlines.callMissingMs });
  const fleet = createFleet({ ...ground, hangUps, onChange, observe: fleetObserver(metrics) });
  const simulations = createSimulations({
    ...{ sessions, clock, logger, results: finishing.results, browserTokens: ground.browserTokens },
    store: createSimulationStore(ground.database),
    socketUrl: (sessionId) => websocketUrl(config.publicUrl, sessionId),
  });
  const { leases } = fleet;
  const heartbeats = createHeartbeats({ machines, clock, flushMs: deadlines.heartbeatFlushMs, leases });
  return {
    ...news,
    door,
    idempotency,
    requests,
    requestLog,
    guard,
    tenancy,
    persons,
    outbox,
    finishing,
    video,
    simulations,
    fleet,
    heartbeats,
  };
}
type Parts = ReturnType<typeof createParts>;

/** The route of the candidate's socket. */
function createSockets(
  { browserTokens, clock, logger, metrics, deadlines, tracing, creations }: Ground,
  { door, readiness, fleet }: Parts,
) {
  const { origins, noteRefusal } = door;
  const edge = createEdge({
    ...{ tokens: browserTokens, origins, arrivals: fleet.planning.arrivals, unreachable: fleet.unreachable },
    ...{ readiness, creations, clock, logger, deadlines, tracing },
  });
  const { sockets } = metrics;
  return createSocketRoute({
    ...{ edge, noteRefusal, clock, logger, tracing },
    onWait: () => {
      sockets.waiting.inc();
      return (outcome, tookMs) => {
        sockets.waiting.dec();
        sockets.answers.inc({ outcome });
        sockets.seconds.observe(tookMs / 1_000);
      };
    },
  });
}

/** The listener of `/metrics`, and the job that reads the gauges of the fleet for it. */
function createScraping({ config, database, metrics, clock, logger, health }: Ground, { fleet }: Parts) {
  const { duties, planning, brake } = fleet;
  const read = createReadGauges(database);
  const readTotals = createReadTotals(database);
  const { run, dropOutdated } = createFleetGauges({
    ...{ duties, read, readTotals, levels: planning.levels, metrics, clock },
  });
  const listener = createMetricsListener({
    ...{ metrics, logger },
    onScrape: () => {
      dropOutdated();
      metrics.fly.regionClosed.reset();
      for (const { region, closed } of health.snapshot()) metrics.fly.regionClosed.set({ region }, closed ? 1 : 0);
      metrics.reconcile.brakeHolds.set(brake.holds ? 1 : 0);
      metrics.dutyHeld.reset();
      for (const { name: duty } of [...duties.held('reconcile'), ...duties.held('housekeeping')])
        metrics.dutyHeld.set({ duty }, 1);
    },
  });
  // Without a listener nobody reads the figures, but the tallies must not pile up.
  const collect = async () => void (duties.held('housekeeping').length > 0 && (await readTotals()));
  const jobs: Job[] = [
    config.ops.port === null
      ? { name: 'fleet-totals', everyMs: unreadMs, run: collect }
      : { name: 'fleet-gauges', everyMs: gaugesMs, run },
  ];
  return { listener, jobs };
}

const jobsOf = ({ deadlines }: Ground, { fleet, finishing, video, ...parts }: Parts): Job[] => [
  ...fleet.jobs,
  { name: 'evaluations', everyMs: deadlines.finishingTickMs, run: finishing.worker.run },
  ...[
    ...[parts.door, parts.idempotency, parts.requestLog, parts.tenancy, parts.persons, parts.outbox],
    parts.simulations,
  ].flatMap((part) => part.jobs),
  ...(video ? [{ name: 'recordings', everyMs: deadlines.finishingTickMs, run: video.worker.run }] : []),
];

/** The dependencies of the platform API's routes. */
function platformApiOf(ground: Ground, parts: Parts, stopping: AbortSignal) {
  const { config, deadlines, sessions, orchestratorId, health, clock, fly, vault } = ground;
  const { door, guard, tenancy, persons, outbox, finishing, video, fleet, readiness, feed, tenantFeed } = parts;
  const { launcher, arrivals, pool, usage } = fleet.planning;
  const { defaultRegion, workerImage } = config.fly;
  const { simulated } = config.voice;
  const { publicUrl, transcriptUploadUrl } = config;
  return {
    ...{
      access: door.access,
      noteRefusal: door.noteRefusal,
      guard,
      vault,
      fly,
      feed,
      tenantFeed,
      readiness,
      creations: ground.creations,
      clock,
      stopping,
    },
    ...{ tenants: tenancy.tenants, onboarding: tenancy.onboarding },
    ...{ providerAccess: tenancy.providerAccess, voice: config.voice },
    ...{ simulations: parts.simulations },
    ...{ sessions, people: persons.people, webhooks: outbox.webhooks, results: finishing.results },
    ...{ launcher, arrivals, pool, usage, endings: fleet.endings },
    ...{ publicUrl, transcriptUploadUrl, relays: config.relays, recordings: video?.recordings ?? null },
    ...{ sessionExpiresMs: deadlines.sessionExpiresMs, stopTimeoutMs: deadlines.stopTimeoutMs },
    perMinute: config.access.perMinute.joinAddress,
    callerPerMinute: config.access.perMinute,
    listAudit: createListAudit(ground.database),
    requests: parts.requests,
    links: createLinkLimits({ limits: door.limits, clock }),
    addressKey: addressKeyOf(config.keys.credentials),
    create: {
      ...{ sessions, deadlines, orchestratorId, health, clock, defaultRegion, workerImage, simulated, vault },
      ...{ recordsVideo: video !== null, traceparent: ground.tracing.traceparent },
    },
  };
}

/** The dependencies of the worker API's routes. */
function workerApiOf(ground: Ground, { door, tenancy, video, fleet, heartbeats, readiness, onChange }: Parts) {
  const { config, deadlines, clock } = ground;
  const identities = createMachineIdentities({
    issuer: config.fly.oidcIssuer,
    audience: config.workerApiUrl,
    // A personal organisation has the slug `personal`, but its tokens and issuer have another name.
    org: organisationOf(config.fly.oidcIssuer),
    clock,
    requestMs: deadlines.flyRequestMs,
  });
  return {
    ...ground,
    ...{ identities, heartbeats, onChange, endings: fleet.endings, audit: door.auditRefusal },
    ...{ hotWorkers: fleet.hotWorkers, learnRoute: readiness.learn },
    ...{ providerAccess: tenancy.providerAccess, videoOffers: video?.offers ?? null },
  };
}

/** The dependencies of the operators' API. */
function operatorApiOf(
  ground: Ground,
  { door, fleet, onChange }: Parts,
  refreshDrains: () => Promise<void>,
  stopping: AbortSignal,
) {
  const { config, database, vault, clock, logger, fly, deadlines, audit } = ground;
  const { operators } = config.access;
  const { noteRefusal, limits } = door;
  const { deploymentId: deployment_id, publicUrl: public_url } = config;
  const store = createOperatorStore(database);
  const views = withSharedReads(store, clock);
  const rates = { guest: config.fly.guest };
  const feed = createFleetFeed({ store, readOverview: () => readOverview({ store: views, rates }), clock, logger });
  return {
    ...{ clock, audit, fly, onChange, refreshDrains, store: views, rates, feed, stopping },
    access: createOperatorAccess({
      ...{ operators, vault, limits, noteRefusal, clock },
      signOn: config.signOn && createSignOn(config.signOn, { clock }),
    }),
    phases: createPhasesStore(database),
    ...{ pool: fleet.planning.pool, endings: fleet.endings, stopTimeoutMs: deadlines.stopTimeoutMs },
    forecast: { buildMs: deadlines.standbyBuildMs },
    deployment: { deployment_id, public_url, version },
    dashboardDir: config.dashboardDir,
  };
}

export async function createDeps(config: Config, outside: Outside = {}) {
  // The stores report each new attempt, so that it is executed at once. The launcher that executes it depends on the
  // stores, so it is looked up later.
  const ground = await createGround(config, outside, (intent) => parts.fleet.planning.launcher.execute(intent));
  const parts = createParts(ground);
  const { machines, browserTokens, connection, fly, voice, clock, logger } = ground;
  const readDrains = createReadDrains(ground.database);
  const refreshDrains = async () => ground.health.drain(await readDrains());
  const stopping = new AbortController();
  const scraping = createScraping(ground, parts);
  const register = () => machines.register(config.publicUrl, version);
  const checks: Check[] = [
    { name: 'database', freshMs: 2_000, run: () => register().then(() => true) },
    { name: 'fly', freshMs: 15_000, run: fly.reachable },
  ];
  return {
    ...ground,
    ...parts,
    ...parts.fleet,
    webhookSender: parts.outbox.sender,
    sockets: createSockets(ground, parts),
    ticker: createTicker(
      [...jobsOf(ground, parts), ...scraping.jobs, { name: 'drains', everyMs: 2_000, run: refreshDrains }],
      { clock, logger },
    ),
    metricsListener: scraping.listener,
    own: [{ name: 'keys', isThere: () => browserTokens.keys.jwks.keys.length > 0 }],
    checks,
    api: { ...platformApiOf(ground, parts, stopping.signal), browserTokens },
    workerApi: workerApiOf(ground, parts),
    operatorApi: operatorApiOf(ground, parts, refreshDrains, stopping.signal),
    pastVersions: outside.pastVersions ?? [],
    isStopping: () => stopping.signal.aborted,
    beginStopping: () => stopping.abort(),
    closeConnections: async () => {
      await Promise.all([fly.close(), voice.close(), parts.video?.close(), connection.close()]);
    },
  };
}
