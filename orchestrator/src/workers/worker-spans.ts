import type { WorkerClaims } from '@greenroom/shared/protocol/tokens.ts';
import type { WorkerSpan, WorkerTraces } from '@greenroom/shared/protocol/worker-traces.ts';
import { isLogField } from '@greenroom/shared/runtime/log-fields.ts';
import type { LogFields } from '@greenroom/shared/runtime/logger.ts';
import type { FinishedSpan, SpanKind } from '../tracing/recorder.ts';

/**
 * Turns a worker's report of spans into spans.
 *
 * The worker's machine is not trusted: whose spans these are comes from its token, only fields of the log are kept, and the
 * resource that the report names is not read.
 */
const kinds: Record<number, SpanKind> = { 2: 'server', 3: 'client' };
const isError = 2;
const prefix = 'greenroom.';

const fieldsOf = ({ attributes }: WorkerSpan): LogFields =>
  Object.fromEntries(
    attributes.flatMap(({ key, value }) => {
      const name = key.startsWith(prefix) ? key.slice(prefix.length) : '';
      if (!isLogField(name)) return [];
      const number = value.intValue === undefined ? value.doubleValue : Number(value.intValue);
      return [[name, value.stringValue ?? number ?? value.boolValue]];
    }),
  );

const millisOf = (nanos: string | number): number => Number(BigInt(nanos) / 1_000n) / 1_000;

export function spansOf(report: WorkerTraces, worker: Omit<WorkerClaims, 'role'>): FinishedSpan[] {
  const { session_id, tenant_id, machine_id, epoch } = worker;
  return report.resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
    .map((span) => ({
      context: { traceId: span.traceId, spanId: span.spanId, sampled: true },
      parentSpanId: span.parentSpanId,
      name: span.name,
      kind: kinds[span.kind] ?? 'internal',
      startMs: millisOf(span.startTimeUnixNano),
      endMs: millisOf(span.endTimeUnixNano),
      fields: { ...fieldsOf(span), session_id, tenant_id, machine_id, epoch },
      failure: span.status.code === isError ? (span.status.message ?? 'failed') : undefined,
      ...{ links: [], service: 'worker' as const },
    }));
}
