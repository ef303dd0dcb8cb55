import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { LogFields } from '@greenroom/shared/runtime/logger.ts';
import { formatTraceparent, newTraceContext, parseTraceparent } from '@greenroom/shared/runtime/trace-context.ts';
import type { OpenSpan, Recorder, SpanKind } from './recorder.ts';
import type { ScopeIds, Scopes } from './scopes.ts';

/**
 * Traces of what this process does for requests and sessions (docs/adr/0021).
 *
 * - Without a recorder, `span` only calls the work: nothing is measured and no library is loaded.
 * - A span is recorded only within a trace. Work that belongs to no request and no session (rounds, polls) makes none.
 */
export interface Tracing {
  /** Whether spans are exported. */
  readonly isOn: boolean;
  /** The trace context of the work that is running, as a header. A new one outside of any trace. */
  traceparent(): string;
  /** Adds ids to the running work's scope, once they are known. */
  know(ids: ScopeIds, traceparent?: string | null): void;
  /** Runs `work` in the trace of its session. Work for a pool has no session, and is in no trace. */
  forSession<T>(of: SessionWork, work: () => T): T;
  /** Records that a session begins after the request that created it, in a trace that is linked to that of the request. */
  begins(intent: SessionStart): void;
  span<T>(name: string, options: SpanOptions, work: (span: SpanNotes) => Promise<T>): Promise<T>;
  /** Records a span of the running work that ends now. For work that learns on its way in which trace it is. */
  record(name: string, span: RecordedSpan): void;
}

export interface SessionWork {
  session_id: string | null;
  tenant_id: string;
  machine_id?: string;
  traceparent: string | null;
}

/** A machine for a session: its first, or another. */
export interface SessionStart extends SessionWork {
  attempt: number;
  creation_traceparent: string | null;
}

export interface SpanOptions {
  kind?: SpanKind;
  fields?: LogFields;
}

/** A span that another process asked for, and that ends as it is recorded. */
export interface RecordedSpan {
  startMs: number;
  fields: LogFields;
  /** Name or code of the error. Undefined: what was recorded did not fail. */
  failure?: string | undefined;
}

/** What the work can add to its span. */
export type SpanNotes = Pick<OpenSpan, 'set' | 'fail'>;

const unrecorded: SpanNotes = { set: () => undefined, fail: () => undefined };

/** The name or code of an error. Its message may name people. */
export function failureName(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}

export interface TracingDeps {
  scopes: Scopes;
  recorder: Recorder | undefined;
  clock: Pick<Clock, 'now'>;
}

export function createTracing({ scopes, recorder, clock }: TracingDeps): Tracing {
  const traced = async <T>(
    to: Recorder,
    name: string,
    { kind = 'internal', fields = {} }: SpanOptions,
    work: (span: SpanNotes) => Promise<T>,
  ): Promise<T> => {
    const scope = scopes.current;
    if (!scope?.trace?.sampled) return work(unrecorded);
    const span = to.start(name, { kind, parent: scope.trace, fields: { ...scope.ids, ...fields } });
    try {
      return await scopes.run({ ids: scope.ids, trace: span.context }, () => work(span));
    } catch (error) {
      span.fail(failureName(error));
      throw error;
    } finally {
      span.end();
    }
  };

  return {
    isOn: recorder !== undefined,
    traceparent: () => formatTraceparent(scopes.current?.trace ?? newTraceContext()),
    know: (ids, traceparent) => {
      const scope = scopes.current;
      if (!scope) return;
      Object.assign(scope.ids, ids);
      scope.trace = parseTraceparent(traceparent) ?? scope.trace;
    },
    forSession: ({ machine_id, session_id, tenant_id, traceparent }, work) => {
      const ids = { session_id, tenant_id, ...(machine_id === undefined ? {} : { machine_id }) };
      return scopes.run({ ids, trace: parseTraceparent(traceparent) }, work);
    },
    begins: ({ attempt, session_id, tenant_id, machine_id, traceparent, creation_traceparent }) => {
      const [context, creation] = [parseTraceparent(traceparent), parseTraceparent(creation_traceparent)];
      if (!recorder || !context?.sampled || !creation || attempt !== 1) return;
      recorder.add({
        ...{ context, parentSpanId: undefined, name: 'session begins', kind: 'internal', failure: undefined },
        ...{
          startMs: clock.now(),
          endMs: clock.now(),
          fields: { session_id, tenant_id, ...(machine_id === undefined ? {} : { machine_id }) },
        },
        ...{ links: [creation], service: 'orchestrator' },
      });
    },
    span: (name, options, work) => (recorder ? traced(recorder, name, options, work) : work(unrecorded)),
    record: (name, { startMs, fields, failure }) => {
      if (!recorder) return;
      const scope = scopes.current;
      if (!scope?.trace?.sampled) return;
      const span = recorder.start(name, {
        kind: 'server',
        parent: scope.trace,
        startMs,
        fields: { ...scope.ids, ...fields },
      });
      if (failure !== undefined) span.fail(failure);
      span.end();
    },
  };
}
