import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import PQueue from 'p-queue';
import type { NewResult, ResultStore, TakenResult } from '../database/result-store.ts';
import type { Evaluate, Evaluated } from './evaluate.ts';
import type { Ask } from './model.ts';
import type { Interview } from './quote.ts';
import { maxAttempts, retryDelayMs } from './retry.ts';

/**
 * Makes the results that are due: takes them from the database, evaluates, reports.
 *
 * W1  So many at a time in this process, and of one tenant in all; none is taken that could not begin at once: what waits,
 *     waits in the database, where another orchestrator may take it.
 * W2  Before each question to the model the take is kept; when it is lost, nothing more is paid for and nothing reported.
 * W3  Shutting down aborts what is under way and gives it back; what cannot be given back, its lease frees.
 * W4  A tenant that brought its own key pays for its own evaluations, and never for another's.
 */
export interface Finishing {
  /** One round: takes what is due and begins it. Does not wait for it to be done. */
  run(): Promise<void>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** W3. */
  stop(): Promise<void>;
}

export interface FinishingWorkerDeps {
  results: Pick<ResultStore, 'take' | 'keep' | 'transcript' | 'record' | 'recordFailed' | 'release'>;
  ask: Ask;
  evaluate: Evaluate;
  /** A tenant's own key; undefined: the deployment's. Throws when it cannot be opened. */
  apiKeyOf: (tenantId: string) => Promise<string | undefined>;
  /** The model's name, noted with what it made. */
  model: string;
  orchestratorId: string;
  /** Limit of one question, ms; a take lasts half as long again. */
  requestMs: number;
  logger: Logger;
  /** A session has news. */
  onChange?: (sessionId: string) => void;
  bounds?: Partial<FinishingBounds>;
}

/** How many evaluations may be under way at once. */
export interface FinishingBounds {
  /** In this process. Default 8. */
  perProcess: number;
  /** Of one tenant, all orchestrators together. Default 6. */
  perTenant: number;
}

export const finishingBounds: FinishingBounds = { perProcess: 8, perTenant: 6 };

class TakeLost extends Error {}

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

  /** W2. */
  const askFor =
    (taken: TakenResult): Ask =>
    async (question) => {
      stopping.signal.throwIfAborted();
      if (!(await results.keep(taken, takenMs))) throw new TakeLost();
      const apiKey = await deps.apiKeyOf(taken.session.tenant_id); // W4
      return deps.ask(question, { signal: stopping.signal, apiKey });
    };

  const report = async (taken: TakenResult, evaluated: Evaluated): Promise<string> => {
    if (evaluated.kind !== 'failed') return results.record(taken, taken.revision, newResult(evaluated, model));
    const { failure, detail, retryAfterMs } = evaluated;
    const retryMs = retryDelayMs({ failure, attempt: taken.attempt, retryAfterMs });
    const outcome = await results.recordFailed(taken, { failure, detail, retryMs });
    const fields = { session_id: taken.session_id, reason: failure, attempt: taken.attempt };
    if (outcome === 'dead') logger.error(fields, 'an evaluation was given up');
    else logger.warn({ ...fields, delay_ms: retryMs }, 'an evaluation failed');
    return outcome;
  };

  const finish = async (taken: TakenResult): Promise<void> => {
    const entries = await results.transcript(taken.session_id);
    const evaluated = await evaluate(interviewOf(taken, entries), askFor(taken));
    const outcome = await report(taken, evaluated);
    const fields = { session_id: taken.session_id, kind: evaluated.kind, attempt: taken.attempt };
    logger.info({ ...fields, outcome, entries: entries.length }, 'a session was finished');
    onChange?.(taken.session_id);
  };

  const giveBack = async (taken: TakenResult, error: unknown): Promise<void> => {
    if (error instanceof TakeLost) {
      logger.warn({ session_id: taken.session_id }, 'an evaluation was lost to another orchestrator');
      return;
    }
    if (stopping.signal.aborted) {
      await results.release(taken); // W3
      return;
    }
    logger.error({ session_id: taken.session_id, error }, 'an evaluation broke off');
    await report(taken, { kind: 'failed', failure: 'internal_error', detail: 'Greenroom failed; its log says how.' });
  };

  const attempt = (taken: TakenResult): Promise<void> =>
    finish(taken)
      .catch((error: unknown) => giveBack(taken, error))
      .catch((error: unknown) =>
        logger.warn({ session_id: taken.session_id, error }, 'an evaluation is left to its lease'),
      );

  return {
    run: async () => {
      const free = perProcess - queue.pending - queue.size; // W1
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
