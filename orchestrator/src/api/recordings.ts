import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText } from '@greenroom/shared/protocol/common.ts';
import { recordingList } from '@greenroom/shared/protocol/platform-api.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { actBy } from '../access/authenticate.ts';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { Recordings } from '../video/recordings.ts';
import { noContent } from './bodies.ts';
import { wholeList } from './paging.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/** `/api/sessions/{id}/recordings`: lists the recordings, each with a URL that can be opened once, and deletes one. */
export interface RecordingRoutesDeps {
  sessions: Pick<SessionStore, 'get'>;
  /** Null if video recording is not configured. */
  recordings: Recordings | null;
}

export const recordingRoutes =
  ({ sessions, recordings }: RecordingRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/sessions/:id/recordings',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'List the recordings of a session, each with a URL that can be opened once',
          params: sessionParams,
          response: { 200: recordingList },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const { id } = request.params;
        if (!(await sessions.get(id, tenantId))) throw sessionNotFound();
        reply.header('cache-control', 'no-store');
        return wholeList(recordings === null ? [] : await recordings.of(id, tenantId));
      },
    );

    app.delete(
      '/sessions/:id/recordings/:video',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Delete a recording',
          description:
            'It is removed from the list at once and deleted at the video provider as soon as that answers. 204 also when repeated.',
          params: sessionParams.extend({ video: plainText(200).min(1) }),
          response: { 204: noContent },
        },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const { id, video } = request.params;
        if (!(await sessions.get(id, tenantId))) throw sessionNotFound();
        const outcome = await recordings?.delete(id, tenantId, video, actBy(request, actor));
        if (outcome === 'no_session') throw sessionNotFound();
        if (outcome !== 'deleted') throw new AppError('not_found', { detail: 'No such recording.' });
        return reply.code(204).send();
      },
    );
  };
