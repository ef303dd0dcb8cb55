import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { interviewContext } from '@greenroom/shared/protocol/platform-api.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { SessionStore } from '../database/session-store.ts';
import { sha256 } from './authenticate.ts';
import { isJoinable, type ViewDeps, websocketUrl } from './session-view.ts';

/**
 * `POST /api/join`: a browser exchanges the invitation code of its link for a join token. Public: the code is the
 * credential. The first browser to use it is bound to it by a secret of its own (`browser`), and may come again with it.
 */
export interface JoinRoutesDeps extends ViewDeps {
  sessions: Pick<SessionStore, 'exchangeInvitation'>;
}

const secret = z.string().regex(/^[\w-]{16,128}$/, 'must be 16–128 characters of base64url');
const joinRequest = z.strictObject({ session_id: uuid, code: secret, browser: secret.optional() });
const joinView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  join_token: z.string(),
  websocket_url: z.string(),
  interview_context: interviewContext,
  simulated: z.boolean(),
  /** Keep it, and send it when you come again with the same code. */
  browser: z.string(),
});

// Any page may host the candidate's components; no cookie is involved, so nothing rides along.
const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': 'content-type',
  'access-control-max-age': '600',
};

export function joinRoutes({ sessions, publicUrl, browserTokens }: JoinRoutesDeps): FastifyPluginAsyncZod {
  const exchange = async (sessionId: string, code: string, browser: string) => {
    const result = await sessions.exchangeInvitation(sessionId, sha256(code), sha256(browser));
    if (result.kind === 'accepted') return result.session;
    if (result.kind === 'invalid') throw new AppError('invitation_invalid');
    throw new AppError(result.kind === 'used' ? 'invitation_used' : 'session_ended');
  };
  return async (app) => {
    app.addHook('onRequest', async (_request, reply) => void reply.headers(corsHeaders));
    app.options('/join', { schema: { hide: true } }, async (_request, reply) => reply.code(204).send());
    app.post(
      '/join',
      {
        schema: {
          summary: 'Exchange an invitation code for a join token',
          body: joinRequest,
          response: { 200: joinView },
        },
      },
      async (request) => {
        const { session_id, code, browser = newSecret() } = request.body;
        const session = await exchange(session_id, code, browser);
        if (!isJoinable(session)) throw new AppError('not_joinable', { retryAfterS: 5 });
        return {
          session_id,
          status: session.status,
          join_token: await browserTokens.mintJoin({ session_id, tenant_id: session.tenant_id }),
          websocket_url: websocketUrl(publicUrl, session_id),
          interview_context: session.interview_context,
          simulated: session.simulated,
          browser,
        };
      },
    );
  };
}
