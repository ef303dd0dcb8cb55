import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { transcriptView } from '@greenroom/shared/protocol/platform-api.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { SessionStore } from '../database/session-store.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';
import { asText, asVtt } from './transcript-formats.ts';

/** `GET /api/sessions/{id}/transcript`: the transcript as JSON, plain text or WebVTT. */
export interface TranscriptRoutesDeps {
  sessions: Pick<SessionStore, 'get' | 'transcript'>;
}

const formats = ['json', 'text', 'vtt'] as const;
type Format = (typeof formats)[number];
const mediaTypes: Record<string, Format> = {
  'application/json': 'json',
  'text/plain': 'text',
  'text/vtt': 'vtt',
  'application/*': 'json',
  'text/*': 'text',
  '*/*': 'json',
};
const contentTypes = { text: 'text/plain; charset=utf-8', vtt: 'text/vtt; charset=utf-8' } as const;

interface Accepted {
  type: string;
  quality: number;
}

const accepted = (header: string): Accepted[] =>
  header.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const quality = Number(parameters.find((p) => p.startsWith('q='))?.slice(2) ?? 1);
    return { type, quality: Number.isFinite(quality) ? quality : 0 };
  });

/**
 * The format with the highest quality value in an Accept header. JSON without a header; undefined if none is
 * supported.
 */
export const acceptedFormat = (header: string | undefined): Format | undefined =>
  accepted(header ?? '*/*')
    .filter(({ type, quality }) => quality > 0 && Object.hasOwn(mediaTypes, type))
    .toSorted((a, b) => b.quality - a.quality)
    .map(({ type }) => mediaTypes[type])[0];

export const transcriptRoutes =
  ({ sessions }: TranscriptRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/sessions/:id/transcript',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'Show the transcript of a session as JSON, plain text or WebVTT',
          params: sessionParams,
          querystring: z.strictObject({ format: z.enum(formats).optional() }),
          response: { 200: transcriptView },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const format = request.query.format ?? acceptedFormat(request.headers.accept);
        if (format === undefined)
          throw new AppError('validation_failed', {
            fields: [{ field: 'accept', message: 'must allow application/json, text/plain or text/vtt' }],
          });
        const { id } = request.params;
        const [session, entries] = await Promise.all([sessions.get(id, tenantId), sessions.transcript(id)]);
        if (!session) throw sessionNotFound();
        reply.header('vary', 'accept');
        if (format !== 'json') {
          const body = (format === 'text' ? asText : asVtt)(entries, session.simulated);
          return reply
            .type(contentTypes[format])
            .serializer((text: unknown) => text as string)
            .send(body as never);
        }
        const { status, transcript_revision: revision, transcript_complete: complete, simulated } = session;
        return { session_id: id, status, revision, complete, simulated, entries };
      },
    );
  };
