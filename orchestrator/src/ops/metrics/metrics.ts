import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { registerTotals } from './totals.ts';

/**
 * Every metric of an orchestrator. docs/metrics.md describes them, and a test compares the two.
 *
 * - Names follow Prometheus: base units, `_total` for counters.
 * - Every label has a bounded set of values. An id is never a label. The only label that names a customer is
 *   `tenant`, which is limited to the largest tenants (fleet-gauges.ts).
 * - Counters count what this process did; the sum over all orchestrators is the total. Gauges of the fleet come
 *   from the database, and only the orchestrator with the duty `housekeeping` has values for them.
 */
export type Metrics = ReturnType<typeof createMetrics>;

const requestBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const waitBuckets = [0.05, 0.25, 1, 2.5, 5, 10, 20, 30, 60, 120];

/** Gauges of prom-client whose names end in `_total`, which Prometheus reserves for counters. */
const misnamed = ['nodejs_active_resources_total', 'nodejs_active_handles_total', 'nodejs_active_requests_total'];

function makersOf(registry: Registry) {
  const registers = [registry];
  return {
    gauge: <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Gauge<L>({ name, help, labelNames, registers }),
    counter: <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter<L>({ name, help, labelNames, registers }),
    histogram: <L extends string = never>(
      name: string,
      help: string,
      labelNames: readonly L[] = [],
      buckets = requestBuckets,
    ) => new Histogram<L>({ name, help, labelNames, buckets, registers }),
  };
}
type Makers = ReturnType<typeof makersOf>;

const fleetGauges = ({ gauge }: Makers) => ({
  sessions: gauge('greenroom_sessions', 'Sessions that have not ended.', ['tenant', 'status', 'region']),
  queued: gauge('greenroom_sessions_queued', 'Sessions that wait for admission.', ['tenant']),
  replaced: gauge('greenroom_sessions_replaced', 'Live sessions that run on a replacement machine.'),
  present: gauge('greenroom_candidates_present', 'Candidates whose socket is open.'),
  due: gauge('greenroom_sessions_due', 'Scheduled sessions that begin within an hour.', ['region']),
  createsPerSecond: gauge('greenroom_fly_creates_per_second', "Machines per second that Fly's limit permits."),
  createBacklog: gauge('greenroom_fly_create_backlog_seconds', 'Time until the last waiting create may be sent.'),
  machines: gauge('greenroom_machines', 'Machines that are not destroyed.', ['state', 'region']),
  standby: gauge('greenroom_standby_machines', 'Standby machines of the current image.', ['state', 'region']),
  target: gauge('greenroom_standby_target', 'Standby machines that the planner wants.', ['region']),
  hot: gauge('greenroom_hot_machines', 'Hot machines of the current image.', ['state', 'region']),
  hotTarget: gauge('greenroom_hot_target', 'Hot machines that the planner wants.', ['region']),
  pending: gauge('greenroom_work_pending', 'Work that is owed and will be tried again.', ['kind']),
  dead: gauge('greenroom_work_dead', 'Work that was given up after its last attempt.', ['kind']),
  vacant: gauge('greenroom_duties_without_holder', 'Duties that no orchestrator holds.'),
  orchestrators: gauge('greenroom_orchestrators', 'Orchestrators seen in the last 30 seconds.'),
  unsaved: gauge('greenroom_transcript_entries_unsaved', 'Entries that workers have not stored yet.'),
  workerMemory: gauge('greenroom_worker_memory_max_bytes', 'Memory of the worker that uses the most.'),
  unwanted: gauge('greenroom_machines_unwanted', 'Machines that should be gone by now.'),
  readAt: gauge('greenroom_fleet_read_timestamp_seconds', 'When the gauges of the fleet were read.'),
});

const flyMetrics = ({ counter, gauge, histogram }: Makers) => ({
  refusals: counter('greenroom_region_refusals_total', 'Creates that Fly refused in a region, by reason.', [
    'region',
    'class',
  ]),
  regionClosed: gauge('greenroom_region_closed', '1 for a region that this orchestrator avoids after refusals.', [
    'region',
  ]),
  requests: counter('greenroom_fly_requests_total', "Requests to Fly's Machines API by class of answer.", [
    'action',
    'class',
  ]),
  seconds: histogram('greenroom_fly_request_duration_seconds', "Time until Fly's answer.", ['action']),
  limiterWait: histogram(
    'greenroom_fly_limiter_wait_seconds',
    "Time that a request waits for Fly's rate limit before it is sent.",
    ['action'],
    waitBuckets,
  ),
});

const reconcileMetrics = ({ counter, gauge, histogram }: Makers) => ({
  rounds: counter('greenroom_reconcile_rounds_total', 'Comparisons of one app with Fly, by result.', ['result']),
  seconds: histogram('greenroom_reconcile_duration_seconds', 'Duration of the comparison of one app.'),
  orphans: counter('greenroom_reconcile_orphans_total', 'Machines at Fly without a row that a round destroyed.'),
  brakeHolds: gauge('greenroom_brake_holds', '1 while the destruction brake admits no further end.'),
  brake: counter('greenroom_brake_refusals_total', 'How often the destruction brake refused to end machines.'),
});

const socketMetrics = ({ counter, gauge, histogram }: Makers) => ({
  answers: counter('greenroom_candidate_sockets_total', 'Sockets of candidates that the edge answered.', ['outcome']),
  waiting: gauge('greenroom_candidate_sockets_waiting', 'Sockets of candidates that wait at this orchestrator.'),
  seconds: histogram(
    'greenroom_candidate_socket_wait_seconds',
    'Time that a socket waited for its answer.',
    [],
    waitBuckets,
  ),
});

const workMetrics = ({ counter, gauge, histogram }: Makers) => ({
  sessionRequests: counter('greenroom_session_requests_total', 'Requests to create a session, by result.', ['result']),
  claims: counter('greenroom_claims_total', 'Claims of workers, by result.', ['result']),
  webhooks: counter('greenroom_webhook_attempts_total', 'Attempts to deliver a webhook, by outcome.', ['outcome']),
  evaluations: counter('greenroom_evaluation_attempts_total', 'Attempts to evaluate an interview, by outcome.', [
    'outcome',
  ]),
  provider: counter('greenroom_provider_requests_total', 'Requests to the voice provider, by class of answer.', [
    'action',
    'class',
  ]),
  database: counter('greenroom_database_requests_total', 'Requests to the database, by class of answer.', ['class']),
  http: histogram('greenroom_http_request_duration_seconds', 'Duration of HTTP requests.', [
    'method',
    'route',
    'status',
  ]),
  dutyHeld: gauge('greenroom_duty_held', '1 for each duty that this orchestrator holds.', ['duty']),
  build: gauge('greenroom_build_info', 'Always 1; the label names the version.', ['version']),
});

export function createMetrics(version: string) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  const totals = registerTotals(registry);
  const makers = makersOf(registry);
  const metrics = {
    registry,
    totals,
    fleet: fleetGauges(makers),
    fly: flyMetrics(makers),
    reconcile: reconcileMetrics(makers),
    sockets: socketMetrics(makers),
    ...workMetrics(makers),
  };
  metrics.build.set({ version }, 1);
  return metrics;
}
