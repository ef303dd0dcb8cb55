import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import {
  type Evaluation,
  type IntegrityFlag,
  integrityFlag,
  type ResultFailure,
} from '@greenroom/shared/protocol/results.ts';
import { storedTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import { z } from 'zod';
import { sessionRow, storedResult } from './rows.ts';

/** Results: the queue of evaluations, taken by lease, and their outcomes. Throws DatabaseError. */

const takenResult = z.object({
  session_id: z.string(),
  /** Fencing number. A report with an older one changes nothing. */
  take: z.number().int(),
  /** Of this revision, 1 for the first. */
  attempt: z.number().int(),
  revision: z.number().int(),
  /** W3C trace context of the session. */
  traceparent: z.string().nullable(),
  integrity_flags: z.array(integrityFlag),
  session: sessionRow,
});
export type TakenResult = z.output<typeof takenResult>;

const foundResult = z.object({ session_status: z.enum(sessionStatuses), result: storedResult.nullable() });
export type FoundResult = z.output<typeof foundResult>;

export interface NewResult {
  status: 'done' | 'empty';
  summary: string | null;
  evaluation: Evaluation | null;
  integrity_flags: IntegrityFlag[];
  model: string | null;
}

export interface Failure {
  failure: ResultFailure;
  detail: string;
  /** Null: given up. */
  retryMs: number | null;
}

export interface ResultsWanted {
  takenMs: number;
  limit: number;
  maxAttempts: number;
  /** Maximum number of running evaluations per tenant, over all orchestrators. */
  perTenant: number;
}

/** A result, and the lease under which it is reported. */
export type TakeOf = Pick<TakenResult, 'session_id' | 'take'>;

export type ResultStore = ReturnType<typeof createResultStore>;

export function createResultStore(database: Database) {
  const call = callerOf(database);
  const keyOf = ({ session_id, take }: TakeOf) => ({ p_session_id: session_id, p_take: take });
  return {
    /** Takes due results for one attempt each, in turn by tenant. The lease expires after `takenMs` unless it is renewed. */
    take: (orchestratorId: string, { takenMs, limit, maxAttempts, perTenant }: ResultsWanted): Promise<TakenResult[]> =>
      call(
        'take_results',
        {
          ...{ p_orchestrator_id: orchestratorId, p_taken_ms: takenMs, p_limit: limit },
          ...{ p_max_attempts: maxAttempts, p_per_tenant: perTenant },
        },
        z.array(takenResult),
      ),
    /** False: the lease is no longer valid. */
    keep: (of: TakeOf, takenMs: number): Promise<boolean> =>
      call('keep_result', { ...keyOf(of), p_taken_ms: takenMs }, z.boolean()),
    /** The complete conversation in order. */
    transcript: (sessionId: string) =>
      call('transcript_to_evaluate', { p_session_id: sessionId }, z.array(storedTranscriptEntry)),
    /** `queued_again`: the transcript has grown since the evaluation began. */
    record: (of: TakeOf, revision: number, result: NewResult) =>
      call(
        'record_result',
        { ...keyOf(of), p_revision: revision, p_result: result },
        z.enum(['recorded', 'queued_again', 'stale']),
      ),
    recordFailed: (of: TakeOf, { failure, detail, retryMs }: Failure) =>
      call(
        'record_result_failed',
        { ...keyOf(of), p_failure: failure, p_error: detail, p_retry_ms: retryMs },
        z.enum(['pending', 'dead', 'stale']),
      ),
    /** Returns a lease unused. */
    release: (of: TakeOf): Promise<boolean> => call('release_result', keyOf(of), z.boolean()),
    /** Undefined if the tenant has no such session. */
    get: async (sessionId: string, tenantId: string | null): Promise<FoundResult | undefined> => {
      const parameters = { p_session_id: sessionId, p_tenant_id: tenantId };
      return (await call('get_result', parameters, foundResult.nullable())) ?? undefined;
    },
    rerun: (sessionId: string, tenantId: string | null, by: string) =>
      call(
        'rerun_result',
        { p_session_id: sessionId, p_tenant_id: tenantId, p_by: by },
        z.enum(['queued', 'running', 'withdrawn', 'too_many', 'nothing', 'not_found']),
      ),
    review: (sessionId: string, tenantId: string | null, reviewed: boolean, by: string, ifUpdatedAt?: string) =>
      call(
        'review_result',
        {
          ...{ p_session_id: sessionId, p_tenant_id: tenantId, p_reviewed: reviewed, p_by: by },
          p_if_updated_at: ifUpdatedAt ?? null,
        },
        z.enum(['recorded', 'changed_meanwhile', 'not_done', 'nothing', 'not_found']),
      ),
  };
}
