import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import {
  createInvitationRequest,
  type InvitationView,
  invitationList,
  invitationView,
  newInvitationView,
} from '@greenroom/shared/protocol/people.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy, sha256 } from '../access/authenticate.ts';
import { callerOf, callersWith } from '../access/route-access.ts';
import type { PeopleStore } from '../database/people-store.ts';
import type { SessionStore } from '../database/session-store.ts';
import { wholeList } from './paging.ts';
import { joinUrl } from './session-view.ts';
import { sessionNotFound, sessionParams } from './sessions.ts';

/**
 * `/api/sessions/{id}/invitations`: links with an invitation code. A link is shown only once. Sending it again
 * creates a new link and revokes the old one.
 */
export interface InvitationRoutesDeps {
  people: PeopleStore;
  sessions: Pick<SessionStore, 'get'>;
  publicUrl: string;
  /** Life of an invitation if the request does not say, ms. */
  sessionExpiresMs: number;
}

const params = z.object({ id: uuid, invitation: uuid });
const notFound = (): AppError => new AppError('not_found', { detail: 'No such invitation.' });

export function invitationRoutes(deps: InvitationRoutesDeps): FastifyPluginAsyncZod {
  const { people, sessions, publicUrl, sessionExpiresMs } = deps;

  const lifeMs = (body: { expires_in_minutes?: number | undefined } | null | undefined): number =>
    body?.expires_in_minutes === undefined ? sessionExpiresMs : body.expires_in_minutes * 60_000;

  type Invited = Awaited<ReturnType<PeopleStore['invite']>>;
  const linked = (result: Invited, code: string, missing: () => AppError): InvitationView & { join_url: string } => {
    if (result.kind === 'not_found') throw missing();
    if (result.kind === 'ended') throw new AppError('session_ended');
    if (result.kind === 'limit_exceeded')
      throw new AppError('conflict', {
        detail: `The session already has ${result.limit} invitations, the maximum. Use an open one, or create a new session.`,
      });
    return { ...result.invitation, join_url: joinUrl(publicUrl, result.invitation.session_id, code) };
  };

  return async (app) => {
    app.post(
      '/sessions/:id/invitations',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Create an invitation link for the candidate',
          params: sessionParams,
          body: createInvitationRequest.nullish(),
          response: { 201: newInvitationView },
        },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const code = newSecret();
        const by = actBy(request, actor);
        const invitation = { tenantId, codeHash: sha256(code), expiresMs: lifeMs(request.body), by };
        const result = await people.invite(request.params.id, invitation);
        return reply.code(201).send(linked(result, code, sessionNotFound));
      },
    );

    app.get(
      '/sessions/:id/invitations',
      {
        config: callersWith('sessions:read'),
        schema: {
          summary: 'List invitations, oldest first',
          description: 'A session has at most 100 invitations, so there is only one page.',
          params: sessionParams,
          response: { 200: invitationList },
        },
      },
      async (request) => {
        const { tenantId } = callerOf(request);
        const { id } = request.params;
        const invitations = await people.invitations(id, tenantId);
        if (invitations.length === 0 && !(await sessions.get(id, tenantId))) throw sessionNotFound();
        return wholeList(invitations);
      },
    );

    app.post(
      '/sessions/:id/invitations/:invitation/resend',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Replace an invitation link; the old link stops working',
          params,
          body: createInvitationRequest.nullish(),
          response: { 201: newInvitationView },
        },
      },
      async (request, reply) => {
        const { tenantId, actor } = callerOf(request);
        const { id, invitation } = request.params;
        const code = newSecret();
        const by = actBy(request, actor);
        const again = { tenantId, codeHash: sha256(code), expiresMs: lifeMs(request.body), by };
        return reply.code(201).send(linked(await people.resendInvitation(id, invitation, again), code, notFound));
      },
    );

    app.delete(
      '/sessions/:id/invitations/:invitation',
      {
        config: callersWith('sessions:write'),
        schema: { summary: 'Revoke an invitation', params, response: { 200: invitationView } },
      },
      async (request) => {
        const { tenantId, actor } = callerOf(request);
        const { id, invitation } = request.params;
        const result = await people.revokeInvitation(id, invitation, tenantId, actBy(request, actor));
        if (result.kind === 'not_found') throw notFound();
        return result.invitation;
      },
    );
  };
}
