/**
 * What each board for Grafana shows. A graph has one question as its title and one query per line of the answer.
 *
 * - Counters are summed over orchestrators, because the holder of the duty `housekeeping` changes (docs/metrics.md).
 * - `$tenant` is the tenant that is chosen at the top of the board; only boards with `tenant` have it.
 */
export interface Query {
  expr: string;
  /** Names the lines, e.g. `{{region}}`. */
  legend: string;
}

/** Units by Grafana's names. */
type Unit = 's' | 'short' | 'percentunit' | 'reqps' | 'bytes' | 'currencyUSD';

export interface Panel {
  title: string;
  unit: Unit;
  /** `number`: the newest value only. */
  kind: 'graph' | 'number';
  queries: Query[];
}

export interface Board {
  /** Name of its file, and its id in Grafana. */
  name: string;
  title: string;
  /** Whether a tenant is chosen at the top. */
  tenant?: true;
  panels: Panel[];
}

const graph = (title: string, unit: Unit, ...queries: Array<[expr: string, legend: string]>): Panel => ({
  ...{ title, unit, kind: 'graph' },
  queries: queries.map(([expr, legend]) => ({ expr, legend })),
});
const number = (title: string, unit: Unit, expr: string): Panel => ({
  ...{ title, unit, kind: 'number' },
  queries: [{ expr, legend: title }],
});

const rate = (metric: string, by: string): string => `sum by (${by}) (rate(${metric}[$__rate_interval]))`;
/** Median, 95th and 99th percentile of a histogram. */
const percentiles = (histogram: string): Array<[string, string]> =>
  ['0.5', '0.95', '0.99'].map((quantile) => [
    `histogram_quantile(${quantile}, sum by (le) (rate(${histogram}_bucket[$__rate_interval])))`,
    `p${Number(quantile) * 100}`,
  ]);
const p95By = (histogram: string, by: string): [string, string] => [
  `histogram_quantile(0.95, sum by (le, ${by}) (rate(${histogram}_bucket[$__rate_interval])))`,
  `{{${by}}}`,
];

export const boards: Board[] = [
  {
    name: 'fleet',
    title: 'Greenroom: fleet',
    panels: [
      number('Live sessions', 'short', 'sum(greenroom_sessions)'),
      number('Waiting for admission', 'short', 'sum(greenroom_sessions_queued) or vector(0)'),
      number('Machines', 'short', 'sum(greenroom_machines)'),
      number('Unwanted machines', 'short', 'max(greenroom_machines_unwanted)'),
      graph('Sessions by status', 'short', ['sum by (status) (greenroom_sessions)', '{{status}}']),
      graph('Sessions by region', 'short', ['sum by (region) (greenroom_sessions)', '{{region}}']),
      graph('Machines by state', 'short', ['sum by (state) (greenroom_machines)', '{{state}}']),
      graph(
        'Pools',
        'short',
        ['sum by (state) (greenroom_standby_machines)', '{{state}}'],
        ['sum(greenroom_standby_target)', 'target'],
      ),
      graph('Ended sessions by outcome', 'reqps', [rate('greenroom_sessions_ended_total', 'outcome'), '{{outcome}}']),
      graph('Ended machines by reason', 'reqps', [rate('greenroom_machines_ended_total', 'reason'), '{{reason}}']),
      graph('Fail-overs by reason', 'reqps', [rate('greenroom_failovers_total', 'reason'), '{{reason}}']),
      graph(
        'Owed work',
        'short',
        ['sum by (kind) (greenroom_work_pending)', '{{kind}}'],
        ['sum by (kind) (greenroom_work_dead)', '{{kind}}, given up'],
      ),
    ],
  },
  {
    name: 'start-time',
    title: 'Greenroom: start time',
    panels: [
      graph('Time until a session is ready', 's', ...percentiles('greenroom_session_ready_seconds')),
      graph('By path, 95th percentile', 's', p95By('greenroom_session_ready_seconds', 'path')),
      graph('By region, 95th percentile', 's', p95By('greenroom_session_ready_seconds', 'region')),
      graph('By phase, 95th percentile', 's', p95By('greenroom_start_phase_seconds', 'phase')),
      graph('Starts by path', 'reqps', [rate('greenroom_session_ready_seconds_count', 'path'), '{{path}}']),
      graph('Requests to create a session', 'reqps', [
        rate('greenroom_session_requests_total', 'result'),
        '{{result}}',
      ]),
      graph('Claims of workers', 'reqps', [rate('greenroom_claims_total', 'result'), '{{result}}']),
      graph(
        'Slow and failed starts, share of all',
        'percentunit',
        ['greenroom:starts_slow:ratio_5m', 'slow'],
        ['greenroom:starts_failed:ratio_5m', 'failed'],
      ),
    ],
  },
  {
    name: 'fly',
    title: 'Greenroom: Fly',
    panels: [
      graph('Requests by action', 'reqps', [rate('greenroom_fly_requests_total', 'action'), '{{action}}']),
      graph('Answers by class', 'reqps', [rate('greenroom_fly_requests_total', 'class'), '{{class}}']),
      graph('Time until the answer, 95th percentile', 's', p95By('greenroom_fly_request_duration_seconds', 'action')),
      graph("Wait for Fly's rate limit, 95th percentile", 's', p95By('greenroom_fly_limiter_wait_seconds', 'action')),
      graph('Comparisons with Fly by result', 'reqps', [
        rate('greenroom_reconcile_rounds_total', 'result'),
        '{{result}}',
      ]),
      graph('Duration of a comparison', 's', ...percentiles('greenroom_reconcile_duration_seconds')),
      graph('The brake refused ends', 'reqps', [
        'sum(rate(greenroom_brake_refusals_total[$__rate_interval]))',
        'refused',
      ]),
      graph('Time that machines outlived their deadline', 's', [
        'sum(increase(greenroom_orphan_seconds_total[$__rate_interval]))',
        'seconds',
      ]),
    ],
  },
  {
    name: 'conversation-quality',
    title: 'Greenroom: conversation quality',
    panels: [
      graph('Time until a call is answered', 's', ...percentiles('greenroom_call_setup_seconds')),
      graph('Requests to the voice provider', 'reqps', [
        rate('greenroom_provider_requests_total', 'class'),
        '{{class}}',
      ]),
      graph('Wait of candidates at the edge', 's', ...percentiles('greenroom_candidate_socket_wait_seconds')),
      graph('Sockets by outcome', 'reqps', [rate('greenroom_candidate_sockets_total', 'outcome'), '{{outcome}}']),
      graph('What workers counted', 'reqps', [rate('greenroom_worker_total', 'kind'), '{{kind}}']),
      graph('Entries that wait to be stored', 'short', ['max(greenroom_transcript_entries_unsaved)', 'unsaved']),
      graph('Acknowledged entries that are missing', 'short', [
        'sum(increase(greenroom_transcript_entries_lost_total[$__rate_interval]))',
        'missing',
      ]),
      graph('Duration of interviews', 's', ...percentiles('greenroom_session_duration_seconds')),
      graph('Entries in an interview', 'short', ...percentiles('greenroom_transcript_entries_per_session')),
      graph('Time until the result', 's', ...percentiles('greenroom_result_seconds')),
      graph('Interruption by a fail-over', 's', ...percentiles('greenroom_failover_seconds')),
      graph('Evaluations by status', 'reqps', [rate('greenroom_results_total', 'status'), '{{status}}']),
    ],
  },
  {
    name: 'tenants',
    title: 'Greenroom: tenants',
    tenant: true,
    panels: [
      number('Live sessions', 'short', 'sum(greenroom_sessions{tenant=~"$tenant"}) or vector(0)'),
      number('Waiting for admission', 'short', 'sum(greenroom_sessions_queued{tenant=~"$tenant"}) or vector(0)'),
      graph('Live sessions by status', 'short', [
        'sum by (tenant, status) (greenroom_sessions{tenant=~"$tenant"})',
        '{{tenant}}, {{status}}',
      ]),
      graph('Ended interviews by outcome', 'reqps', [
        rate('greenroom_tenant_sessions_ended_total{tenant=~"$tenant"}', 'tenant, outcome'),
        '{{tenant}}, {{outcome}}',
      ]),
      graph('Interview time per second', 's', [
        rate('greenroom_tenant_interview_seconds_total{tenant=~"$tenant"}', 'tenant'),
        '{{tenant}}',
      ]),
      graph('Cost of machines, a day', 'currencyUSD', [
        `86400 * ${rate('greenroom_tenant_cost_usd_total{tenant=~"$tenant"}', 'tenant')}`,
        '{{tenant}}',
      ]),
    ],
  },
  {
    name: 'cost',
    title: 'Greenroom: cost',
    panels: [
      number('Cost of machines, last day', 'currencyUSD', 'sum(increase(greenroom_cost_usd_total[1d]))'),
      graph('Cost a day by kind', 'currencyUSD', [`86400 * ${rate('greenroom_cost_usd_total', 'kind')}`, '{{kind}}']),
      graph('Cost a day by region', 'currencyUSD', [
        `86400 * ${rate('greenroom_cost_usd_total', 'region')}`,
        '{{region}}',
      ]),
      graph('Cost a day of the largest tenants', 'currencyUSD', [
        `topk(10, 86400 * ${rate('greenroom_tenant_cost_usd_total', 'tenant')})`,
        '{{tenant}}',
      ]),
      graph('Cost of an ended session', 'currencyUSD', [
        'sum(rate(greenroom_cost_usd_total[1h])) / sum(rate(greenroom_sessions_ended_total[1h]))',
        'average',
      ]),
    ],
  },
  {
    name: 'orchestrators',
    title: 'Greenroom: orchestrators',
    panels: [
      number('Orchestrators', 'short', 'max(greenroom_orchestrators)'),
      number('Duties without holder', 'short', 'max(greenroom_duties_without_holder)'),
      number('Age of the figures of the fleet', 's', 'time() - max(greenroom_fleet_read_timestamp_seconds)'),
      graph('Versions', 'short', ['count by (version) (greenroom_build_info)', '{{version}}']),
      graph('Duties by holder', 'short', ['sum by (instance) (greenroom_duty_held)', '{{instance}}']),
      graph('HTTP requests by status', 'reqps', [
        rate('greenroom_http_request_duration_seconds_count', 'status'),
        '{{status}}',
      ]),
      graph('HTTP requests, 95th percentile by route', 's', p95By('greenroom_http_request_duration_seconds', 'route')),
      graph('Requests to the database', 'reqps', [rate('greenroom_database_requests_total', 'class'), '{{class}}']),
      graph('Deliveries of webhooks', 'reqps', [rate('greenroom_webhook_attempts_total', 'outcome'), '{{outcome}}']),
      graph('Attempts to evaluate', 'reqps', [rate('greenroom_evaluation_attempts_total', 'outcome'), '{{outcome}}']),
      graph('CPU', 'percentunit', [
        'sum by (instance) (rate(process_cpu_seconds_total{job="greenroom-orchestrator"}[$__rate_interval]))',
        '{{instance}}',
      ]),
      graph('Memory', 'bytes', ['process_resident_memory_bytes{job="greenroom-orchestrator"}', '{{instance}}']),
      graph('Delay of the event loop, 99th percentile', 's', [
        'nodejs_eventloop_lag_p99_seconds{job="greenroom-orchestrator"}',
        '{{instance}}',
      ]),
      graph('Memory of the largest worker', 'bytes', ['max(greenroom_worker_memory_max_bytes)', 'largest']),
    ],
  },
];
