import { recordingView } from '@greenroom/shared/protocol/platform-api.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { Recordings } from '../video/recordings.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/** `GET /api/sessions/{id}/recordings`: the recordings, each with a URL that can be opened once. */
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
          response: { 200: z.object({ recordings: z.array(recordingView) }) },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const { id } = request.params;
        if (!(await sessions.get(id, tenantId))) throw sessionNotFound();
        reply.header('cache-control', 'no-store');
        return { recordings: recordings === null ? [] : await recordings.of(id, tenantId) };
      },
    );
  };
