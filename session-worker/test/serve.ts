import type { AddressInfo, Socket } from 'node:net';
import { type Clock, systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createLogger, type Logger } from '@greenroom/shared/runtime/logger.ts';
import { buildApp } from '../src/app.ts';
import { createIdentity } from '../src/lifecycle/identity.ts';
import { createHttp } from '../src/outside/http.ts';
import { createOpenAiVoice } from '../src/realtime/openai/voice.ts';
import type { VoiceFactory } from '../src/realtime/voice.ts';
import { createUpgrade } from '../src/room/upgrade.ts';
import { createWorker, type Worker, type WorkerDeps } from '../src/worker.ts';
import { type Peers, type PeersOptions, startPeers } from './peers.ts';

/** A whole worker inside the test's process, with scripted peers. */
export interface Served {
  peers: Peers;
  port: number;
  worker: Worker;
  /** The exit code. */
  exited: Promise<number>;
  /** Everything it logged. */
  logged(): string;
  close(): Promise<void>;
}

export interface ServeOptions extends PeersOptions {
  clock?: Clock;
  claimMs?: number;
  /** Default: OpenAI's, against the scripted peers. */
  voice?: VoiceFactory;
  /** Default: the worker's own. */
  practise?: WorkerDeps['practise'];
  prepare?: (peers: Peers) => void;
}

export async function serveWorker({
  clock = systemClock,
  claimMs = 5_000,
  voice,
  practise,
  prepare,
  ...options
}: ServeOptions = {}): Promise<Served> {
  const peers = await startPeers(options);
  prepare?.(peers);
  let lines = '';
  const log: Logger = createLogger({
    component: 'test',
    level: 'trace',
    destination: {
      write: (line) => {
        lines += line;
      },
    },
  });
  const http = createHttp({ clock });
  const flyHttp = createHttp({ clock, socketPath: peers.flySocket });
  const worker = createWorker({
    clock,
    log,
    http,
    voice: voice ?? createOpenAiVoice({ http, clock }),
    identity: createIdentity({ http: flyHttp, audience: peers.url, clock }),
    acceptUpgrade: createUpgrade(),
    orchestratorUrl: peers.url,
    claimMs,
    waitMs: 5_000,
    requestMs: 5_000,
    bootNonce: 'a-nonce-of-this-boot',
    ...(practise ? { practise } : {}),
  });
  const app = buildApp(worker);
  const sockets = new Set<Socket>();
  app.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  return {
    peers,
    port: (app.address() as AddressInfo).port,
    worker,
    exited: worker.run(),
    logged: () => lines,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => app.close(resolve));
      await Promise.all([http.close(), flyHttp.close()]);
      await peers.close();
    },
  };
}
