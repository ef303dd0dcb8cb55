import { uptime } from 'node:os';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import { createLogger, type Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Config } from './config.ts';
import { createIdentity } from './lifecycle/identity.ts';
import { createHttp } from './outside/http.ts';
import { createTracing, type Tracing } from './outside/tracing.ts';
import { createOpenAiVoice } from './realtime/openai/voice.ts';
import { createScriptedVoice } from './realtime/scripted/voice.ts';
import type { VoiceFactory } from './realtime/voice.ts';
import { createUpgrade } from './room/upgrade.ts';
import { createWorker, type Worker } from './worker.ts';

/** The composition root: builds every part of the process from its configuration. */
export interface Deps {
  log: Logger;
  worker: Worker;
}

export function createDeps(config: Config): Deps {
  const clock = systemClock;
  const log = createLogger({
    ...{ component: 'session-worker', level: config.logLevel },
    context: () => tracing.fields(),
  }).child(config.machine);
  const http = createHttp({ clock });
  const tracing: Tracing = createTracing({
    ...{ clock, log, traceparent: config.traceparent },
    send: (body) => worker.sendTraces(body),
  });
  const adapters = { openai: createOpenAiVoice({ http, clock }), scripted: createScriptedVoice({ clock }) };
  const voice: VoiceFactory = (options) => adapters[options.realtime.adapter](options);
  const worker: Worker = createWorker({
    clock,
    log,
    tracing,
    http,
    voice,
    identity: createIdentity({
      clock,
      http: createHttp({ clock, socketPath: config.flyApiSocket }),
      audience: config.orchestratorUrl,
    }),
    acceptUpgrade: createUpgrade(),
    orchestratorUrl: config.orchestratorUrl,
    claimMs: config.deadlines.claimMs,
    waitMs: config.deadlines.leaseLostMs,
    requestMs: config.deadlines.providerRequestMs,
    bootNonce: newSecret(),
    uptimes: () => ({ vm_ms: Math.round(uptime() * 1_000), process_ms: Math.round(process.uptime() * 1_000) }),
  });
  return { log, worker };
}
