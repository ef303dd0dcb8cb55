import type { Database } from '@greenroom/shared/database/client.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Config } from '../config.ts';
import { createResultStore } from '../database/result-store.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { ProviderAccesses } from '../voice/provider-access.ts';
import { createEvaluate } from './evaluate.ts';
import { createModel } from './model.ts';
import { createFinishingWorker } from './worker.ts';

/** Creates the result store and the worker that makes summaries and evaluations. */
export interface FinishingDeps {
  config: Pick<Config, 'voice' | 'deadlines'>;
  database: Database;
  orchestratorId: string;
  logger: Logger;
  /** Called with the outcome of each attempt. */
  onOutcome: (outcome: string) => void;
  onChange: (sessionId: string) => void;
  providerAccess: Pick<ProviderAccesses, 'of'>;
  tracing: Tracing;
}

export function createFinishing({ config, database, providerAccess, ...deps }: FinishingDeps) {
  const { evaluationModel: model } = config.voice;
  const requestMs = config.deadlines.evaluationRequestMs;
  const results = createResultStore(database);
  const ask = createModel({ model, requestMs });
  const worker = createFinishingWorker({
    ...deps,
    results,
    ask,
    accessOf: providerAccess.of,
    evaluate: createEvaluate(),
    model,
    requestMs,
  });
  return { results, worker };
}
