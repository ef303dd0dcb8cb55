import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { type ResultFailure, type ResultView, resultView, reviewRequest } from '@greenroom/shared/protocol/results.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { FoundResult, ResultStore } from '../database/result-store.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/** `/api/sessions/{id}/result`: shows the result, records a review, and runs the evaluation again. */
export interface ResultRoutesDeps {
  results: Pick<ResultStore, 'get' | 'rerun' | 'review'>;
}

const failureTexts: Record<ResultFailure, string> = {
  refused: 'The model declined to evaluate this interview.',
  incomplete: 'The model did not finish its answer.',
  invalid_answer: 'The model did not answer in the requested format.',
  rejected: 'The model provider rejected the request as invalid.',
  provider_auth_failed: 'The model provider rejected the API key.',
  provider_rate_limited: 'The rate limit of the model provider was exceeded.',
  provider_unavailable: 'The model provider did not answer, or answered with an error.',
  interrupted: 'The evaluation was interrupted.',
  internal_error: 'The evaluation failed because of an internal error.',
};

const noResult = (): AppError =>
  new AppError('not_found', {
    detail: 'The session has no result: it has not ended, or it ended before the interview began.',
  });

/**
 * Leaves out `last_error`, which is for operators only: a model's refusal may repeat parts of the interview.
 */
function viewResult({ result }: FoundResult): ResultView {
  if (!result) throw noResult();
  const { last_error, ...shown } = result;
  return { ...shown, failure_text: result.failure === null ? null : failureTexts[result.failure] };
}

export function resultRoutes({ results }: ResultRoutesDeps): FastifyPluginAsyncZod {
  const shown = async (sessionId: string, tenantId: string): Promise<ResultView> => {
    const found = await results.get(sessionId, tenantId);
    if (!found) throw sessionNotFound();
    return viewResult(found);
  };

  return async (app) => {
    app.get(
      '/sessions/:id/result',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'Show the summary and evaluation of a session',
          description:
            'A result exists as soon as the interview has ended. It is `pending` until it is complete. 404 before that.',
          params: sessionParams,
          response: { 200: resultView },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        return shown(request.params.id, tenantId);
      },
    );

    app.patch(
      '/sessions/:id/result',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Record that a person has reviewed the result',
          params: sessionParams,
          body: reviewRequest,
          response: { 200: resultView },
        },
      },
      async (request) => {
        const { tenantId, actor } = callerOf(request);
        const { human_reviewed: reviewed, reviewed_by: by = actor } = request.body;
        const outcome = await results.review(request.params.id, tenantId, reviewed, by);
        if (outcome === 'not_found') throw sessionNotFound();
        if (outcome === 'nothing') throw noResult();
        if (outcome === 'not_done')
          throw new AppError('conflict', {
            detail: 'The result is not complete yet. Review it when its status is `done` or `empty`.',
          });
        return shown(request.params.id, tenantId);
      },
    );

    app.post(
      '/sessions/:id/result/rerun',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Run the evaluation again',
          description: '202: the evaluation is queued or already running. At most ten times per session.',
          params: sessionParams,
          response: { 202: resultView },
        },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const outcome = await results.rerun(request.params.id, tenantId, actor);
        if (outcome === 'not_found') throw sessionNotFound();
        if (outcome === 'nothing') throw noResult();
        if (outcome === 'too_many')
          throw new AppError('conflict', {
            detail: 'The evaluation has already been run again the maximum number of times.',
          });
        return reply.code(202).send(await shown(request.params.id, tenantId));
      },
    );
  };
}
