import { isLogField } from '@greenroom/shared/runtime/log-fields.ts';
import type { LogFields, Logger } from '@greenroom/shared/runtime/logger.ts';
import type { TraceContext } from '@greenroom/shared/runtime/trace-context.ts';
import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { ExportResultCode, hrTimeDuration, millisToHrTime } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { FinishedSpan, SpanKind as Kind, Recorder, TracingConfig } from './recorder.ts';

/**
 * The recorder: OpenTelemetry's SDK with an OTLP exporter (HTTP, protobuf). Loaded only when an endpoint is configured.
 *
 * - Memory is bounded: at most `queued` finished spans wait, and one batch is being sent. More are dropped.
 * - A failing exporter costs spans and nothing else. Its first failure is logged, and its first success after that.
 * - The SDK is used through its objects and registers nothing globally, so no library adds spans or headers by itself.
 */
const queued = 2_048;
const batch = 512;
const exportEveryMs = 2_000;
/** Limit of one export with its repetitions, ms. */
const exportMs = 10_000;
const maxTextLength = 256;

export interface RecorderOptions extends TracingConfig {
  version: string;
  deploymentId: string;
  orchestratorId: string;
  logger: Logger;
}

const kinds: Record<Kind, SpanKind> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
};

/** Fields that OpenTelemetry has names for. The others are called as in the log, behind `greenroom.` */
const conventional: Record<string, string> = {
  method: 'http.request.method',
  path: 'http.route',
  status_code: 'http.response.status_code',
};

function attributesOf(fields: LogFields): Attributes {
  const attributes: Attributes = {};
  for (const [field, value] of Object.entries(fields)) {
    if (!isLogField(field)) continue;
    const name = conventional[field] ?? `greenroom.${field}`;
    if (typeof value === 'string') attributes[name] = value.slice(0, maxTextLength);
    if (typeof value === 'number' || typeof value === 'boolean') attributes[name] = value;
  }
  return attributes;
}

function samplerOf({ sampler, samplerArg }: TracingConfig): Sampler {
  const root = sampler.replace('parentbased_', '');
  const own: Sampler =
    root === 'always_off'
      ? new AlwaysOffSampler()
      : root === 'traceidratio'
        ? new TraceIdRatioBasedSampler(samplerArg)
        : new AlwaysOnSampler();
  return root === sampler ? own : new ParentBasedSampler({ root: own });
}

/** Logs that exporting fails, once, and that it works again. */
function watched(exporter: SpanExporter, logger: Logger): SpanExporter {
  let failing = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS;
        if (failed && !failing)
          logger.warn(
            { count: spans.length, error: result.error },
            'could not export traces; spans are lost until this works again',
          );
        if (!failed && failing) logger.info({}, 'traces are exported again');
        failing = failed;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}

const spanContextOf = ({ traceId, spanId, sampled }: TraceContext) => ({
  traceId,
  spanId,
  traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
});

export function createRecorder(options: RecorderOptions): Recorder {
  const { serviceName, version, deploymentId, orchestratorId, logger } = options;
  const common = { 'service.version': version, 'service.namespace': deploymentId };
  const resources = {
    orchestrator: resourceFromAttributes({
      'service.name': serviceName,
      'service.instance.id': orchestratorId,
      ...common,
    }),
    worker: resourceFromAttributes({ 'service.name': 'greenroom-session-worker', ...common }),
  };
  const { url, headers } = options;
  const exporter = watched(new OTLPTraceExporter({ url, headers, timeoutMillis: exportMs }), logger);
  const processor = new BatchSpanProcessor({
    ...{ exporter, maxQueueSize: queued, maxExportBatchSize: batch },
    ...{ scheduledDelayMillis: exportEveryMs, exportTimeoutMillis: exportMs + 1_000 },
  });
  const provider = new TracerProvider({
    resource: resources.orchestrator,
    sampler: samplerOf(options),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('greenroom', version);
  const scope = { name: 'greenroom', version };

  const readable = (span: FinishedSpan): ReadableSpan => {
    const { context, parentSpanId, failure } = span;
    const startTime = millisToHrTime(span.startMs);
    const endTime = millisToHrTime(Math.max(span.startMs, span.endMs));
    return {
      name: span.name,
      kind: kinds[span.kind],
      spanContext: () => spanContextOf(context),
      ...(parentSpanId === undefined ? {} : { parentSpanContext: spanContextOf({ ...context, spanId: parentSpanId }) }),
      ...{ startTime, endTime, duration: hrTimeDuration(startTime, endTime), ended: true },
      status: failure === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: failure },
      attributes: attributesOf(span.fields),
      links: span.links.map((link) => ({ context: spanContextOf(link) })),
      ...{ events: [], resource: resources[span.service], instrumentationScope: scope },
      ...{ droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
    };
  };

  return {
    start: (name, { kind = 'internal', parent, startMs, fields = {} }) => {
      const context = parent ? trace.setSpanContext(ROOT_CONTEXT, spanContextOf(parent)) : ROOT_CONTEXT;
      const attributes = attributesOf(fields);
      const span = tracer.startSpan(
        name,
        { kind: kinds[kind], attributes, ...(startMs === undefined ? {} : { startTime: millisToHrTime(startMs) }) },
        context,
      );
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        context: { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 },
        set: (more) => void span.setAttributes(attributesOf(more)),
        fail: (why) => void span.setStatus({ code: SpanStatusCode.ERROR, message: why.slice(0, maxTextLength) }),
        end: () => span.end(),
      };
    },
    add: (span) => processor.onEnd(readable(span)),
    close: async (limitMs) => {
      const limit = AbortSignal.timeout(limitMs);
      const late = new Promise<void>((resolve) => limit.addEventListener('abort', () => resolve(), { once: true }));
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
    },
  };
}
