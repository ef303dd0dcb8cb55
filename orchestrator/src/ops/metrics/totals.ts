import type { Metric, Registry } from 'prom-client';
import type { FleetTotals } from '../../database/gauge-store.ts';

/**
 * Counters and histograms of the whole deployment whose values are kept in the database (schemas/fleet/tallies.sql), so
 * they survive every process. The orchestrator with the duty `housekeeping` exports them.
 */
interface Total {
  type: 'counter' | 'histogram';
  /** Name in the database. The metric is named after it. */
  from: string;
  help: string;
  labels: readonly string[];
  /** One series per tenant. @default false */
  tenant?: boolean;
}

const counter = (from: string, help: string, labels: readonly string[] = [], tenant = false): Total => ({
  ...{ type: 'counter', from, help, tenant },
  labels: tenant ? ['tenant', ...labels] : labels,
});
const histogram = (from: string, help: string, labels: readonly string[] = []): Total => ({
  ...{ type: 'histogram', from, help, labels },
});

const totals: Total[] = [
  histogram('session_ready_seconds', 'Time from when a session is due until its worker is ready.', ['path', 'region']),
  histogram('start_phase_seconds', 'Phases of the time until a worker is ready.', ['phase', 'path', 'region']),
  histogram('candidate_wait_seconds', 'Time from ready until the candidate connects.'),
  histogram('call_setup_seconds', 'Time until the voice provider has answered a call.', ['provider']),
  histogram('session_duration_seconds', 'Duration of interviews, from the first call to the end.'),
  histogram('transcript_entries_per_session', 'Transcript entries of ended interviews.'),
  histogram('result_seconds', 'Time from the end of an interview to its result, at the first attempt.'),
  histogram('failover_seconds', 'Time from the last sign of life of a lost machine to the claim of its replacement.'),
  counter('sessions_ended', 'Sessions that ended.', ['outcome', 'reason', 'region']),
  counter('machines_ended', 'Machines that were destroyed.', ['reason', 'region']),
  counter('orphan_seconds', 'Time that machines existed for longer than 10 s after their hard deadline.'),
  counter('failovers', 'Live sessions that got another machine, by the reason of the lost one.', ['reason']),
  counter('transcript_entries_lost', 'Entries that a worker acknowledged and that are not stored.'),
  counter('pool_starts', 'Starts where the tenant has a pool: it had a machine (hit) or not (miss).', [
    'region',
    'result',
  ]),
  counter('candidate_socket_closes', 'Sockets of candidates that closed, by close code.', ['code']),
  counter('candidate_socket_seconds', 'Time that sockets of candidates were open.'),
  counter('candidate_network_reports', 'Reports of browsers about their connection, by quality.', ['quality']),
  counter('candidate_problems', 'Reports of browsers while the page showed a problem.', ['problem']),
  counter('transcript_entries', 'Transcript entries that workers stored.', ['speaker']),
  counter('transcript_storing_seconds', 'Time that entries waited to be stored, added up.'),
  counter('call_replacements', 'Calls after the first one of a worker, by reason.', ['reason']),
  counter('call_failures', 'Calls that could not be opened, by error code.', ['code']),
  counter('results', 'Evaluations that ended.', ['status']),
  counter('worker', 'What workers counted, by kind.', ['kind']),
  counter('cost_usd', "Cost of machines at Fly's list prices, US dollars.", ['kind', 'region']),
  counter('tenant_sessions_ended', 'Sessions that ended, of the 50 largest tenants.', ['outcome'], true),
  counter('tenant_interview_seconds', 'Duration of interviews, of the 50 largest tenants.', [], true),
  counter('tenant_transcript_entries', 'Transcript entries, of the 50 largest tenants.', [], true),
  counter('tenant_cost_usd', 'Cost of machines, of the 50 largest tenants, US dollars.', [], true),
];

interface Value {
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

function histogramValues(name: string, bounds: number[], rows: FleetTotals['totals']): Value[] {
  const series = Map.groupBy(rows, ({ labels }) => JSON.stringify(Object.entries(labels).toSorted()));
  return [...series.values()].flatMap((buckets) => {
    const labels = buckets[0]?.labels ?? {};
    const upTo = (index: number) =>
      buckets.filter(({ bucket }) => bucket <= index).reduce((sum, { count }) => sum + count, 0);
    const all = upTo(bounds.length);
    return [
      ...bounds.map((le, index) => ({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: upTo(index) })),
      { metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: all },
      { metricName: `${name}_sum`, labels, value: buckets.reduce((sum, row) => sum + row.sum, 0) },
      { metricName: `${name}_count`, labels, value: all },
    ];
  });
}

export interface TotalsOfFleet {
  /** Replaces all values. Undefined: another orchestrator exports them. */
  set(read: FleetTotals | undefined): void;
}

/** Registers the totals. They have no series until `set`. */
export function registerTotals(registry: Registry): TotalsOfFleet {
  let current: FleetTotals | undefined;
  const valuesOf = ({ from, type }: Total, name: string): Value[] => {
    const rows = current?.totals.filter((row) => row.name === from) ?? [];
    if (type === 'histogram') return histogramValues(name, current?.bounds[from] ?? [], rows);
    return rows.map(({ labels, tenant, sum }) => ({
      labels: tenant === null ? labels : { tenant, ...labels },
      value: sum,
    }));
  };
  for (const total of totals) {
    const { type, from, help, labels: labelNames } = total;
    const name = `greenroom_${from}${type === 'counter' ? '_total' : ''}`;
    const metric = {
      ...{ name, help, labelNames, aggregator: 'sum', reset: () => undefined },
      get: async () => ({ name, help, type, aggregator: 'sum', values: valuesOf(total, name) }),
    };
    registry.registerMetric(metric as unknown as Metric<string>);
  }
  return {
    set: (read) => {
      current = read;
    },
  };
}
