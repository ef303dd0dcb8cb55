import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { changeSessionRequest, createSessionRequest } from '@greenroom/shared/protocol/platform-api.ts';
import { type SessionExpansion, type ShownSession, shownSession } from '@greenroom/shared/protocol/session-reads.ts';
import { endingOf } from '@greenroom/shared/session/reasons.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Access } from '../access/authenticate.ts';
import type { Caller } from '../access/caller.ts';
import { createHolds, endOfWait, preferredWaitS } from '../access/held.ts';
import { callerOf, callersWith, holdersWith, streamersWith } from '../access/route-access.ts';
import type { SessionRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import { type Readiness, routeOfHot } from '../edge/readiness.ts';
import type { Launcher } from '../fleet/launcher.ts';
import { createMachineStopper, type StopMachinesDeps } from '../fleet/stop-machines.ts';
import { type CreateDeps, createSessionCreator } from '../sessions/create.ts';
import type { Creations } from '../sessions/creations.ts';
import { createRescheduler } from '../sessions/reschedule.ts';
import { unchangedSince } from './conditional.ts';
import { edgeRegionOf } from './edge-region.ts';
import { keyOf } from './idempotency.ts';
import { checkExpand, expandQuery } from './session-list.ts';
import { type ViewDeps, viewSession } from './session-view.ts';

/** `/api/sessions`: creates, shows, reschedules and ends sessions. */
export interface SessionRoutesDeps extends ViewDeps, StopMachinesDeps {
  access: Pick<Access, 'stands'>;
  sessions: SessionStore;
  create: CreateDeps;
  readiness: Pick<Readiness, 'wait' | 'notify' | 'learn'>;
  creations: Pick<Creations, 'begin'>;
  launcher: Launcher;
  /** Aborted when this process starts to shut down. It ends the waits of `Prefer: wait`. */
  stopping: AbortSignal;
}

export const sessionParams = z.object({ id: uuid });
const preferHeaders = z.looseObject({
  prefer: z
    .string()
    .optional()
    .describe('`wait=N`: answer when the session is ready or has ended, N seconds later at most (N ≤ 60).'),
});
export const sessionNotFound = (): AppError => new AppError('not_found', { detail: 'No such session.' });

export function sessionRoutes(deps: SessionRoutesDeps): FastifyPluginAsyncZod {
  const { sessions, readiness, creations, launcher } = deps;
  const createSession = createSessionCreator(deps.create);
  const reschedule = createRescheduler({ ...deps.create, sessions });

  /**
   * Waits until the session is ready, `waitS` at most, and returns it. If the database does not answer, returns
   * the row as it was created: the request has succeeded.
   */
  const waited = async (row: SessionRow, waitS: number): Promise<SessionRow> => {
    if (waitS === 0) return row;
    await readiness.wait(row.session_id, waitS * 1_000, deps.stopping);
    return (await sessions.get(row.session_id, row.tenant_id).catch(() => undefined)) ?? row;
  };

  const stopMachines = createMachineStopper(deps);
  const hold = createHolds();

  const shown = async (id: string, caller: Caller, expand?: SessionExpansion[]): Promise<ShownSession> => {
    const row = await sessions.get(id, caller.tenantId, expand);
    if (!row) throw sessionNotFound();
    return viewSession(row, caller, deps);
  };

  return async (app) => {
    app.post(
      '/sessions',
      {
        config: streamersWith('sessions:write'), // `Prefer: wait` holds the answer.
        schema: {
          summary: 'Create a session',
          description:
            'Responds at once. With `Prefer: wait=N`, the response waits until the session is ready, N seconds at most (N ≤ 60). An inline candidate is matched by e-mail or external id, and its name is updated. If the stored candidate has another e-mail or external id: 409 `candidate_conflict`.',
          headers: preferHeaders,
          body: createSessionRequest,
          response: { 201: shownSession },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const answered = creations.begin();
        reply.raw.once('close', answered);
        const created = await createSession(request.body, {
          caller,
          idempotency: keyOf(request),
          edgeRegion: edgeRegionOf(request),
        });
        if (created.kind === 'created' && created.intent !== null) {
          if (created.intent.action === 'wake') readiness.learn(routeOfHot(created.session, created.intent));
          launcher.execute(created.intent);
        }
        const waitS = preferredWaitS(request.headers.prefer);
        if (waitS > 0) {
          reply.header('preference-applied', `wait=${waitS}`);
          answered();
        }
        const row = await waited(created.session, waitS);
        const { invitationCode } = created;
        const plan = created.kind === 'created' ? created.plan : null;
        return reply
          .code(201)
          .header('location', `/api/sessions/${row.session_id}`)
          .send(await viewSession(row, caller, deps, { invitationCode, plan }));
      },
    );

    app.get(
      '/sessions/:id',
      {
        config: holdersWith('sessions:read'),
        schema: {
          summary: 'Show a session',
          description:
            'With `Prefer: wait=N`, the response waits until the session is ready or has ended, N seconds at most (N ≤ 60).',
          params: sessionParams,
          headers: preferHeaders,
          querystring: z.strictObject(expandQuery),
          response: { 200: shownSession },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const { expand } = request.query;
        const { id } = request.params;
        checkExpand(caller, expand);
        const waitS = preferredWaitS(request.headers.prefer);
        if (waitS === 0) return shown(id, caller, expand);
        await shown(id, caller);
        await hold(caller, () => readiness.wait(id, waitS * 1_000, endOfWait(reply, deps.stopping)));
        if (request.raw.socket.destroyed) return reply.hijack();
        const [answer, stands] = await Promise.all([
          shown(id, caller, expand),
          deps.access.stands(request, caller, 'sessions:read'),
        ]);
        if (!stands) throw new AppError('unauthenticated', { detail: 'The credential was revoked meanwhile.' });
        reply.header('preference-applied', `wait=${waitS}`);
        return answer;
      },
    );

    app.patch(
      '/sessions/:id',
      {
        config: { ...callersWith('sessions:write'), ifMatch: true },
        schema: {
          summary: 'Change the start time of a session that has not started',
          params: sessionParams,
          body: changeSessionRequest,
          response: { 200: shownSession },
        },
      },
      async (request) => {
        const caller = callerOf(request);
        const { id } = request.params;
        const ifUpdatedAt = await unchangedSince(request, () => shown(id, caller));
        const { session, plan } = await reschedule(id, caller.tenantId, request.body.scheduled_at, ifUpdatedAt);
        return viewSession(session, caller, deps, { plan });
      },
    );

    app.delete(
      '/sessions/:id',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'End a session',
          description: '202: the worker is ending the session. 200: the session has ended.',
          params: sessionParams,
          response: { 200: shownSession, 202: shownSession },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const end = await sessions.requestEnd(request.params.id, caller.tenantId, endingOf('ended_by_platform'));
        if (end.kind === 'not_found') throw sessionNotFound();
        if (end.kind === 'accepted') stopMachines(end.machines, 'the platform ended the session');
        readiness.notify(request.params.id);
        const ended = end.session.completed_at !== null;
        return reply.code(ended ? 200 : 202).send(await viewSession(end.session, caller, deps));
      },
    );
  };
}
