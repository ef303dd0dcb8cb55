import { randomUUID } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { ScriptedOffer, ScriptedSession } from '@greenroom/shared/protocol/scripted-call.ts';
import { type ClientMessage, subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket.ts';
import { audiences } from '@greenroom/shared/protocol/tokens.ts';
import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { createInterview } from './interview.ts';
import type { Http } from './outside/http.ts';
import { createOrchestrator } from './outside/orchestrator.ts';
import { noTracing } from './outside/tracing.ts';
import { createScriptedVoice } from './realtime/scripted/voice.ts';
import { createUpgrade } from './room/upgrade.ts';

/**
 * A worker practises while it waits for a session or for its candidate: it serves a made-up session to a made-up candidate.
 * What runs for the first time is slow (V8 compiles it, zod builds its parsers, OpenSSL loads its algorithms), and a candidate
 * should not wait for that.
 *
 * - Nothing leaves the process. Answers come from `answers` instead of a network, the candidate's socket is a stream in
 *   memory, the clock starts no timers, and the log is thrown away. The parts are the real ones, built as for a session.
 * - Nothing of it is kept: each object is reachable only from here, and the tokens are signed with a key that is made here.
 * - It runs in small steps and stops before the next one when `signal` aborts.
 * - The image build runs it too (rehearse.ts): what it compiled is in the image's compile cache, for every worker.
 */
export async function practise(signal: AbortSignal): Promise<void> {
  const pause = async <T>(value?: T): Promise<T> => {
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    return value as T;
  };
  await pause();
  const session = await makeUp();
  await pause();
  const http = answering(session.claim);
  const orchestrator = createOrchestrator({ http, baseUrl: nowhere, workerToken: () => 'none', requestMs: 1_000 });
  const claimed = await orchestrator.claim('none', randomUUID(), 0);
  if (claimed.kind !== 'ok' || !('session' in claimed.value)) throw new Error('the made-up claim cannot be read');
  await pause();
  let token = claimed.value.worker_token.token;
  const interview = createInterview({
    ...{ clock: stillClock, log: quietLog(), http, claim: claimed.value, orchestrator, tracing: noTracing },
    voice: createScriptedVoice({ clock: stillClock }),
    workerToken: {
      current: () => token,
      set: (fresh) => {
        token = fresh;
      },
    },
    reclaim: async () => 'unreachable',
  });
  await pause();
  interview.start();
  const candidate = createCandidate(signal);
  const request = upgradeRequest(candidate.stream, session);
  const entrance = await pause(await interview.admit(request));
  createUpgrade()(request, candidate.stream, Buffer.alloc(0), entrance);
  await candidate.receives('101 Switching Protocols');
  await pause();
  candidate.says({ type: 'init_session' });
  await candidate.receives('"session_ready"');
  await pause();
  candidate.says({ type: 'sdp_offer', sdp: JSON.stringify({ scripted: 1 } satisfies Partial<ScriptedOffer>) });
  await candidate.receives('"sdp_answer"');
  await pause();
  candidate.stream.destroy();
  await pause();
  // The answer to its heartbeat is that another machine serves the session: it stops, and reports nothing.
  await interview.terminate();
  await interview.done;
}

/** A port at which nothing listens; no request is sent to it. */
const nowhere = 'http://127.0.0.1:9';

/** Reads the time, but nothing happens because it passes: what was begun here does not outlive the practice. */
const stillClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: () => ({ cancel: () => undefined }),
  sleep: () => new Promise(() => undefined),
};

const quietLog = () => createLogger({ component: 'practice', destination: { write: () => undefined } });

interface MadeUp {
  claim: ClaimResponse;
  joinToken: string;
  replayToken: string;
}

async function makeUp(): Promise<MadeUp> {
  const { exportJWK, generateKeyPair, SignJWT } = await import('jose');
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const [id, tenantId] = [randomUUID(), randomUUID()];
  const sign = (audience: string, more: object = {}) =>
    new SignJWT({ session_id: id, tenant_id: tenantId, ...more })
      .setProtectedHeader({ alg: 'ES256', kid: 'practice' })
      .setIssuer(nowhere)
      .setAudience(audience)
      .setExpirationTime('1m')
      .sign(privateKey);
  const key = { ...(await exportJWK(publicKey)), kid: 'practice', alg: 'ES256', use: 'sig' };
  const claim: ClaimResponse = {
    machine_id: randomUUID(),
    session: {
      ...{ id, tenant_id: tenantId, epoch: 1, status: 'ready', max_duration_ms: 60_000, started_at: null },
      ...{ simulated: true, allowed_origins: [] },
    },
    worker_token: { token: 'none', expires_at: Date.now() },
    now: Date.now(),
    supabase: { url: nowhere, publishable_key: 'none' },
    join_keys: { keys: [key] } as ClaimResponse['join_keys'],
    join_issuer: nowhere,
    ...{ reconnect_token: 'none', transcript_token: 'none', transcript_url: nowhere, ice_servers: [] },
    realtime: { adapter: 'scripted', webrtc_filter: false },
    ...{ open_call: null, next_ordinal: 1, deadlines: defaultDeadlines, directive: { kind: 'continue' } },
    trace: { traceparent: `00-${'1'.repeat(32)}-${'1'.repeat(16)}-00`, wanted: false },
  };
  return { claim, joinToken: await sign(audiences.join), replayToken: await sign(audiences.replay, { epoch: 1 }) };
}

/** Answers in place of the orchestrator and the database. */
function answering(claim: ClaimResponse): Http {
  const script: ScriptedSession = { type: 'scripted', questions: ['?'] };
  const answers: Record<string, unknown> = {
    claim,
    heartbeat: { lease_ms: 1_000, directive: { kind: 'fenced' } },
    calls: { ordinal: 1, credential: { value: 'none', base_url: nowhere, expires_at: Date.now() }, session: script },
    worker_report: { status: 'connecting' },
  };
  const send: Http = Object.assign(
    async ({ url }: { url: string }) => {
      const body = answers[url.slice(url.lastIndexOf('/') + 1)];
      return {
        status: body === undefined ? 204 : 200,
        headers: {},
        body: body === undefined ? '' : JSON.stringify(body),
      };
    },
    { close: async () => undefined },
  );
  return send;
}

/** The candidate's browser as a stream in memory, from the worker's side. */
function createCandidate(signal: AbortSignal) {
  let heard = '';
  let look = () => {};
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, written) => {
      heard += String(chunk);
      look();
      written();
    },
  });
  stream.on('error', () => undefined);
  signal.addEventListener('abort', () => stream.destroy(), { once: true });
  const receives = (text: string) =>
    new Promise<void>((resolve, reject) => {
      look = () => heard.includes(text) && resolve();
      stream.once('close', () => reject(signal.reason ?? new Error(`the socket was closed before ${text}`)));
      look();
    });
  return { stream, receives, says: (message: ClientMessage) => void stream.push(masked(JSON.stringify(message))) };
}

/** A text frame as a browser sends it. The mask is zero, which leaves the text as it is. */
const masked = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);
};

function upgradeRequest(stream: Duplex, { claim, joinToken, replayToken }: MadeUp): IncomingMessage {
  const request = new IncomingMessage(stream as Socket);
  request.method = 'GET';
  request.url = `/ws/sessions/${claim.session.id}`;
  Object.assign(request.headers, {
    ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
    'sec-websocket-key': Buffer.alloc(16).toString('base64'),
    'sec-websocket-protocol': `${subprotocol}, ${tokenSubprotocolPrefix}${joinToken}`,
    'fly-replay-src': `instance=practice;state=${replayToken}`,
  });
  return request;
}
