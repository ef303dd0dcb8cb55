import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError } from '@greenroom/shared/database/client.ts';
import { backoffMs } from '@greenroom/shared/runtime/backoff.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import PQueue from 'p-queue';
import type { NewResult, ResultStore, TakenResult } from '../database/result-store.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { ProviderAccess } from '../voice/provider-access.ts';
import type { Evaluate, Evaluated } from './evaluate.ts';
import type { Ask, AskModel } from './model.ts';
import type { Interview } from './quote.ts';
import { maxAttempts, retryDelayMs } from './retry.ts';
import { scriptedAsk, scriptedModel } from './scripted.ts';

/**
 * Takes the evaluations that are due from the database, makes them and stores the results.
 *
 * - The concurrent evaluations are limited for this process, and per tenant for all orchestrators together. An
 *   evaluation is taken only if it can start at once; the others wait in the database, where another
 *   orchestrator may take them.
 * - The lease of a taken evaluation is renewed before each question to the model. If the lease is lost, no
 *   further question is asked and nothing is stored.
 * - While the database is unavailable, storing is repeated for about as long as a lease lasts: the model's answer was
 *   paid for.
 * - Shutting down aborts running evaluations and releases them. If the release fails, the evaluation becomes
 *   available when its lease expires.
 * - A tenant with its own API key pays for its own evaluations only.
 * - No model is asked about a test session.
 */
export interface Finishing {
  /** Takes the evaluations that are due and starts them. Does not wait for them to finish. */
  run(): Promise<void>;
  /** Resolves when no evaluation is running. */
  idle(): Promise<void>;
  /** Aborts and releases the running evaluations, and waits for that. */
  stop(): Promise<void>;
}

export interface FinishingWorkerDeps {
  results: Pick<ResultStore, 'take' | 'keep' | 'transcript' | 'record' | 'recordFailed' | 'release'>;
  ask: AskModel;
  evaluate: Evaluate;
  /** A tenant's own key, or the deployment's, with its base URL. Throws if the tenant's key cannot be decrypted. */
  accessOf: (tenantId: string) => Promise<ProviderAccess>;
  /** The model's name, stored with each result. */
  model: string;
  orchestratorId: string;
  /** Limit of one question, ms. The lease lasts 1.5 times as long. */
  requestMs: number;
  logger: Logger;
  /** Called when something of a session has changed. */
  onChange?: (sessionId: string) => void;
  bounds?: Partial<FinishingBounds>;
  /** Called after each attempt. @default none */
  onOutcome?: (outcome: string) => void;
  tracing: Pick<Tracing, 'forSession' | 'span'>;
}

/** How many evaluations may run at once. */
export interface FinishingBounds {
  /** In this process. Default 8. */
  perProcess: number;
  /** Of one tenant, all orchestrators together. Default 6. */
  perTenant: number;
}

export const finishingBounds: FinishingBounds = { perProcess: 8, perTenant: 6 };

class TakeLost extends Error {}

/** Tries of storing a result. With the pauses between them they last about a minute. */
const mostTries = 20;
const pauses = { baseMs: 250, maxMs: 5_000 };

const stringsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

function interviewOf({ session, integrity_flags }: TakenResult, entries: Interview['entries']): Interview {
  const { title, description } = session.interview_context.position;
  const { language, questions } = session.settings;
  return {
    sessionId: session.session_id,
    position: { title, description },
    language: typeof language === 'string' ? language : 'en',
    plannedQuestions: stringsIn(questions),
    integrityFlags: integrity_flags,
    entries,
  };
}

const newResult = (evaluated: Exclude<Evaluated, { kind: 'failed' }>, model: string): NewResult =>
  evaluated.kind === 'empty'
    ? { status: 'empty', summary: null, evaluation: null, integrity_flags: [], model: null }
    : {
        status: 'done',
        summary: evaluated.summary,
        evaluation: evaluated.evaluation,
        integrity_flags: evaluated.integrityFlags,
        model,
      };

export function createFinishingWorker(deps: FinishingWorkerDeps): Finishing {
  const { results, evaluate, model, orchestratorId, requestMs, logger, onChange } = deps;
  const { perProcess, perTenant } = { ...finishingBounds, ...deps.bounds };
  const takenMs = Math.round(requestMs * 1.5);
  const stopping = new AbortController();
  const queue = new PQueue({ concurrency: perProcess });

  const askFor =
    (taken: TakenResult): Ask =>
    async (question) => {
      stopping.signal.throwIfAborted();
      if (!(await results.keep(taken, takenMs))) throw new TakeLost();
      if (taken.session.test) return scriptedAsk(taken.session)(question);
      const access = await deps.accessOf(taken.session.tenant_id);
      return deps.tracing.span('provider ask model', { kind: 'client' }, () =>
        deps.ask(question, { signal: stopping.signal, access }),
      );
    };

  const whileUnavailable = async <T>(write: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await write();
      } catch (error) {
        if (!(error instanceof DatabaseError && error.unavailable) || attempt >= mostTries) throw error;
        await sleep(backoffMs(attempt, pauses), undefined, { signal: stopping.signal });
      }
    }
  };

  const report = async (taken: TakenResult, evaluated: Evaluated): Promise<string> => {
    if (evaluated.kind !== 'failed')
      return whileUnavailable(() =>
        results.record(taken, taken.revision, newResult(evaluated, taken.session.test ? scriptedModel : model)),
      );
    const { failure, detail, retryAfterMs } = evaluated;
    const retryMs = retryDelayMs({ failure, attempt: taken.attempt, retryAfterMs });
    const outcome = await whileUnavailable(() => results.recordFailed(taken, { failure, detail, retryMs }));
    const fields = { session_id: taken.session_id, reason: failure, attempt: taken.attempt };
    if (outcome === 'dead') logger.error(fields, 'evaluation failed; giving up');
    else logger.warn({ ...fields, delay_ms: retryMs }, 'evaluation attempt failed');
    return outcome;
  };

  const finish = async (taken: TakenResult): Promise<void> => {
    const entries = await results.transcript(taken.session_id);
    const evaluated = await evaluate(interviewOf(taken, entries), askFor(taken));
    const outcome = await report(taken, evaluated);
    const fields = { session_id: taken.session_id, kind: evaluated.kind, attempt: taken.attempt };
    deps.onOutcome?.(evaluated.kind === 'failed' ? 'failed' : outcome);
    logger.info({ ...fields, outcome, entries: entries.length }, 'evaluation attempt ended');
    onChange?.(taken.session_id);
  };

  const giveBack = async (taken: TakenResult, error: unknown): Promise<void> => {
    if (error instanceof TakeLost) {
      logger.warn({ session_id: taken.session_id }, 'lost the lease of an evaluation; another orchestrator makes it');
      return;
    }
    if (stopping.signal.aborted) {
      await results.release(taken);
      return;
    }
    logger.error({ session_id: taken.session_id, error }, 'evaluation failed with an internal error');
    await report(taken, {
      kind: 'failed',
      failure: 'internal_error',
      detail: 'Internal error; see the log of the orchestrator.',
    });
  };

  const traced = (taken: TakenResult): Promise<void> =>
    deps.tracing
      .span('evaluate', { fields: { attempt: taken.attempt } }, () => finish(taken))
      .catch((error: unknown) => giveBack(taken, error))
      .catch((error: unknown) =>
        logger.warn(
          { session_id: taken.session_id, error },
          'could not release the evaluation; it becomes available when its lease expires',
        ),
      );
  const attempt = (taken: TakenResult): Promise<void> => {
    const { session_id, traceparent, session } = taken;
    return deps.tracing.forSession({ session_id, tenant_id: session.tenant_id, traceparent }, () => traced(taken));
  };

  return {
    run: async () => {
      const free = perProcess - queue.pending - queue.size;
      if (free <= 0 || stopping.signal.aborted) return;
      const wanted = { takenMs, limit: free, maxAttempts, perTenant };
      for (const taken of await results.take(orchestratorId, wanted)) void queue.add(() => attempt(taken));
    },
    idle: () => queue.onIdle(),
    stop: async () => {
      stopping.abort(new Error('shutting down'));
      await queue.onIdle();
    },
  };
}
