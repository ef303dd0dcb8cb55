import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import {
  changeSessionRequest,
  createSessionRequest,
  sessionList,
  sessionView,
} from '@greenroom/shared/protocol/platform-api.ts';
import { endingOf } from '@greenroom/shared/session/reasons.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { callerOf, callersWith, streamersWith } from '../access/route-access.ts';
import type { SessionRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { Readiness } from '../edge/readiness.ts';
import type { Launcher } from '../fleet/launcher.ts';
import { createMachineStopper, type StopMachinesDeps } from '../fleet/stop-machines.ts';
import { type CreateDeps, createSessionCreator } from '../sessions/create.ts';
import { createRescheduler } from '../sessions/reschedule.ts';
import { edgeRegionOf } from './edge-region.ts';
import { keyOf } from './idempotency.ts';
import { pageQuery, pagesOf } from './paging.ts';
import { summarise, type ViewDeps, viewSession } from './session-view.ts';

/** `/api/sessions`: creates, lists, shows, reschedules and ends sessions. */
export interface SessionRoutesDeps extends ViewDeps, StopMachinesDeps {
  sessions: SessionStore;
  create: CreateDeps;
  readiness: Pick<Readiness, 'wait' | 'notify'>;
  launcher: Launcher;
  /** Aborted when this process starts to shut down. It ends the waits of `Prefer: wait`. */
  stopping: AbortSignal;
}

export const sessionParams = z.object({ id: uuid });
const createHeaders = z.looseObject({ prefer: z.string().optional() });
const listQuery = z.strictObject({ ...pageQuery, status: z.enum(sessionStatuses).optional() });
const pages = pagesOf({
  ...{ name: 'sessions', position: z.object({ createdAt: timestamp, id: uuid }) },
  of: ({ created_at: createdAt, session_id: id }: SessionRow) => ({ createdAt, id }),
});
const maxWaitS = 60;

/** The seconds of `Prefer: wait=N`, at most 60. An invalid preference is ignored (RFC 7240). */
export function preferredWaitS(header: string | undefined): number {
  const found = /(?:^|[,;\s])wait="?(\d{1,6})"?(?:$|[,;\s])/i.exec(header ?? '')?.[1];
  return found === undefined ? 0 : Math.min(maxWaitS, Number(found));
}

export const sessionNotFound = (): AppError => new AppError('not_found', { detail: 'No such session.' });

export function sessionRoutes(deps: SessionRoutesDeps): FastifyPluginAsyncZod {
  const { sessions, readiness, launcher } = deps;
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

  return async (app) => {
    app.post(
      '/sessions',
      {
        config: streamersWith('sessions:write'), // `Prefer: wait` holds the answer.
        schema: {
          summary: 'Create a session',
          description:
            'Responds at once. With `Prefer: wait=N`, the response waits until the session is ready, N seconds at most (N ≤ 60). An inline candidate is matched by e-mail or external id, and its name is updated. If the stored candidate has another e-mail or external id: 409 `candidate_conflict`.',
          headers: createHeaders,
          body: createSessionRequest,
          response: { 201: sessionView },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const created = await createSession(request.body, {
          caller,
          idempotency: keyOf(request),
          edgeRegion: edgeRegionOf(request),
        });
        if (created.kind === 'created' && created.intent !== null) launcher.execute(created.intent);
        const waitS = preferredWaitS(request.headers.prefer);
        if (waitS > 0) reply.header('preference-applied', `wait=${waitS}`);
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
      '/sessions',
      {
        config: callersWith('sessions:read'),
        schema: { summary: 'List sessions, newest first', querystring: listQuery, response: { 200: sessionList } },
      },
      async (request) => {
        const caller = callerOf(request);
        const { status, ...query } = request.query;
        const { limit, after: before } = pages.request(query, { status });
        const found = await sessions.list({ tenantId: caller.tenantId, limit, before, status });
        const page = pages.page(found, query, { status });
        return { ...page, data: await Promise.all(page.data.map((row) => summarise(row, caller, deps))) };
      },
    );

    app.get(
      '/sessions/:id',
      {
        config: callersWith('sessions:read'),
        schema: { summary: 'Show a session', params: sessionParams, response: { 200: sessionView } },
      },
      async (request) => {
        const caller = callerOf(request);
        const row = await sessions.get(request.params.id, caller.tenantId);
        if (!row) throw sessionNotFound();
        return viewSession(row, caller, deps);
      },
    );

    app.patch(
      '/sessions/:id',
      {
        config: callersWith('sessions:write'),
        schema: {
          summary: 'Change the start time of a session that has not started',
          params: sessionParams,
          body: changeSessionRequest,
          response: { 200: sessionView },
        },
      },
      async (request) => {
        const caller = callerOf(request);
        const { session, plan } = await reschedule(request.params.id, caller.tenantId, request.body.scheduled_at);
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
          response: { 200: sessionView, 202: sessionView },
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
