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
import type { VoiceFactory } from './realtime/voice.ts';
import type { AcceptUpgrade } from './room/upgrade.ts';

/**
 * The life of this process: it claims one session, serves it, and exits.
 *
 *   starting → claiming → serving → over
 */
export interface Worker {
  /** Claims and serves; resolves with the exit code. Never rejects. */
  run(): Promise<number>;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** True from the claim to the end: while Fly's proxy may send candidates here. */
  readonly ready: boolean;
  /** Stops the worker; a second call shortens the teardown. */
  terminate(): void;
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
  requestMs: number;
  bootNonce: string;
  /** @default unknown */
  uptimes?: Uptimes;
}

export function createWorker(deps: WorkerDeps): Worker {
  const { clock, log, http, identity, bootNonce, claimMs } = deps;
  let token = '';
  let interview: Interview | undefined;
  let over = false;
  let stopBeforeClaim: (code: number) => void = () => {};
  const orchestrator = createOrchestrator({
    http,
    baseUrl: deps.orchestratorUrl,
    workerToken: () => token,
    requestMs: deps.requestMs,
    ...(deps.uptimes ? { uptimes: deps.uptimes } : {}),
  });

  const reclaim = async (): Promise<'renewed' | 'refused' | 'unreachable'> => {
    const result = await claimSession({ clock, log, identity, orchestrator, bootNonce, claimMs });
    if (result.kind !== 'claimed') return result.kind === 'refused' ? 'refused' : 'unreachable';
    token = result.claim.worker_token.token;
    return 'renewed';
  };
  const serve = async (claim: ClaimResponse): Promise<number> => {
    token = claim.worker_token.token;
    const workerToken = {
      current: () => token,
      set: (fresh: string) => {
        token = fresh;
      },
    };
    interview = createInterview({ clock, log, http, voice: deps.voice, claim, orchestrator, workerToken, reclaim });
    log.info(
      { session_id: claim.session.id, epoch: claim.session.epoch, machine_id: claim.machine_id },
      'session claimed',
    );
    interview.start();
    await interview.done;
    return 0;
  };
  const claimAndServe = async (): Promise<number> => {
    const result = await claimSession({ clock, log, identity, orchestrator, bootNonce, claimMs });
    if (over) return 0;
    if (result.kind === 'claimed') return serve(result.claim);
    if (result.kind === 'refused')
      log.warn({ code: result.code, status_code: result.status }, 'claim refused; exiting');
    else log.error({ elapsed_ms: claimMs }, 'no claim in time; giving up');
    return result.kind === 'refused' ? 0 : 1;
  };

  const decide = async (request: IncomingMessage): Promise<(ws: WebSocket) => void> =>
    interview ? interview.admit(request) : (ws) => ws.close(notReady.code, notReady.reason);

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
    terminate: () => {
      if (interview) return void interview.terminate();
      over = true;
      stopBeforeClaim(0);
    },
  };
}
