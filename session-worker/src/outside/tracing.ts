import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { LogFields, Logger } from '@greenroom/shared/runtime/logger.ts';
import { formatTraceparent, parseTraceparent, type TraceContext } from '@greenroom/shared/runtime/trace-context.ts';
import type { SpanRecord, Spans } from './spans.ts';

/**
 * The trace of this worker's session (docs/adr/0021).
 *
 * - It is in the environment of a machine that was created for its session, and in the claim's answer. The answer decides.
 * - Spans are noted as plain data when their work has ended, and only if the claim's answer asks for them. OpenTelemetry's
 *   library is loaded `loadMs` after the claim: it delays neither boot nor the first call.
 * - They go to the orchestrator, which exports them. Nothing waits for that but the end of the process, for a moment.
 */
export interface Tracing {
  /** The fields of each log line. */
  fields(): LogFields;
  /** The header of requests to the orchestrator. */
  traceparent(): string | undefined;
  /** The session is claimed. `now` is the orchestrator's time. */
  join(claim: Pick<ClaimResponse, 'trace' | 'now'>): void;
  record(span: SpanRecord): void;
  /** Records work as a span. `judge` reads fields and failure from its result. */
  measure<T>(
    name: string,
    work: () => Promise<T>,
    judge?: (result: T) => Pick<SpanRecord, 'fields' | 'failure'>,
  ): Promise<T>;
  /** Exports what is left. Never rejects. */
  close(limitMs: number): Promise<void>;
}

export interface TracingDeps {
  clock: Clock;
  /** `TRACEPARENT` of the environment. */
  traceparent: string | undefined;
  /** Sends spans as OTLP JSON. Resolves with the status of the answer; 0: none came. */
  send(body: string): Promise<number>;
  log: Logger;
}

/** When the library is loaded after the claim, ms: the first call is up by then. */
const loadMs = 5_000;
/** Spans that wait for the library. */
const maxWaiting = 512;
/** Spans of a hot worker from long before its session are not part of it. */
const maxAgeMs = 120_000;
const none = {};

export function createTracing({ clock, log, traceparent, send }: TracingDeps): Tracing {
  let context: TraceContext | undefined = parseTraceparent(traceparent);
  /** Undefined before the claim. */
  let wanted: boolean | undefined;
  let waiting: SpanRecord[] = [];
  let loading: Promise<Spans | undefined> | undefined;
  let spans: Spans | undefined;
  let timer: Timer | undefined;
  /** From this machine's clock to the orchestrator's. */
  let offsetMs = 0;

  const add = (to: Spans, span: SpanRecord) =>
    to.add({ ...span, startMs: span.startMs + offsetMs, endMs: span.endMs + offsetMs });
  const load = (parent: TraceContext): Promise<Spans | undefined> => {
    loading ??= import('./open-telemetry.ts')
      .then(({ createSpans }) => {
        const loaded = createSpans({ parent, send, log });
        for (const span of waiting) add(loaded, span);
        waiting = [];
        spans = loaded;
        return loaded;
      })
      .catch((error: unknown) => {
        log.warn({ error }, 'could not load the tracing library; this worker exports no spans');
        wanted = false;
        waiting = [];
        return undefined;
      });
    return loading;
  };
  const record = (span: SpanRecord): void => {
    if (wanted === false) return;
    if (spans) add(spans, span);
    else if (waiting.length < maxWaiting) waiting.push(span);
  };

  return {
    fields: () => (context ? { trace_id: context.traceId } : none),
    traceparent: () => context && formatTraceparent(context),
    join: ({ trace, now }) => {
      if (wanted !== undefined) return;
      const parent = parseTraceparent(trace?.traceparent);
      context = parent ?? context;
      wanted = trace?.wanted === true && parent !== undefined;
      offsetMs = now === undefined ? 0 : now - clock.now();
      waiting = wanted ? waiting.filter(({ endMs }) => endMs > clock.now() - maxAgeMs) : [];
      if (wanted && parent) timer = clock.setTimer(() => void load(parent), loadMs);
    },
    record,
    measure: async (name, work, judge) => {
      if (wanted === false) return work();
      const startMs = clock.now();
      const end = (judged: Pick<SpanRecord, 'fields' | 'failure'>) =>
        record({ name, kind: 'client', startMs, endMs: clock.now(), ...judged });
      try {
        const result = await work();
        end(judge?.(result) ?? {});
        return result;
      } catch (error) {
        end({ failure: error instanceof Error ? error.name : 'unknown' });
        throw error;
      }
    },
    close: async (limitMs) => {
      timer?.cancel();
      if (wanted !== true || !context) return;
      const limit = new AbortController();
      const late = clock.sleep(limitMs, limit.signal).catch(() => undefined);
      await Promise.race([load(context).then((loaded) => loaded?.close()), late]);
      limit.abort();
    },
  };
}

/** Of a worker without a trace. */
export const noTracing: Tracing = {
  fields: () => none,
  traceparent: () => undefined,
  join: () => undefined,
  record: () => undefined,
  measure: (_name, work) => work(),
  close: async () => undefined,
};
