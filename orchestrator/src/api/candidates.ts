import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText, uuid } from '@greenroom/shared/protocol/common.ts';
import {
  candidateList,
  candidateView,
  changeCandidateRequest,
  createCandidateRequest,
  erasureView,
} from '@greenroom/shared/protocol/people.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy } from '../access/authenticate.ts';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { Erased, PeopleStore } from '../database/people-store.ts';
import { changedMeanwhile, unchangedSince } from './conditional.ts';
import { answerConcerns } from './idempotency.ts';
import { newestFirst, pageQuery } from './paging.ts';

/**
 * `/api/candidates`. `DELETE` erases the candidate: personal data, transcripts and results at once; recordings
 * are deleted at the video provider by a job that retries. While the candidate has live sessions, the answer is
 * 202 and the erasure continues without another request when they have ended.
 */
export interface CandidateRoutesDeps {
  people: PeopleStore;
}

const params = z.object({ id: uuid });
const listQuery = z.strictObject({ ...pageQuery, search: plainText(200).min(1).optional() });
const pages = newestFirst('candidates');
const notFound = (): AppError => new AppError('not_found', { detail: 'No such candidate.' });
const conflictOf = (fields: string[]): AppError =>
  new AppError('conflict', {
    detail: `Another candidate of the tenant has this ${fields.join(' or ')}.`,
    fields: fields.map((field) => ({ field, message: 'is already in use' })),
  });

const viewErasure = (id: string, erased: Exclude<Erased, { kind: 'not_found' }>) =>
  erased.kind === 'erased'
    ? {
        candidate_id: id,
        status: 'erased' as const,
        sessions: erased.sessions,
        transcript_entries: erased.transcript_entries,
        videos: erased.videos.length,
        ending_session_ids: [],
      }
    : {
        candidate_id: id,
        status: 'ending' as const,
        sessions: null,
        transcript_entries: null,
        videos: null,
        ending_session_ids: erased.session_ids,
      };

export const candidateRoutes =
  ({ people }: CandidateRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      '/candidates',
      {
        config: callersWith('people:write'),
        schema: { summary: 'Create a candidate', body: createCandidateRequest, response: { 201: candidateView } },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const result = await people.createCandidate(tenantId, request.body);
        if (result.kind === 'conflict') throw conflictOf(result.fields);
        answerConcerns(request, result.candidate.id);
        return reply.code(201).header('location', `/api/candidates/${result.candidate.id}`).send(result.candidate);
      },
    );

    app.get(
      '/candidates',
      {
        config: callersWith('people:read'),
        schema: {
          summary: 'List candidates, newest first',
          description: '`search` matches part of a name, a complete e-mail address or a complete external id.',
          querystring: listQuery,
          response: { 200: candidateList },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const { search, ...query } = request.query;
        const rows = await people.candidates(pages.request(tenantId, query, { search }), search);
        return pages.page(rows, query, { search });
      },
    );

    app.get(
      '/candidates/:id',
      {
        config: callersWith('people:read'),
        schema: { summary: 'Show a candidate', params, response: { 200: candidateView } },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const candidate = await people.candidate(tenantId, request.params.id);
        if (!candidate) throw notFound();
        return candidate;
      },
    );

    app.patch(
      '/candidates/:id',
      {
        config: { ...callersWith('people:write'), ifMatch: true },
        schema: {
          summary: 'Change a candidate',
          params,
          body: changeCandidateRequest,
          response: { 200: candidateView },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const { id } = request.params;
        const ifUpdatedAt = await unchangedSince(request, () => people.candidate(tenantId, id));
        const result = await people.changeCandidate(tenantId, id, request.body, ifUpdatedAt);
        if (result.kind === 'changed_meanwhile') throw changedMeanwhile();
        if (result.kind === 'not_found') throw notFound();
        if (result.kind === 'conflict') throw conflictOf(result.fields);
        return result.candidate;
      },
    );

    app.delete(
      '/candidates/:id',
      {
        config: callersWith('people:write'),
        schema: {
          summary: 'Erase a candidate and all their data',
          description:
            '200: erased. 202: live sessions are being ended; the candidate is erased when they have ended, without another request.',
          params,
          response: { 200: erasureView, 202: erasureView },
        },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const { id } = request.params;
        const by = actBy(request, actor);
        if (!(await people.requestErasure(tenantId, id, by))) throw notFound();
        const erased = await people.erase(tenantId, id, by);
        // Another request or the regular job has erased the candidate in the meantime.
        if (erased.kind === 'not_found') throw notFound();
        return reply.code(erased.kind === 'erased' ? 200 : 202).send(viewErasure(id, erased));
      },
    );
  };
