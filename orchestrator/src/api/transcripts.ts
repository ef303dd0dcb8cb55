import { transcriptView } from '@greenroom/shared/protocol/platform-api.ts';
import { itemId } from '@greenroom/shared/protocol/transcript.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { SessionStore, TranscriptPlace } from '../database/session-store.ts';
import { acceptedTypes, notAcceptable } from './accept.ts';
import { pageQuery, pagesOf } from './paging.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';
import { asText, asVtt } from './transcript-formats.ts';

/** `GET /api/sessions/{id}/transcript`: the transcript as JSON, plain text or WebVTT. */
export interface TranscriptRoutesDeps {
  sessions: Pick<SessionStore, 'get' | 'transcript' | 'transcriptPage'>;
}

/** Maximum number of entries in one answer: more than an interview of an hour has. */
const maxEntries = 1_000;
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

/**
 * The format with the highest quality value in an Accept header. JSON without a header; undefined if none is
 * supported.
 */
export const acceptedFormat = (header: string | undefined): Format | undefined =>
  acceptedTypes(header)
    .filter((type) => Object.hasOwn(mediaTypes, type))
    .map((type) => mediaTypes[type])[0];

const entriesQuery = z.strictObject({
  format: z.enum(formats).optional(),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(maxEntries)
    .default(maxEntries)
    .describe('JSON only: the maximum number of entries. Text and WebVTT are always whole.'),
  cursor: pageQuery.cursor.describe('JSON only: the `next_cursor` of the entries before.'),
});
const pages = pagesOf<TranscriptPlace, TranscriptPlace>({
  name: 'transcript',
  position: z.object({ ordinal: z.int32(), item_id: itemId, sequence_number: z.number().int() }),
  of: ({ ordinal, item_id, sequence_number }) => ({ ordinal, item_id, sequence_number }),
});

export const transcriptRoutes =
  ({ sessions }: TranscriptRoutesDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      '/sessions/:id/transcript',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'Show the transcript of a session as JSON, plain text or WebVTT',
          description:
            'A long one has pages in JSON: read on with `cursor` while `has_more`. Read it again from the beginning if `revision` has grown meanwhile. Text and WebVTT are whole.',
          params: sessionParams,
          querystring: entriesQuery,
          response: { 200: transcriptView },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const format = request.query.format ?? acceptedFormat(request.headers.accept);
        if (format === undefined) throw notAcceptable(['application/json', 'text/plain', 'text/vtt']);
        const { id } = request.params;
        const session = await sessions.get(id, tenantId);
        if (!session) throw sessionNotFound();
        reply.header('vary', 'accept');
        if (format !== 'json') {
          const entries = await sessions.transcript(id);
          const body = (format === 'text' ? asText : asVtt)(entries, session.simulated);
          return reply
            .type(contentTypes[format])
            .serializer((text: unknown) => text as string)
            .send(body as never);
        }
        const { status, transcript_revision: revision, transcript_complete: complete, simulated } = session;
        const { limit, after } = pages.request(request.query, { id });
        const { data: entries, ...rest } = pages.page(await sessions.transcriptPage(id, limit, after), request.query, {
          id,
        });
        return { session_id: id, status, revision, complete, simulated, entries, ...rest };
      },
    );
  };
