import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { MachineIdentity, WorkerClaims } from '@greenroom/shared/protocol/tokens.ts';
import {
  claimPending,
  claimRequest,
  claimResponse,
  type Directive,
  finishRequest,
  heartbeatRequest,
  heartbeatResponse,
  openCallRequest,
  openCallResponse,
  updateCallRequest,
} from '@greenroom/shared/protocol/worker-api.ts';
import { workerTraces } from '@greenroom/shared/protocol/worker-traces.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { bearerOf } from '../access/bearer.ts';
import { vital } from '../access/pressure.ts';
import { remoteAddressOf } from '../access/remote-address.ts';
import type { Config } from '../config.ts';
import type { RecordAudit } from '../database/audit-store.ts';
import type { CallStore } from '../database/call-store.ts';
import type { MachineStore } from '../database/machine-store.ts';
import type { ClaimRow, RouteRow } from '../database/rows.ts';
import type { Endings } from '../fleet/ending.ts';
import type { HotWorkers } from '../fleet/hot-workers.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Recorder } from '../tracing/recorder.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { VideoOffers } from '../video/offers.ts';
import { type CallOpenerDeps, createCallOpener } from '../voice/opening-calls.ts';
import { answerClaim, type ClaimAnswerDeps, routeOfClaim } from './claims.ts';
import type { Heartbeats } from './heartbeats.ts';
import type { MachineIdentities } from './machine-identity.ts';
import { spansOf } from './worker-spans.ts';

/**
 * The worker API, `/worker/v1`. The machine's OIDC token authorises `claim`; the worker token authorises the
 * other routes. Both are checked before the body is read.
 *
 * - A worker token is renewed only while the directive is `continue`. A worker that must end, or that was
 *   replaced, has the remaining life of its token to finish.
 * - These routes are served when the process is overloaded and refuses the platform API (access/pressure.ts),
 *   because leases depend on them.
 */
export interface WorkerRoutesDeps extends ClaimAnswerDeps, Omit<CallOpenerDeps, 'calls' | 'interviewer'> {
  config: Config;
  machines: Pick<MachineStore, 'claim' | 'finish'>;
  calls: CallStore;
  identities: MachineIdentities;
  heartbeats: Heartbeats;
  /** Null when video recording is not configured. */
  videoOffers: VideoOffers | null;
  endings: Pick<Endings, 'watch' | 'destroy'>;
  hotWorkers: Pick<HotWorkers, 'hold'>;
  audit: RecordAudit;
  clock: Clock;
  logger: Logger;
  /** Called when a session's state may have changed. */
  onChange: (sessionId: string) => void;
  tracing: Pick<Tracing, 'isOn' | 'know'>;
  /** Undefined if spans are not exported. */
  recorder: Recorder | undefined;
  /** Called with the route to a worker that has just claimed. */
  learnRoute: (row: RouteRow) => void;
}

type Worker = WorkerClaims & { expiresAtMs: number };

/** Aborts when the connection closes before it was answered. */
function closedOf({ raw }: FastifyReply): AbortSignal {
  const closed = new AbortController();
  raw.once('close', () => !raw.writableEnded && closed.abort());
  return closed.signal;
}

export function workerRoutes(deps: WorkerRoutesDeps): FastifyPluginAsyncZod {
  const { config, machines, calls, identities, heartbeats, endings, databaseTokens, clock, logger, onChange } = deps;
  const { hotWorkers } = deps;
  const openCall = createCallOpener({ ...deps, interviewer: config.voice });

  const refusals = (request: FastifyRequest, why: string, target?: string) =>
    deps
      .audit({
        actor: 'worker',
        action: 'worker.claim',
        outcome: 'refused',
        target,
        remote_address: remoteAddressOf(request),
        request_id: request.id,
        details: { why },
      })
      .catch((error: unknown) => logger.warn({ error }, 'could not write a refusal to the audit log'));

  const machineOf = async (request: FastifyRequest) => {
    const token = bearerOf(request);
    const verified = token === undefined ? ({ kind: 'bad', why: 'no token' } as const) : await identities.verify(token);
    if (verified.kind === 'good') return verified.identity;
    logger.warn({ reason: verified.why, request_id: request.id }, 'worker identity refused');
    void refusals(request, verified.why);
    throw new AppError('worker_identity_refused');
  };

  const workerOf = async (request: FastifyRequest): Promise<Worker> => {
    const token = bearerOf(request);
    const verified = token === undefined ? undefined : await databaseTokens.verifyWorker(token);
    if (verified?.kind !== 'good') throw new AppError('unauthenticated');
    return { ...verified.claims, expiresAtMs: verified.expiresAtMs };
  };

  /** A new token when half the life of the current one is over. */
  const renewed = async ({ expiresAtMs, ...claims }: Worker, directive: Directive) =>
    directive.kind === 'continue' && expiresAtMs - clock.now() < config.deadlines.workerTokenMs / 2
      ? { worker_token: await databaseTokens.mintWorker(claims) }
      : {};

  /** A loser whose Fly id is not known yet is destroyed later, by the code that creates it or by the reaper. */
  const destroyLosers = (losers: Extract<ClaimRow, { kind: 'claimed' }>['losers'], winner: string): void => {
    for (const { machine_id, app_name, fly_machine_id } of losers)
      if (fly_machine_id !== null)
        endings.destroy({ machine_id, app_name, fly_machine_id }, 'superseded', `${winner} claimed its session`);
  };

  const ordinal = z.object({ ordinal: z.coerce.number().int().min(1).max(1_000) });

  const machinesKnown = new WeakMap<FastifyRequest, MachineIdentity>();
  const workersKnown = new WeakMap<FastifyRequest, Worker>();
  const claiming = {
    config: vital,
    onRequest: async (request: FastifyRequest) => void machinesKnown.set(request, await machineOf(request)),
  };
  const working = {
    config: vital,
    onRequest: async (request: FastifyRequest) => {
      const worker = await workerOf(request);
      const { session_id, tenant_id, machine_id } = worker;
      deps.tracing.know({ session_id, tenant_id, machine_id });
      workersKnown.set(request, worker);
    },
  };
  /** Refused when the process is overloaded: spans may be lost. */
  const tracing = { config: { routine: 204 }, onRequest: working.onRequest };
  const workerKnown = (request: FastifyRequest): Worker => workersKnown.get(request) as Worker;

  return async (app) => {
    app.post(
      '/claim',
      // 202: a hot worker goes on waiting for a session.
      {
        ...claiming,
        config: { ...vital, routine: 202 },
        schema: { body: claimRequest, response: { 200: claimResponse, 202: claimPending } },
      },
      async (request, reply) => {
        const identity = machinesKnown.get(request) as MachineIdentity;
        crashPoint('claim.asked');
        const claimed = await machines.claim({
          machineName: identity.machine_name,
          appName: identity.app_name,
          flyMachineId: identity.machine_id,
          bootNonce: request.body.boot_nonce,
          imageDigest: identity.image_digest,
          vmMs: request.body.vm_ms,
          processMs: request.body.process_ms,
        });
        const ids = {
          machine_name: identity.machine_name,
          fly_machine_id: identity.machine_id,
          region: identity.region,
        };
        if (claimed.kind === 'refused') {
          logger.warn({ ...ids, reason: claimed.why }, 'claim refused');
          if (claimed.retry) throw new AppError('claim_too_early', { retryAfterS: 1 });
          void refusals(request, claimed.why, identity.machine_name);
          throw new AppError('claim_refused', { detail: `The claim was refused: ${claimed.why}.` });
        }
        crashPoint('claim.committed');
        if (claimed.kind === 'waiting') {
          crashPoint('hot.registered');
          if (request.body.hold) await hotWorkers.hold(claimed, closedOf(reply));
          return reply.code(202).send({ hold_ms: config.deadlines.hotHoldMs });
        }
        const { session_id, epoch } = claimed.session;
        logger.info({ ...ids, session_id, epoch }, 'session claimed');
        destroyLosers(claimed.losers, identity.machine_name);
        const answer = await answerClaim(claimed, identity, deps);
        onChange(session_id);
        deps.learnRoute(routeOfClaim(claimed, identity));
        return answer;
      },
    );

    app.post(
      '/heartbeat',
      {
        ...working,
        config: { ...vital, routine: 200 },
        schema: { body: heartbeatRequest, response: { 200: heartbeatResponse } },
      },
      async (request) => {
        const worker = workerKnown(request);
        const directive = await heartbeats.record({
          machine_id: worker.machine_id,
          epoch: worker.epoch,
          ...request.body,
        });
        const video = await deps.videoOffers?.of(worker.session_id, request.body.video_ordinal);
        return {
          lease_ms: config.deadlines.leaseMs,
          directive,
          now: deps.clock.now(),
          ...(await renewed(worker, directive)),
          ...(video ? { video } : {}),
        };
      },
    );

    app.post(
      '/calls',
      { ...working, schema: { body: openCallRequest, response: { 201: openCallResponse } } },
      async (request, reply) => {
        const { machine_id: machineId, epoch } = workerKnown(request);
        return reply.code(201).send(await openCall({ machineId, epoch, ordinal: request.body.ordinal }));
      },
    );

    app.patch(
      '/calls/:ordinal',
      { ...working, schema: { params: ordinal, body: updateCallRequest } },
      async (request, reply) => {
        const { machine_id: machineId, epoch } = workerKnown(request);
        const news = 'call_id' in request.body ? { callId: request.body.call_id } : { hungUp: true };
        const found = await calls.record({ machineId, epoch, ordinal: request.params.ordinal }, news);
        if (!found) throw new AppError('not_found', { detail: 'This machine has no such call.' });
        return reply.code(204).send();
      },
    );

    app.post('/traces', { ...tracing, schema: { body: workerTraces } }, async (request, reply) => {
      for (const span of spansOf(request.body, workerKnown(request))) deps.recorder?.add(span);
      return reply.code(204).send();
    });

    app.post('/finish', { ...working, schema: { body: finishRequest } }, async (request, reply) => {
      const worker = workerKnown(request);
      const { kind, app_name, fly_machine_id } = await machines.finish(worker.machine_id, worker.epoch, request.body);
      crashPoint('finish.committed');
      const { session_id, machine_id } = worker;
      logger.info(
        { session_id, machine_id, kind, ...('reason' in request.body ? { reason: request.body.reason } : {}) },
        'worker finished',
      );
      if (app_name && fly_machine_id) endings.watch({ machine_id, app_name, fly_machine_id }, 'session_ended');
      onChange(session_id);
      if (kind === 'fenced') throw new AppError('fenced');
      if (kind === 'unknown') throw new AppError('not_found');
      return reply.code(204).send();
    });
  };
}
