import { isLogField } from '@greenroom/shared/runtime/log-fields.ts';
import type { LogFields, Logger } from '@greenroom/shared/runtime/logger.ts';
import type { TraceContext } from '@greenroom/shared/runtime/trace-context.ts';
import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { ExportResultCode, millisToHrTime } from '@opentelemetry/core';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { emptyResource } from '@opentelemetry/resources';
import { AlwaysOnSampler, BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Spans } from './spans.ts';

/**
 * OpenTelemetry's SDK with an exporter that speaks OTLP (JSON) to the orchestrator. A file of its own in the image, loaded only
 * by workers whose session is traced.
 */
export interface SpansDeps {
  parent: TraceContext;
  send(body: string): Promise<number>;
  log: Logger;
}

/** Spans that wait for their export; more are dropped. One request holds at most `batch` (maxWorkerSpans). */
const queued = 512;
const batch = 64;
const exportEveryMs = 5_000;
const exportMs = 6_000;
const maxTextLength = 256;

function attributesOf(fields: LogFields): Attributes {
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!isLogField(name)) continue;
    if (typeof value === 'string') attributes[`greenroom.${name}`] = value.slice(0, maxTextLength);
    if (typeof value === 'number' || typeof value === 'boolean') attributes[`greenroom.${name}`] = value;
  }
  return attributes;
}

function createExporter({ send, log }: SpansDeps): SpanExporter {
  let failing = false;
  return {
    export: (spans, done) => {
      const body = Buffer.from(JsonTraceSerializer.serializeRequest(spans) ?? []).toString('utf8');
      void send(body).then((status) => {
        const failed = status < 200 || status >= 300;
        if (failed && !failing)
          log.warn(
            { status_code: status, count: spans.length },
            'could not send traces to the orchestrator; spans are lost until this works again',
          );
        failing = failed;
        done({ code: failed ? ExportResultCode.FAILED : ExportResultCode.SUCCESS });
      });
    },
    shutdown: async () => undefined,
  };
}

export function createSpans(deps: SpansDeps): Spans {
  const { traceId, spanId } = deps.parent;
  const provider = new TracerProvider({
    resource: emptyResource(),
    sampler: new AlwaysOnSampler(),
    spanProcessors: [
      new BatchSpanProcessor({
        ...{ exporter: createExporter(deps), maxQueueSize: queued, maxExportBatchSize: batch },
        ...{ scheduledDelayMillis: exportEveryMs, exportTimeoutMillis: exportMs },
      }),
    ],
  });
  const tracer = provider.getTracer('greenroom-session-worker');
  const parent = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  return {
    add: ({ name, kind = 'internal', startMs, endMs, fields = {}, failure }) => {
      const span = tracer.startSpan(
        name,
        {
          kind: kind === 'client' ? SpanKind.CLIENT : SpanKind.INTERNAL,
          startTime: millisToHrTime(startMs),
          attributes: attributesOf(fields),
        },
        parent,
      );
      if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      span.end(millisToHrTime(Math.max(startMs, endMs)));
    },
    close: () => provider.shutdown().catch(() => undefined),
  };
}
