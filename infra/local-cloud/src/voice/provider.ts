/**
 * A voice provider on loopback: OpenAI's realtime calls and Responses API, with a real WebRTC peer per call.
 * Plain http and ws. It contains nothing specific to Greenroom.
 *
 * Fault points: `realtime.client_secrets`, `realtime.preflight`, `realtime.calls`, `realtime.hangup`
 * (realtime-routes.ts), `realtime.sideband` (sideband.ts, delivery.ts), `realtime.turn` (conversation.ts),
 * `responses` (responses.ts), `models`. Attributes to match: `callId` at `realtime.hangup`,
 * `realtime.sideband` and `realtime.turn`. The special fault `line` at `realtime.line` (taken when a call begins)
 * has the value of line.ts.
 */
import { type Clock, systemClock } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import fastify from 'fastify';
import { createFaults, type Faults } from '../faults.ts';
import { createFaultyRoute } from '../faulty-route.ts';
import { errorBody, usualBody } from './api-error.ts';
import { type Call, type CallSnapshot, openCall } from './call.ts';
import { type CallControl, type CallOwner, createCallControl } from './call-control.ts';
import { createCredentials } from './credentials.ts';
import type { LineFault } from './line.ts';
import { createModels } from './models.ts';
import { createRealtimeRoutes, type NewCall } from './realtime-routes.ts';
import { createResponses } from './responses.ts';
import { createInterviewScript, type InterviewScript } from './script.ts';
import { applyPatch, defaultSession } from './session-config.ts';
import { createSidebandServer } from './sideband.ts';
import { newWireId } from './wire.ts';

export interface VoiceProviderOptions {
  /** Default 0: any free port. */
  port?: number;
  /** Standing keys. Default: one random key. The first is the provider's `apiKey`. */
  apiKeys?: string[];
  /** Keys of projects that are bound to another region, and the host at which each is valid. Default: none. */
  elsewhere?: Record<string, string>;
  /** Questions in the interview. Default 4. Ignored when `script` is given. */
  turns?: number;
  script?: InterviewScript;
  /** How long the interviewer speaks in a turn, milliseconds. Default 300. */
  paceMs?: number | ((text: string) => number);
  /** From the end of the candidate's turn to the reply, milliseconds. Default 20. */
  thinkMs?: number;
  /** Silence that ends the candidate's turn, milliseconds. Default: what the session says (200 if it says nothing). */
  silenceMs?: number;
  /** Longest turn of the candidate, milliseconds. Default 60,000. */
  maxTurnMs?: number;
  /** Duration limit of a call, milliseconds. Default 60 minutes. */
  maxCallMs?: number;
  /** Begin when the media is up instead of at the first `response.create`. Default false, like the real one. */
  autoStart?: boolean;
  /** Keep a `response.create` that arrives before the media is up. Default false, like the real one. */
  holdUntilMedia?: boolean;
  /** The candidate's voice interrupts the interviewer. Default false. */
  bargeIn?: boolean;
  /** Any known credential may hang up any call. Default false. */
  lenientHangup?: boolean;
  /** The tool called after the last turn. Default `end_session`. */
  endTool?: string;
  /**
   * Names the interview that a call belongs to, so that a later call continues where the last one stopped
   * even if its context does not show it (`resumeAt` in script.ts). Default: none.
   */
  scriptKeyOf?: (call: NewCall) => string | undefined;
  faults?: Faults;
  clock?: Clock;
}

export interface ScriptControl {
  /** A whole turn of the candidate without audio. */
  candidateTurn(callId: string, durationMs?: number): void;
  /** The candidate interrupts the current reply, or the next one. */
  interrupt(callId: string): void;
  /** Makes the network between candidate and provider bad, or whole again. */
  line(callId: string, fault: LineFault | undefined): void;
  /** The duration limit is reached now. */
  expire(callId: string): Promise<void>;
  /** Cuts the call's sidebands without a closing handshake; the call continues. Returns their number. */
  cutSidebands(callId: string): number;
  /** Which credentials may attach sidebands and hang up from now on. At the start: the one that created the call. */
  callsBelongTo(owner: CallOwner): void;
  /** Switches whether calls stay open although they were hung up (which is still confirmed) or their peer is gone. */
  keepCalls(kept: boolean): void;
  /** The provider loses the call: media and sidebands are cut, and the call is unknown from then on. */
  loseCall(callId: string): Promise<void>;
}

export interface VoiceProvider {
  /** Without a path, e.g. `http://127.0.0.1:40123`; the API is at `/v1`, the sideband at the same place as `ws:`. */
  readonly url: string;
  readonly apiKey: string;
  readonly faults: Faults;
  readonly script: ScriptControl;
  /** All calls so far, oldest first. */
  calls(): CallSnapshot[];
  /** Removes a standing key and the secrets minted with it. */
  revokeKey(key: string): void;
  health(): { ok: boolean; url: string; live: number; ended: number };
  /** Ends all calls, cuts all connections. */
  stop(): Promise<void>;
}

export async function startVoiceProvider(options: VoiceProviderOptions = {}): Promise<VoiceProvider> {
  const clock = options.clock ?? systemClock;
  const faults = options.faults ?? createFaults();
  const apiKeys = options.apiKeys ?? [`sk-local-${newSecret(24)}`];
  const credentials = createCredentials(apiKeys, clock, options.elsewhere);
  const control = createCallControl();
  const calls = createCallRegistry(options, faults, clock, control);
  const sidebands = createSidebandServer({ credentials, findCall: calls.find, mayControl: control.may, faults, clock });
  const app = createApp();
  const route = createFaultyRoute({ faults, clock, bodyFor: usualBody });
  const lenientHangup = options.lenientHangup ?? false;
  const realtime = createRealtimeRoutes({
    ...{ credentials, openCall: calls.open, findCall: calls.find },
    mayHangUp: lenientHangup ? () => true : control.may,
  });
  app.post('/v1/realtime/client_secrets', route('realtime.client_secrets', realtime.clientSecrets));
  app.options('/v1/realtime/calls', route('realtime.preflight', realtime.preflight));
  app.post('/v1/realtime/calls', route('realtime.calls', realtime.calls));
  app.post('/v1/realtime/calls/:callId/hangup', route('realtime.hangup', realtime.hangup));
  app.post('/v1/responses', route('responses', createResponses({ credentials, clock })));
  app.get('/v1/models', route('models', createModels({ credentials })));
  app.server.on('upgrade', (request, socket, head) => void sidebands.upgrade(request, socket, head));
  const url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });

  return {
    url,
    apiKey: apiKeys[0] ?? '',
    faults,
    script: {
      candidateTurn: (id, durationMs) => calls.get(id).conversation.candidateTurn(durationMs),
      interrupt: (id) => calls.get(id).conversation.interrupt(),
      line: (id, fault) => calls.get(id).setLine(fault),
      expire: (id) => calls.get(id).end('session_expired'),
      cutSidebands: sidebands.cut,
      callsBelongTo: control.give,
      keepCalls: control.keep,
      loseCall: async (id) => {
        sidebands.cut(id);
        await calls.get(id).end('provider_lost');
      },
    },
    calls: calls.snapshots,
    revokeKey: credentials.revoke,
    health: () => {
      const live = calls.snapshots().filter((call) => call.state === 'live').length;
      return { ok: app.server.listening, url, live, ended: calls.snapshots().length - live };
    },
    stop: async () => {
      await calls.endAll();
      sidebands.stop();
      await app.close();
    },
  };
}

function createApp() {
  const app = fastify({ forceCloseConnections: true, bodyLimit: 32 * 1024 * 1024, genReqId: () => newWireId('req') });
  // Hang-ups have `content-type: application/json` and no body.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? undefined : JSON.parse(String(body)));
    } catch {
      done(Object.assign(new Error('We could not parse the JSON body of your request.'), { statusCode: 400 }));
    }
  });
  app.addContentTypeParser('application/sdp', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.addContentTypeParser(/^multipart\/form-data/, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onSend', async (request, reply) => void reply.header('x-request-id', request.id));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0];
    return reply.status(404).send(errorBody({ message: `Invalid URL (${request.method} ${path})` }));
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    const type = status >= 500 ? 'server_error' : 'invalid_request_error';
    return reply.status(status).send(errorBody({ message: error.message, type }));
  });
  return app;
}

const maxCallMsByDefault = 60 * 60_000;

function createCallRegistry(
  options: VoiceProviderOptions,
  faults: Faults,
  clock: Clock,
  control: Pick<CallControl, 'isKept'>,
) {
  const calls = new Map<string, Call>();
  const progress = new Map<string, number>();
  const { paceMs = 300 } = options;
  const script = options.script ?? createInterviewScript(options.turns ?? 4);
  const maxCallMs = options.maxCallMs ?? maxCallMsByDefault;

  async function open(wanted: NewCall): Promise<Call | undefined> {
    // The call and its session share the letters of their ids, as in recordings.
    const letters = newWireId('u0');
    const id = `rtc_${letters}`;
    const expiresAt = Math.floor((clock.now() + maxCallMs) / 1000);
    const key = options.scriptKeyOf?.(wanted);
    const call = await openCall({
      id,
      session: applyPatch(defaultSession(`sess_${letters}`, expiresAt), wanted.session),
      offer: wanted.offer,
      credential: wanted.credential,
      safetyIdentifier: wanted.safetyIdentifier,
      conversation: {
        pace: { speakMs: typeof paceMs === 'number' ? () => paceMs : paceMs, thinkMs: options.thinkMs ?? 20 },
        script,
        startAt: key === undefined ? 0 : (progress.get(key) ?? 0),
        onProgress: (position) => key !== undefined && progress.set(key, position),
        cue: () => nameOf(faults.take('realtime.turn', { callId: id })),
        bargeIn: options.bargeIn ?? false,
        endTool: options.endTool ?? 'end_session',
      },
      autoStart: options.autoStart ?? false,
      holdUntilMedia: options.holdUntilMedia ?? false,
      silenceMs: options.silenceMs,
      isKept: control.isKept,
      maxTurnMs: options.maxTurnMs ?? 60_000,
      maxCallMs,
      lineFault: lineFaultOf(faults.take('realtime.line')),
      clock,
    });
    if (call) calls.set(id, call);
    return call;
  }
  return {
    open,
    find: (id: string) => calls.get(id),
    get: (id: string): Call => {
      const call = calls.get(id);
      if (!call) throw new Error(`there is no call ${id}`);
      return call;
    },
    snapshots: () => [...calls.values()].map((call) => call.snapshot()),
    endAll: async () => void (await Promise.all([...calls.values()].map((call) => call.end('provider_stopped')))),
  };
}

const lineFaultOf = (action: ReturnType<Faults['take']>) =>
  action?.kind === 'special' ? (action.value as LineFault) : undefined;
const nameOf = (action: ReturnType<Faults['take']>) => (action?.kind === 'special' ? action.name : undefined);
