import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { WebSocket } from 'ws';
import { createInterview, type Interview, notReady } from './interview.ts';
import { claimSession } from './lifecycle/claim.ts';
import type { Identity } from './lifecycle/identity.ts';
import type { Http } from './outside/http.ts';
import { createOrchestrator, type Uptimes } from './outside/orchestrator.ts';
import { preloadStore } from './outside/store.ts';
import { noTracing, type Tracing } from './outside/tracing.ts';
import { practise } from './practice.ts';
import type { VoiceFactory } from './realtime/voice.ts';
import type { AcceptUpgrade } from './room/upgrade.ts';
import { tracedOrchestrator } from './traced.ts';

/**
 * The life of this process: it claims one session, serves it, and exits.
 *
 *   starting → claiming → serving → over
 *
 * The worker of a hot machine waits within `claiming`. The first socket that reaches it makes it claim at once, and is
 * admitted when the session is claimed.
 *
 * A worker practises (practice.ts) while it waits for a session, or else while it waits for the candidate. It stops when a
 * socket, a session or a request to stop comes, and does not begin while a socket waits.
 */
export interface Worker {
  /** Claims and serves; resolves with the exit code. Never rejects. */
  run(): Promise<number>;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** True from the claim to the end: while Fly's proxy may send candidates here. */
  readonly ready: boolean;
  /** Stops the worker; a second call shortens the teardown. */
  terminate(): void;
  /** Sends spans (outside/tracing.ts). Resolves with the status of the answer; 0: none came. */
  sendTraces(body: string): Promise<number>;
}

export interface WorkerDeps {
  clock: Clock;
  log: Logger;
  http: Http;
  voice: VoiceFactory;
  identity: Identity;
  acceptUpgrade: AcceptUpgrade;
  orchestratorUrl: string;
  claimMs: number;
  /** How long a hot worker waits without an answer of an orchestrator, ms. */
  waitMs: number;
  requestMs: number;
  bootNonce: string;
  /** @default unknown */
  uptimes?: Uptimes;
  /** @default nothing is traced */
  tracing?: Tracing;
  /** What a worker does once while it waits for a session or for the candidate. @default practice.ts */
  practise?: (signal: AbortSignal) => Promise<void>;
}

/** How long a socket may wait at a hot worker for the claim, ms, and how many may. */
const firstContactMs = 5_000;
const firstContacts = 8;
/** How long a hot worker that is asked to stop waits for the answer whether it has a session, ms. */
const lastLookMs = 2_000;
/** How long the exit waits for the export of spans, ms: a small part of the time that Fly gives a machine to stop. */
const lastSpansMs = 2_000;
/** A VM that claims to have booted longer before its process shares its host's kernel, as in the local cloud. */
const longestBootMs = 60_000;
/** A candidate who waited for the claim comes within this time after it, ms. The practice begins later. */
const practiceAfterMs = 200;

export function createWorker(deps: WorkerDeps): Worker {
  const { clock, log, http, identity, bootNonce, claimMs, waitMs, tracing = noTracing } = deps;
  let token = '';
  let interview: Interview | undefined;
  let over = false;
  let hurry: (() => void) | undefined;
  let contacts = 0;
  /** The practice under way. Aborted when there may be a session, when a socket comes, and at the end. */
  let practice = new AbortController();
  /** False once it has practised, or a socket has come. */
  let mayPractise = true;
  const serving = Promise.withResolvers<void>();
  let stopBeforeClaim: (code: number) => void = () => {};
  const direct = createOrchestrator({
    http,
    traceparent: tracing.traceparent,
    baseUrl: deps.orchestratorUrl,
    workerToken: () => token,
    requestMs: deps.requestMs,
    ...(deps.uptimes ? { uptimes: deps.uptimes } : {}),
  });
  const orchestrator = tracedOrchestrator(direct, tracing, clock.now);

  const recordBoot = (): void => {
    const { vm_ms: vmMs = 0, process_ms: processMs = 0 } = deps.uptimes?.() ?? {};
    const nowMs = clock.now();
    if (vmMs > processMs && vmMs - processMs < longestBootMs)
      tracing.record({ name: 'boot machine', startMs: nowMs - vmMs, endMs: nowMs - processMs });
    tracing.record({ name: 'boot worker', startMs: nowMs - processMs, endMs: nowMs });
  };
  const reclaim = async (): Promise<'renewed' | 'refused' | 'unreachable'> => {
    const result = await claimSession({ clock, log, identity, orchestrator, bootNonce, claimMs, waitMs });
    if (result.kind !== 'claimed') return result.kind === 'refused' ? 'refused' : 'unreachable';
    token = result.claim.worker_token.token;
    return 'renewed';
  };
  const serve = async (claim: ClaimResponse): Promise<number> => {
    practice.abort();
    token = claim.worker_token.token;
    tracing.join(claim);
    const workerToken = {
      current: () => token,
      set: (fresh: string) => {
        token = fresh;
      },
    };
    interview = createInterview({
      ...{ clock, log, http, voice: deps.voice, claim, orchestrator, workerToken, reclaim, tracing },
    });
    log.info(
      {
        ...{ session_id: claim.session.id, tenant_id: claim.session.tenant_id },
        ...{ epoch: claim.session.epoch, machine_id: claim.machine_id },
      },
      'session claimed',
    );
    interview.start();
    serving.resolve();
    void practiseBeforeCandidate();
    await interview.done;
    practice.abort();
    await tracing.close(lastSpansMs);
    return 0;
  };
  const onWaiting = (claimNow: () => void) => {
    log.info({}, 'hot: waiting for a session');
    hurry = claimNow;
    void practiseOnce();
  };
  const practiseOnce = async (): Promise<void> => {
    const { signal } = practice;
    const startedMs = clock.monotonicMs();
    try {
      await (deps.practise ?? practise)(signal);
      mayPractise = false;
      log.info({ elapsed_ms: Math.round(clock.monotonicMs() - startedMs) }, 'practised');
    } catch (error) {
      if (!signal.aborted)
        log.warn({ error }, 'the practice failed: the candidate will wait a little longer for the first answer');
    }
  };
  const practiseBeforeCandidate = async (): Promise<void> => {
    if (!mayPractise) return;
    practice = new AbortController();
    const { signal } = practice;
    await clock.sleep(practiceAfterMs, signal).catch(() => undefined);
    if (!signal.aborted) await practiseOnce();
  };
  /** Needed for the first socket and the first write. The event loop is idle now. */
  const onAsked = () =>
    setImmediate(() => {
      void import('jose');
      preloadStore();
    });
  const claimAndServe = async (): Promise<number> => {
    const limits = { claimMs, waitMs };
    const hooks = { onWaiting, onAsked };
    recordBoot();
    const result = await claimSession({ clock, log, identity, orchestrator, bootNonce, ...limits, ...hooks });
    if (over) return 0;
    if (result.kind === 'claimed') return serve(result.claim);
    if (result.kind === 'refused')
      log.warn({ code: result.code, status_code: result.status }, 'claim refused; exiting');
    else log.error({ elapsed_ms: result.elapsedMs }, 'no claim in time; giving up');
    return result.kind === 'refused' ? 0 : 1;
  };

  /** Claims at once if this worker is hot, and waits for the session. */
  const claimNow = async (limitMs: number): Promise<void> => {
    if (interview || over || !hurry) return;
    hurry();
    const limit = new AbortController();
    await Promise.race([serving.promise, clock.sleep(limitMs, limit.signal).catch(() => undefined)]);
    limit.abort();
  };
  const firstContact = async (): Promise<void> => {
    if (interview || contacts >= firstContacts) return;
    contacts += 1;
    await claimNow(firstContactMs);
    contacts -= 1;
  };
  const decide = async (request: IncomingMessage): Promise<(ws: WebSocket) => void> => {
    await firstContact();
    return interview ? interview.admit(request) : (ws) => ws.close(notReady.code, notReady.reason);
  };

  return {
    run: async () => {
      const stopped = new Promise<number>((resolve) => {
        stopBeforeClaim = resolve;
      });
      const code = await Promise.race([claimAndServe(), stopped]).catch((error: unknown) => {
        log.fatal({ error }, 'the worker failed');
        return 1;
      });
      over = true;
      return code;
    },
    upgrade: (request, socket, head) => {
      mayPractise = false;
      practice.abort();
      socket.on('error', () => socket.destroy());
      // Admission is decided before the upgrade is accepted, so that the room already listens when the first
      // frame arrives.
      decide(request).then(
        (entrance) => deps.acceptUpgrade(request, socket, head, entrance),
        (error: unknown) => {
          log.error({ error }, 'the admission of a socket failed');
          socket.destroy();
        },
      );
    },
    get ready() {
      return interview !== undefined && !over;
    },
    sendTraces: direct.traces,
    terminate: () => {
      practice.abort();
      // The machine may just have been assigned: then its session must be handed over.
      void claimNow(lastLookMs).then(() => {
        if (interview) return interview.terminate();
        over = true;
        stopBeforeClaim(0);
      });
    },
  };
}
