import { createHmac, randomInt } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { iceServer, plainText, text, uuid } from '@greenroom/shared/protocol/common.ts';
import { consentView, endingView, handoverCode, lookView, withdrawnView } from '@greenroom/shared/protocol/people.ts';
import { interviewContext } from '@greenroom/shared/protocol/platform-api.ts';
import { itemId, maxCorrection, storedTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import { adjustmentsIn, extraTimeWithin } from '@greenroom/shared/session/adjustments.ts';
import { endingOf } from '@greenroom/shared/session/reasons.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { sha256 } from '../access/authenticate.ts';
import type { NoteRefusal } from '../access/refusals.ts';
import { addressBlockOf, remoteAddressOf } from '../access/remote-address.ts';
import { everybody } from '../access/route-access.ts';
import type { PeopleStore } from '../database/people-store.ts';
import type { SessionRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import type { Readiness } from '../edge/readiness.ts';
import { createMachineStopper, type StopMachinesDeps } from '../fleet/stop-machines.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Arrivals } from '../sessions/arrivals.ts';
import type { BrowserTokens } from '../tokens/browser-tokens.ts';
import { iceServersFor, type RelayConfig } from '../voice/relays.ts';
import { edgeRegionOf } from './edge-region.ts';
import type { LinkLimits } from './link-limits.ts';
import { isJoinable, type ViewDeps, websocketUrl } from './session-view.ts';

/**
 * `/api/join`: the candidate's browser exchanges the invitation code of its link for a join token, after
 * consent if the tenant requires it. The routes are public: the code is the credential.
 *
 * - Showing an invitation (`GET`) does not bind it. The first browser that consents or joins is bound to the
 *   code by a secret (`browser`) and can join again with it. Another browser can take its place with a short
 *   hand-over code.
 * - The code is sent in a body or a header, never in a URL, because URLs are logged.
 * - Requests are limited per address and per link (link-limits.ts). A refused code is written to the audit log.
 * - Only a keyed hash of the address from which consent was given is stored. It can be compared as evidence but
 *   does not reveal the address.
 * - A consent can be withdrawn by the bound browser as long as the invitation is kept, also after the session's end.
 * - A pending session with placement `on_join` is started by this exchange, near the edge region of the
 *   request.
 */
export interface JoinRoutesDeps extends Omit<ViewDeps, 'browserTokens'>, StopMachinesDeps {
  people: Pick<
    PeopleStore,
    | 'look'
    | 'offerHandover'
    | 'takeHandover'
    | 'join'
    | 'readConsent'
    | 'giveConsent'
    | 'declineConsent'
    | 'correctEntry'
    | 'withdrawConsent'
  >;
  sessions: Pick<SessionStore, 'transcript'>;
  browserTokens: Pick<BrowserTokens, 'mintJoin' | 'mintTranscript'>;
  noteRefusal: NoteRefusal;
  arrivals: Arrivals;
  transcriptUploadUrl: string;
  relays: RelayConfig;
  clock: Pick<Clock, 'now'>;
  /** Requests per minute and address. */
  perMinute: number;
  links: LinkLimits;
  /** Key for hashing the address from which consent is given. */
  addressKey: Buffer;
  readiness: Pick<Readiness, 'notify' | 'wait'>;
}

const secret = text(128).regex(/^[\w-]{16,128}$/, 'must be 16–128 characters of base64url');
const joinRequest = z.strictObject({ session_id: uuid, code: secret, browser: secret.optional() });
const joinView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  join_token: z.string(),
  transcript_token: z
    .string()
    .describe('For uploading entries that could not be sent over the socket. Outlives the session by a day.'),
  transcript_url: z.string().describe('Where to upload them: `POST {entries}` with that token as the bearer token.'),
  websocket_url: z.string(),
  ice_servers: z.array(iceServer).describe('Relays (TURN) for `RTCPeerConnection`. Empty: none are needed.'),
  interview_context: interviewContext,
  simulated: z.boolean(),
  browser: z.string().describe("The browser's secret. Store it, and send it when joining again with the same code."),
});

const boundRequest = joinRequest.extend({ browser: secret });
const continueRequest = boundRequest.extend({ handover_code: handoverCode });
const correctionRequest = boundRequest.extend({
  ordinal: z.number().int().min(1).max(1_000),
  item_id: itemId,
  correction: plainText(maxCorrection)
    .min(1)
    .nullable()
    .describe('What the candidate really said. Null removes an earlier correction.'),
});
const handoverMs = 600_000;
const newHandoverCode = (): string => String(randomInt(1_000_000)).padStart(6, '0');
/**
 * The hash includes the session id, so that a table of the hashes of all six-digit codes is useful for one
 * session only.
 */
const handoverHashOf = (sessionId: string, code: string): string => sha256(`${sessionId}:${code}`);

const consentQuery = z.strictObject({ session_id: uuid });
const consentHeaders = z.looseObject({ 'greenroom-invitation': secret });
const lookHeaders = consentHeaders.extend({ 'greenroom-session': uuid, 'greenroom-browser': secret.optional() });
const boundHeaders = lookHeaders.required();
const consentRequest = joinRequest.extend({ browser: secret, text_version: plainText(100).min(1) });

// Any page may embed the candidate's components. Cookies are not used, so a request carries no ambient credential.
const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': 'content-type, greenroom-invitation, greenroom-session, greenroom-browser',
  'access-control-max-age': '600',
};
/** What was agreed for this candidate, as the candidate sees it. */
function adjustmentsOf({ settings, max_duration_ms }: Pick<SessionRow, 'settings' | 'max_duration_ms'>) {
  const given = adjustmentsIn(settings);
  const extra_minutes = Math.round(extraTimeWithin(given, max_duration_ms) / 60_000);
  return { extra_minutes, slower: given.slower ?? false, typing: given.typing ?? false };
}
const bodyLimitBytes = 4_096;
/** A correction in characters of four bytes, and the rest of the request. */
const correctionLimitBytes = bodyLimitBytes + 4 * maxCorrection;
const refusals = { invalid: 'invitation_invalid', used: 'invitation_used', ended: 'session_ended' } as const;

export function joinRoutes(deps: JoinRoutesDeps): FastifyPluginAsyncZod {
  const {
    people,
    sessions,
    publicUrl,
    browserTokens,
    noteRefusal,
    arrivals,
    perMinute,
    addressKey,
    transcriptUploadUrl,
  } = deps;
  const { links, readiness } = deps;
  const stopMachines = createMachineStopper(deps);

  const refuse = (request: FastifyRequest, sessionId: string, kind: keyof typeof refusals): AppError => {
    if (kind !== 'ended')
      noteRefusal({
        actor: 'candidate',
        action: 'invitation.use',
        target: sessionId,
        remote_address: remoteAddressOf(request),
        request_id: request.id,
        details: { why: kind },
      });
    return new AppError(refusals[kind]);
  };

  const exchange = async (request: FastifyRequest, sessionId: string, code: string, browser: string) => {
    const result = await links.use(sessionId, code, () => people.join(sessionId, sha256(code), sha256(browser)));
    if (result.kind === 'accepted') return result.session;
    if (result.kind === 'consent_required')
      throw new AppError('consent_required', {
        detail: `Show the consent text ${result.text_version} to the candidate and record the consent first.`,
      });
    throw refuse(request, sessionId, result.kind);
  };

  const hashOf = (request: FastifyRequest): string =>
    createHmac('sha256', addressKey).update(remoteAddressOf(request)).digest('hex');

  return async (app) => {
    await app.register(rateLimit, {
      max: perMinute,
      timeWindow: 60_000,
      // Before the body is read, so that guessed codes cost little.
      hook: 'onRequest',
      enableDraftSpec: true,
      keyGenerator: addressBlockOf,
      errorResponseBuilder: (_request, { ttl }) =>
        new AppError('rate_limited', { retryAfterS: Math.max(1, Math.ceil(ttl / 1_000)) }),
    });
    app.addHook('onRequest', async (_request, reply) => void reply.headers(corsHeaders));
    for (const path of [
      '/join',
      '/join/handover',
      '/join/continue',
      '/join/consent',
      '/join/decline',
      '/join/transcript',
      '/join/correct',
      '/join/withdraw',
    ])
      app.options(
        path,
        { schema: { hide: true }, config: { ...everybody, rateLimit: false } },
        async (_request, reply) => reply.code(204).send(),
      );

    app.get(
      '/join',
      {
        config: everybody,
        schema: {
          summary: 'Show the interview of an invitation',
          description:
            'Does not bind the invitation: a link that was opened on one device can be joined on another. The code and the ' +
            'secret of the browser are sent in headers, because URLs are logged.',
          security: [],
          headers: lookHeaders,
          response: { 200: lookView },
        },
      },
      async (request) => {
        const {
          'greenroom-session': session_id,
          'greenroom-invitation': code,
          'greenroom-browser': browser = '',
        } = request.headers;
        const found = await links.use(session_id, code, () => people.look(session_id, sha256(code), sha256(browser)));
        if (found.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        const { session, organiser, starts_at, records_video, consent, ending, now, bound } = found;
        const { position, candidate } = session.interview_context;
        return {
          session_id,
          status: session.status,
          starts_at,
          now,
          joinable: isJoinable(session),
          organiser,
          position: { title: position.title },
          candidate: { name: candidate.name },
          minutes: Math.round(session.max_duration_ms / 60_000),
          adjustments: adjustmentsOf(session),
          records_video,
          simulated: session.simulated,
          consent,
          ending,
          bound,
        };
      },
    );

    app.post(
      '/join/handover',
      {
        config: everybody,
        bodyLimit: bodyLimitBytes,
        schema: {
          summary: 'Get a short code to continue in another browser',
          description:
            'Only for the browser that joined. The code is valid for ten minutes, for one use and for five attempts.',
          security: [],
          body: boundRequest,
          response: { 200: z.object({ handover_code: handoverCode, expires_at: z.string() }) },
        },
      },
      async (request) => {
        const { session_id, code, browser } = request.body;
        const made = newHandoverCode();
        const hash = handoverHashOf(session_id, made);
        const offered = await links.use(session_id, code, () =>
          people.offerHandover(session_id, sha256(code), sha256(browser), hash, handoverMs),
        );
        if (offered.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        return { handover_code: made, expires_at: offered.expires_at };
      },
    );

    app.post(
      '/join/continue',
      {
        config: everybody,
        bodyLimit: bodyLimitBytes,
        schema: {
          summary: 'Continue in this browser with the code that the first browser shows',
          description: 'Binds the invitation to this browser. Then send a join request.',
          security: [],
          body: continueRequest,
          response: { 200: z.object({ bound: z.literal('here') }) },
        },
      },
      async (request) => {
        const { session_id, code, browser, handover_code } = request.body;
        const by = { actor: 'candidate', remote_address: remoteAddressOf(request), request_id: request.id };
        const hash = handoverHashOf(session_id, handover_code);
        const taken = await links.use(session_id, code, () =>
          people.takeHandover(session_id, sha256(code), sha256(browser), hash, by),
        );
        if (taken.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        if (taken.kind === 'wrong')
          throw new AppError('handover_refused', {
            detail:
              taken.tries_left > 0 ? `Attempts left: ${taken.tries_left}.` : 'Get a new code in the first browser.',
          });
        return { bound: 'here' as const };
      },
    );

    app.post(
      '/join',
      {
        config: everybody,
        bodyLimit: bodyLimitBytes,
        schema: {
          summary: 'Exchange an invitation code for a join token',
          security: [],
          body: joinRequest,
          response: { 200: joinView },
        },
      },
      async (request) => {
        const { session_id, code, browser = newSecret() } = request.body;
        const session = await exchange(request, session_id, code, browser);
        if (!isJoinable(session)) throw new AppError('not_joinable', { retryAfterS: 5 });
        // The browser asks for its socket next: read the route meanwhile, so that the edge knows it.
        void readiness.wait(session_id, 0);
        const ids = { session_id, tenant_id: session.tenant_id };
        const [join_token, transcript_token] = await Promise.all([
          browserTokens.mintJoin(ids),
          browserTokens.mintTranscript(ids, session.max_duration_ms),
          session.status === 'pending' ? arrivals.arrive(session_id, edgeRegionOf(request)) : undefined,
        ]);
        return {
          session_id,
          status: session.status,
          join_token,
          transcript_token,
          transcript_url: transcriptUploadUrl,
          websocket_url: websocketUrl(publicUrl, session_id),
          ice_servers: iceServersFor(session_id, session.max_duration_ms, deps.relays, deps.clock),
          interview_context: session.interview_context,
          simulated: session.simulated,
          browser,
        };
      },
    );

    app.get(
      '/join/consent',
      {
        config: everybody,
        schema: {
          summary: 'Show the text to which the candidate must consent',
          description: 'Send the invitation code in the `greenroom-invitation` header.',
          security: [],
          headers: consentHeaders,
          querystring: consentQuery,
          response: { 200: consentView },
        },
      },
      async (request) => {
        const { session_id } = request.query;
        const code = request.headers['greenroom-invitation'];
        const found = await links.use(session_id, code, () => people.readConsent(session_id, sha256(code)));
        if (found.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        const { kind: _kind, ...view } = found;
        return view;
      },
    );

    app.post(
      '/join/consent',
      {
        config: everybody,
        bodyLimit: bodyLimitBytes,
        schema: {
          summary: 'Record that the candidate consents',
          description: 'Binds the invitation to this browser, as joining does. Repeating the request changes nothing.',
          security: [],
          body: consentRequest,
          response: { 200: z.object({ given_at: z.string() }) },
        },
      },
      async (request) => {
        const { session_id, code, browser, text_version } = request.body;
        const hash = hashOf(request);
        const given = await links.use(session_id, code, () =>
          people.giveConsent(session_id, sha256(code), sha256(browser), text_version, hash),
        );
        if (given.kind === 'recorded') return { given_at: given.given_at };
        if (given.kind === 'other_version')
          throw new AppError('conflict', {
            detail:
              given.text_version === null
                ? 'This session requires no consent.'
                : `This session requires consent to the text ${given.text_version}.`,
          });
        throw refuse(request, session_id, given.kind === 'not_found' ? 'invalid' : given.kind);
      },
    );

    app.post(
      '/join/decline',
      {
        config: everybody,
        bodyLimit: bodyLimitBytes,
        schema: {
          summary: 'Record that the candidate does not consent',
          description:
            'Ends the session as `cancelled`, `consent_declined`, and binds the invitation to this browser. No call was made, ' +
            'so nothing was recorded. Repeating the request changes nothing. After a consent: 409 `conflict`.',
          security: [],
          body: boundRequest,
          response: { 200: z.object({ ending: endingView }) },
        },
      },
      async (request) => {
        const { session_id, code, browser } = request.body;
        const declined = await links.use(session_id, code, () =>
          people.declineConsent(session_id, sha256(code), sha256(browser)),
        );
        if (declined.kind === 'declined') {
          stopMachines(declined.machines, 'the candidate did not consent');
          readiness.notify(session_id);
          return { ending: endingOf('consent_declined') };
        }
        if (declined.kind === 'given' || declined.kind === 'not_required')
          throw new AppError('conflict', {
            detail: declined.kind === 'given' ? 'The candidate has consented.' : 'This session requires no consent.',
          });
        throw refuse(request, session_id, declined.kind);
      },
    );

    app.get(
      '/join/transcript',
      {
        config: everybody,
        schema: {
          summary: 'Show the candidate their own transcript',
          description:
            'After the interview, for the browser that joined, as long as the invitation is kept. A page that was reloaded during ' +
            'the interview has shown only a part of it.',
          security: [],
          headers: boundHeaders,
          response: { 200: z.object({ session_id: uuid, entries: z.array(storedTranscriptEntry) }) },
        },
      },
      async (request) => {
        const {
          'greenroom-session': session_id,
          'greenroom-invitation': code,
          'greenroom-browser': browser,
        } = request.headers;
        const found = await links.use(session_id, code, () => people.look(session_id, sha256(code), sha256(browser)));
        if (found.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        if (found.bound !== 'here') throw refuse(request, session_id, 'used');
        if (!found.ending) throw new AppError('conflict', { detail: 'The transcript is shown after the interview.' });
        return { session_id, entries: await sessions.transcript(session_id) };
      },
    );

    app.post(
      '/join/correct',
      {
        config: everybody,
        bodyLimit: correctionLimitBytes,
        schema: {
          summary: 'Correct an entry of the candidate',
          description:
            'After the interview, for the browser that joined: what the candidate really said in one of their own entries. It ' +
            'stands beside the text and never replaces it. Repeating the request changes nothing; a change raises the revision ' +
            'of the transcript, and the result is made again. A session takes 300 changes.',
          security: [],
          body: correctionRequest,
          response: { 200: z.object({ corrected_at: z.string().nullable() }) },
        },
      },
      async (request) => {
        const { session_id, code, browser, ordinal, item_id, correction } = request.body;
        const corrected = await links.use(session_id, code, () =>
          people.correctEntry(session_id, sha256(code), sha256(browser), { ordinal, itemId: item_id, correction }),
        );
        switch (corrected.kind) {
          case 'corrected':
            return { corrected_at: corrected.corrected_at };
          case 'unknown_entry':
          case 'erased':
            throw new AppError('not_found', { detail: 'The candidate has no such entry in this session.' });
          case 'not_ended':
            throw new AppError('conflict', { detail: 'Entries can be corrected after the interview.' });
          case 'limit_exceeded':
            throw new AppError('conflict', { detail: `A session takes ${corrected.limit} corrections.` });
          default:
            throw refuse(request, session_id, corrected.kind);
        }
      },
    );

    app.post(
      '/join/withdraw',
      {
        config: everybody,
        bodyLimit: bodyLimitBytes,
        schema: {
          summary: 'Withdraw the candidate’s consent',
          description:
            'Only for the browser that joined, also after the end of the session and when the invitation has expired. A session ' +
            'that has not ended ends as `cancelled`, `consent_withdrawn`. Nothing more is recorded, stored or evaluated. `effect` ' +
            'says what follows. Repeating the request changes nothing. Without a consent: 409 `conflict`.',
          security: [],
          body: boundRequest,
          response: { 200: withdrawnView },
        },
      },
      async (request) => {
        const { session_id, code, browser } = request.body;
        const by = { actor: 'candidate', remote_address: remoteAddressOf(request), request_id: request.id };
        const result = await links.use(session_id, code, () =>
          people.withdrawConsent(session_id, sha256(code), sha256(browser), by),
        );
        if (result.kind === 'withdrawn') {
          crashPoint('withdrawal.committed');
          stopMachines(result.machines, 'the candidate withdrew consent');
          readiness.notify(session_id);
          const { effect, withdrawn_at, settled_at, ending } = result;
          return { effect, withdrawn_at, settled_at, ending };
        }
        if (result.kind === 'not_given' || result.kind === 'not_required')
          throw new AppError('conflict', {
            detail:
              result.kind === 'not_given' ? 'The candidate has not consented.' : 'This session requires no consent.',
          });
        throw refuse(request, session_id, result.kind);
      },
    );
  };
}
