import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText } from '@greenroom/shared/protocol/common.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import type { VideoStore } from '../database/video-store.ts';

/**
 * `POST /hooks/api-video`: receives the events of api.video about a video.
 *
 * - Only signed requests are accepted: HMAC-SHA256 of the raw body with the webhook's secret, compared in
 *   constant time. The body is parsed after that.
 * - An event only makes the recording due; its state is then read from api.video. So a repeated, late or lost
 *   event does no harm.
 */
export interface VideoWebhookDeps {
  /** `signatureSecret`, which api.video returned when the webhook was created. */
  secret: string;
  videos: Pick<VideoStore, 'recordEvent'>;
  logger: Logger;
}

const event = z.looseObject({ type: plainText(100).min(1), videoId: plainText(200).min(1).optional() });
const bodyLimitBytes = 65_536;

/** @param signature hex, as received */
export function isSigned(body: Buffer, signature: string | undefined, secret: string): boolean {
  const expected = createHmac('sha256', secret).update(body).digest();
  const given = Buffer.from(signature ?? '', 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function parseEvent(body: Buffer): z.output<typeof event> | undefined {
  try {
    return event.safeParse(JSON.parse(body.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

export function videoWebhookRoutes({ secret, videos, logger }: VideoWebhookDeps): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: bodyLimitBytes }, (_request, body, done) =>
      done(null, body),
    );
    app.post('/api-video', { schema: { hide: true } as object, bodyLimit: bodyLimitBytes }, async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const signature = [request.headers['x-api-video-signature'] ?? []].flat()[0];
      if (!isSigned(body, signature, secret)) {
        logger.warn({ request_id: request.id }, 'rejected a webhook of api.video: missing or wrong signature');
        throw new AppError('unauthenticated', { detail: 'The signature is missing or wrong.' });
      }
      const { type, videoId } = parseEvent(body) ?? {};
      if (type === undefined || videoId === undefined) return reply.code(204).send();
      const outcome = await videos.recordEvent(createHash('sha256').update(body).digest('hex'), videoId, type);
      logger.info({ kind: type, outcome }, 'webhook of api.video received');
      return reply.code(204).send();
    });
  };
}
