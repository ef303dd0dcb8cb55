import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText } from '@greenroom/shared/protocol/common.ts';
import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { forAnybody, type OperatorAccess } from '../access/operators.ts';

/**
 * `POST /ops/api/sign-in` exchanges an operator's token for the dashboard's cookie; `/sign-out` drops it. Where a sign-in provider
 * is configured, `GET /ops/api/sign-in/oidc` leads to it. Browsers open that address and its callback, so a refusal leads
 * back to the dashboard, with the code of the error.
 */
export const signInRoutes =
  (access: OperatorAccess): FastifyPluginAsyncZod =>
  async (app) => {
    const body = z.strictObject({ token: plainText(300).min(1) });
    app.post('/sign-in', { config: forAnybody, schema: { body } }, async (request, reply) => {
      const { cookie, operator } = access.signIn(request, request.body.token.trim());
      return reply.header('set-cookie', cookie).send({ role: operator.role });
    });
    app.get('/sign-in/ways', { config: forAnybody }, async () => ({ token: true, oidc: access.signOn !== null }));
    const { signOn } = access;
    if (signOn) {
      const back = (reply: FastifyReply, error: unknown): FastifyReply => {
        if (!(error instanceof AppError)) throw error;
        return reply.redirect(`/?sign_in=${error.code}`);
      };
      app.get('/sign-in/oidc', { config: forAnybody }, async (_request, reply) => {
        try {
          const { location, cookie } = await signOn.begin();
          return reply.header('set-cookie', cookie).redirect(location);
        } catch (error) {
          return back(reply, error);
        }
      });
      app.get('/sign-in/oidc/callback', { config: forAnybody }, async (request, reply) => {
        try {
          return reply.header('set-cookie', await signOn.complete(request)).redirect('/');
        } catch (error) {
          return back(reply, error);
        }
      });
    }
    app.post('/sign-out', { config: forAnybody }, async (_request, reply) =>
      reply.header('set-cookie', access.signOut).code(204).send(),
    );
  };
