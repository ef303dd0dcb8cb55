import * as z from 'zod';

/**
 * Spans of a worker: the part of OTLP's JSON (`ExportTraceServiceRequest`) that is read. The orchestrator adds the ids of session
 * and machine from the worker's token and exports the spans with its own, so that no worker has a credential for that.
 *
 * Not in worker-api.ts: workers do not load it.
 */
const attribute = z.object({
  key: z.string().max(100),
  value: z.object({
    stringValue: z.string().max(1_000).optional(),
    intValue: z.union([z.number(), z.string().regex(/^-?\d{1,19}$/)]).optional(),
    doubleValue: z.number().optional(),
    boolValue: z.boolean().optional(),
  }),
});
const traceId = z.string().regex(/^[0-9a-f]{32}$/);
const spanId = z.string().regex(/^[0-9a-f]{16}$/);
/** Nanoseconds since 1970. */
const unixNano = z.union([z.string().regex(/^\d{1,19}$/), z.number().int().min(0)]);
export const workerSpan = z.object({
  traceId,
  spanId,
  parentSpanId: spanId.optional(),
  name: z.string().regex(/^[a-z_ ]{1,60}$/),
  kind: z.number().int().min(0).max(5),
  startTimeUnixNano: unixNano,
  endTimeUnixNano: unixNano,
  attributes: z.array(attribute).max(32).default([]),
  status: z.object({ code: z.number().optional(), message: z.string().max(200).optional() }).default({}),
});
export type WorkerSpan = z.output<typeof workerSpan>;
/** Spans in one request. */
export const maxWorkerSpans = 128;
export const workerTraces = z.object({
  resourceSpans: z
    .array(z.object({ scopeSpans: z.array(z.object({ spans: z.array(workerSpan).max(maxWorkerSpans) })).max(4) }))
    .max(4),
});
export type WorkerTraces = z.output<typeof workerTraces>;
