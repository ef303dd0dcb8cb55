import type { LogFields } from '@greenroom/shared/runtime/logger.ts';
import type { TraceContext } from '@greenroom/shared/runtime/trace-context.ts';

/**
 * Where spans go. The only implementation (open-telemetry.ts) is loaded when an exporter is configured.
 *
 * A span has the fields that a log line may have, so neither secrets nor what people say or are called can reach it.
 */
export type SpanKind = 'internal' | 'server' | 'client';

export interface SpanStart {
  kind?: SpanKind;
  parent?: TraceContext | undefined;
  /** Default: now. */
  startMs?: number;
  fields?: LogFields;
}

export interface OpenSpan {
  /** Spans with this parent belong to it. */
  readonly context: TraceContext;
  set(fields: LogFields): void;
  /** @param why a name or code, never a message */
  fail(why: string): void;
  end(): void;
}

/** A span whose ids are known: of a worker, or one that several processes may record. */
export interface FinishedSpan {
  context: TraceContext;
  parentSpanId: string | undefined;
  name: string;
  kind: SpanKind;
  startMs: number;
  endMs: number;
  fields: LogFields;
  /** A name or code. Undefined: it did not fail. */
  failure: string | undefined;
  links: readonly TraceContext[];
  service: 'orchestrator' | 'worker';
}

export interface Recorder {
  start(name: string, start: SpanStart): OpenSpan;
  add(span: FinishedSpan): void;
  /** Exports what is left. Never rejects. */
  close(limitMs: number): Promise<void>;
}

/** OpenTelemetry's samplers. */
export const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** Where traces are sent, and which. */
export interface TracingConfig {
  url: string;
  headers: Record<string, string>;
  serviceName: string;
  sampler: (typeof samplers)[number];
  /** The part of the traces that is exported, with a ratio sampler. */
  samplerArg: number;
}
