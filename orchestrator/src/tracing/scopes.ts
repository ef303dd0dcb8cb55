import { AsyncLocalStorage } from 'node:async_hooks';
import type { LogFields } from '@greenroom/shared/runtime/logger.ts';
import type { TraceContext } from '@greenroom/shared/runtime/trace-context.ts';

/**
 * What the code that is running works for: a request, a session, a machine. Log lines and spans take their ids from here, so
 * that they have the same ids everywhere and no function has to pass them on.
 *
 * Work that is started within a scope stays in it, also after the request was answered. Work for many (a batch, a poll, a round
 * of the reconciler) has none: its lines name their ids themselves.
 */
export interface ScopeIds {
  request_id?: string;
  session_id?: string | null;
  tenant_id?: string;
  machine_id?: string;
}

export interface Scope {
  ids: ScopeIds;
  /** New spans belong to this one. */
  trace: TraceContext | undefined;
}

export interface Scopes {
  readonly current: Scope | undefined;
  run<T>(scope: Scope, work: () => T): T;
  /** Runs work that belongs to nobody, such as a poll that goes on after whoever began it. */
  outside<T>(work: () => T): T;
  /** The fields of each log line. */
  fields(): LogFields;
}

export const fieldsOf = ({ ids, trace }: Scope): LogFields => (trace ? { ...ids, trace_id: trace.traceId } : ids);
const none = {};

export function createScopes(): Scopes {
  const scopes = new AsyncLocalStorage<Scope>();
  return {
    get current() {
      return scopes.getStore();
    },
    run: (scope, work) => scopes.run(scope, work),
    outside: (work) => scopes.exit(work),
    fields: () => {
      const scope = scopes.getStore();
      return scope ? fieldsOf(scope) : none;
    },
  };
}
