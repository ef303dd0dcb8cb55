import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { sessionParams } from './sessions.ts';

/**
 * Serves the candidate's room page: static files of one folder, with a content security policy that allows
 * connections to this deployment, the transcript upload and the video provider only. The policy does not apply
 * to WebRTC.
 */
export interface RoomRoutesDeps {
  roomDir: string;
  publicUrl: string;
  transcriptUploadUrl: string;
  /** The video provider, to which the page uploads recordings. Null: nothing is recorded. */
  video: { url: string } | null;
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

const encodings = [
  { encoding: 'br', ending: '.br' },
  { encoding: 'gzip', ending: '.gz' },
] as const;
/** Matches file names that contain a hash of the content. */
const hashed = /-[A-Z0-9]{8}\.(?:js|css)$/;
const forEver = 'public, max-age=31536000, immutable';

// No segment begins with a dot, so a path cannot leave the folder or name a hidden file.
const assetPath = z.object({ '*': z.string().regex(/^(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/) });

/**
 * @param uploadUrl where the page uploads transcript entries that it could not send over its socket
 * @param videoUrl where the page uploads recordings
 */
export const contentSecurityPolicy = (publicUrl: string, uploadUrl: string, videoUrl?: string): string => {
  const socketUrl = publicUrl.replace(/^http/, 'ws');
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self' ${publicUrl} ${socketUrl} ${[uploadUrl, videoUrl].flatMap((url) => (url ? new URL(url).origin : [])).join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
};

export function roomRoutes({ roomDir, publicUrl, transcriptUploadUrl, video }: RoomRoutesDeps): FastifyPluginAsyncZod {
  const headers = {
    'content-security-policy': contentSecurityPolicy(publicUrl, transcriptUploadUrl, video?.url),
    'permissions-policy': 'microphone=(self), camera=(self), geolocation=()',
  };
  const read = (name: string) => readFile(path.join(roomDir, name)).catch(() => undefined);
  /** The best encoding that the browser accepts. The build writes compressed versions beside each file. */
  const readBest = async (name: string, accepted: string) => {
    for (const { encoding, ending } of encodings) {
      const file = accepted.includes(encoding) ? await read(`${name}${ending}`) : undefined;
      if (file) return { file, encoding };
    }
    const file = await read(name);
    return file && { file, encoding: undefined };
  };
  const sendFile = async (reply: FastifyReply, name: string, accepted = ''): Promise<FastifyReply> => {
    const type = types[path.extname(name)];
    const found = type === undefined ? undefined : await readBest(name, accepted);
    if (found === undefined || type === undefined) throw new AppError('not_found', { detail: 'No such page.' });
    if (found.encoding) reply.header('content-encoding', found.encoding);
    return reply
      .headers({ ...headers, vary: 'accept-encoding', 'cache-control': hashed.test(name) ? forEver : 'no-cache' })
      .type(type)
      .send(found.file);
  };
  return async (app) => {
    app.get('/join/:id', { schema: { hide: true, params: sessionParams } }, async (request, reply) =>
      sendFile(reply, 'index.html', request.headers['accept-encoding']),
    );
    app.get('/join-assets/*', { schema: { hide: true, params: assetPath } }, async (request, reply) =>
      sendFile(reply, request.params['*'], request.headers['accept-encoding']),
    );
  };
}
