import { plainText } from '@greenroom/shared/protocol/common.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { forAnybody, type OperatorAccess } from '../access/operators.ts';

/** `POST /ops/api/sign-in` exchanges an operator's token for the dashboard's cookie; `/sign-out` drops it. */
export const signInRoutes =
  (access: OperatorAccess): FastifyPluginAsyncZod =>
  async (app) => {
    const body = z.strictObject({ token: plainText(300).min(1) });
    app.post('/sign-in', { config: forAnybody, schema: { body } }, async (request, reply) => {
      const { cookie, operator } = access.signIn(request, request.body.token.trim());
      return reply.header('set-cookie', cookie).send({ role: operator.role });
    });
    app.post('/sign-out', { config: forAnybody }, async (_request, reply) =>
      reply.header('set-cookie', access.signOut).code(204).send(),
    );
  };
