/**
 * `client_secrets`, `calls` and `hangup` over HTTP.
 *
 * - A raw `application/sdp` offer needs an ephemeral secret and uses its session; the multipart form needs a
 *   standing key and contains its session. The other combinations are refused.
 * - The reply to an offer is 201 with `Location: /v1/realtime/calls/rtc_…` and the answer as `text/plain`, as
 *   recorded.
 * - A session with an unknown or invalid field is refused, wherever it comes from (session-rules.ts).
 * - A browser may call `calls` itself with an ephemeral secret, after a preflight.
 *
 * Special faults: `realtime.client_secrets` `garbage`, `already_expired`, `transcription_refused` (`value`: the model that is
 * refused in a conversation); `realtime.calls` `garbage_answer`, `no_location`.
 */
import type { FastifyRequest } from 'fastify';
import type { FaultAction } from '../faults.ts';
import type { WireReply, Work } from '../faulty-route.ts';
import { apiError, callNotFound } from './api-error.ts';
import type { Call } from './call.ts';
import type { CallControl } from './call-control.ts';
import type { Credential, Credentials } from './credentials.ts';
import type { Problem } from './rules.ts';
import { applyPatch, defaultSession } from './session-config.ts';
import { sessionProblem } from './session-rules.ts';
import { newWireId } from './wire.ts';

export interface NewCall {
  offer: string;
  session: unknown;
  credential: Credential;
  safetyIdentifier: string | undefined;
}

export interface RealtimeRouteDeps {
  credentials: Credentials;
  /** Undefined when the offer is not valid. */
  openCall(wanted: NewCall): Promise<Call | undefined>;
  findCall(id: string): Call | undefined;
  mayHangUp: CallControl['may'];
}

type Body = Record<string, unknown>;

const special = (cue: FaultAction | undefined): string | undefined => (cue?.kind === 'special' ? cue.name : undefined);
const invalid = (message: string, param: string | null = null) =>
  apiError(400, { message, code: 'invalid_value', param });

export function createRealtimeRoutes(deps: RealtimeRouteDeps) {
  return { clientSecrets: clientSecrets(deps), calls: forBrowsers(calls(deps)), preflight, hangup: hangup(deps) };
}

const clientSecrets =
  ({ credentials }: RealtimeRouteDeps): Work =>
  (request, cue) => {
    const credential = credentials.identify(request.headers.authorization);
    if (credential?.kind !== 'standing') return credentials.refusal(request.headers.authorization);
    if (special(cue) === 'garbage') return { status: 200, body: '<html>gateway</html>' };
    const body = (request.body ?? {}) as Body;
    const seconds = (body.expires_after as { seconds?: unknown } | undefined)?.seconds ?? 600;
    if (typeof seconds !== 'number' || seconds < 10 || seconds > 7200) {
      return invalid('Expected a number of seconds from 10 to 7200.', 'expires_after.seconds');
    }
    const wrong = sessionProblem(body.session) ?? refusedTranscription(body.session, cue);
    if (wrong) return apiError(400, wrong);
    const ttl = special(cue) === 'already_expired' ? -1 : seconds;
    const { value, expiresAt } = credentials.mint(credential, body.session, ttl);
    const session = { ...applyPatch(defaultSession(newWireId('sess'), 0), body.session), expires_at: 0 };
    return { status: 200, body: { value, expires_at: expiresAt, session } };
  };

/** On cue: the provider knows the model, and does not take it in a conversation. */
function refusedTranscription(session: unknown, cue: FaultAction | undefined): Problem | undefined {
  if (cue?.kind !== 'special' || cue.name !== 'transcription_refused') return undefined;
  const { audio } = (session ?? {}) as { audio?: { input?: { transcription?: { model?: string } | null } } };
  const model = audio?.input?.transcription?.model;
  if (model !== cue.value) return undefined;
  const param = 'session.audio.input.transcription.model';
  return { message: `Model '${model}' is not supported in this type of session.`, code: 'invalid_value', param };
}

const calls =
  ({ credentials, openCall }: RealtimeRouteDeps): Work =>
  async (request, cue) => {
    const credential = credentials.identify(request.headers.authorization);
    if (!credential) return credentials.refusal(request.headers.authorization);
    if (credential.kind === 'ephemeral' && credential.expired) {
      return apiError(401, { message: 'Ephemeral token expired.', code: 'invalid_api_key' });
    }
    const wanted = await readOffer(request, credential);
    if ('status' in wanted) return wanted;
    const wrong = sessionProblem(wanted.session ?? undefined);
    if (wrong) return apiError(400, wrong);
    const header = request.headers['openai-safety-identifier'];
    const safetyIdentifier = typeof header === 'string' ? header : undefined;
    const call = await openCall({ ...wanted, credential, safetyIdentifier });
    if (!call) return apiError(400, { message: 'Failed to parse SDP offer.', code: 'invalid_offer', param: 'sdp' });
    const garbled = special(cue) === 'garbage_answer';
    return { status: 201, headers: answerHeaders(call.id, cue), body: garbled ? 'v=banana' : call.answerSdp };
  };

const anyOrigin = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Location, X-Request-Id' };

/** Lets a page of another origin read the answer, also a refusal. */
const forBrowsers =
  (work: Work): Work =>
  async (request, cue) => {
    const reply = await work(request, cue);
    return { ...reply, headers: { ...reply.headers, ...anyOrigin } };
  };

const preflight: Work = (request) => ({
  status: 200,
  headers: {
    ...anyOrigin,
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '*',
    'access-control-max-age': '600',
  },
});

function answerHeaders(callId: string, cue: FaultAction | undefined): Record<string, string> {
  const location = special(cue) === 'no_location' ? {} : { location: `/v1/realtime/calls/${callId}` };
  return { ...location, 'content-type': 'text/plain; charset=utf-8' };
}

async function readOffer(
  request: FastifyRequest,
  credential: Credential,
): Promise<{ offer: string; session: unknown } | WireReply> {
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('application/sdp')) {
    if (credential.kind === 'ephemeral') return { offer: String(request.body), session: credential.session };
    return invalid('A raw SDP offer needs an ephemeral token.');
  }
  if (!type.startsWith('multipart/form-data')) {
    return apiError(400, { message: `Unsupported content type '${type}'.`, code: 'unsupported_content_type' });
  }
  if (credential.kind === 'ephemeral') return invalid('With an ephemeral token send the offer as application/sdp.');
  return readForm(request.body as Buffer, type);
}

async function readForm(body: Buffer, type: string): Promise<{ offer: string; session: unknown } | WireReply> {
  try {
    const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
    const offer = await textOf(form.get('sdp'));
    if (offer === undefined) return invalid("Missing required parameter: 'sdp'.", 'sdp');
    const session: unknown = JSON.parse((await textOf(form.get('session'))) ?? '{}');
    return { offer, session };
  } catch {
    return invalid('The form could not be read.');
  }
}

const textOf = async (part: FormDataEntryValue | null): Promise<string | undefined> =>
  part === null ? undefined : typeof part === 'string' ? part : part.text();

const hangup =
  ({ credentials, findCall, mayHangUp }: RealtimeRouteDeps): Work =>
  async (request) => {
    const credential = credentials.identify(request.headers.authorization);
    if (!credential) return credentials.refusal(request.headers.authorization);
    const call = findCall((request.params as { callId: string }).callId);
    if (!call?.live || !mayHangUp(call, credential)) return callNotFound;
    await call.end('hangup');
    return { status: 200 };
  };
