import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { type ResultView, resultView, reviewRequest } from '@greenroom/shared/protocol/results.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { FoundResult, ResultStore } from '../database/result-store.ts';
import { changedMeanwhile, unchangedSince } from './conditional.ts';
import { viewResult } from './result-view.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/** `/api/sessions/{id}/result`: shows the result, records a review, and runs the evaluation again. */
export interface ResultRoutesDeps {
  results: Pick<ResultStore, 'get' | 'rerun' | 'review'>;
}

const noResult = (): AppError =>
  new AppError('not_found', {
    detail: 'The session has no result: it has not ended, or it ended before the interview began.',
  });

function viewFound({ result }: FoundResult): ResultView {
  if (!result) throw noResult();
  return viewResult(result);
}

export function resultRoutes({ results }: ResultRoutesDeps): FastifyPluginAsyncZod {
  const shown = async (sessionId: string, tenantId: string): Promise<ResultView> => {
    const found = await results.get(sessionId, tenantId);
    if (!found) throw sessionNotFound();
    return viewFound(found);
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
        config: { ...callersWith('sessions:write'), ifMatch: true },
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
        const { id } = request.params;
        const ifUpdatedAt = await unchangedSince(request, () => shown(id, tenantId));
        const outcome = await results.review(id, tenantId, reviewed, by, ifUpdatedAt);
        if (outcome === 'changed_meanwhile') throw changedMeanwhile();
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
        if (outcome === 'withdrawn') throw new AppError('conflict', { detail: 'The candidate withdrew consent.' });
        if (outcome === 'too_many')
          throw new AppError('conflict', {
            detail: 'The evaluation has already been run again the maximum number of times.',
          });
        return reply.code(202).send(await shown(request.params.id, tenantId));
      },
    );
  };
}
