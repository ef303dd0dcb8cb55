import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { assetPath, createStaticFiles } from '../http/static-files.ts';
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
  const sendFile = createStaticFiles(roomDir, headers);
  return async (app) => {
    app.get('/join/:id', { schema: { hide: true, params: sessionParams } }, async (request, reply) =>
      sendFile(request, reply, 'index.html'),
    );
    app.get('/join-assets/*', { schema: { hide: true, params: assetPath } }, async (request, reply) =>
      sendFile(request, reply, request.params['*']),
    );
  };
}
