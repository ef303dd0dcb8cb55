import { createHmac, randomInt } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText, text, uuid } from '@greenroom/shared/protocol/common.ts';
import { consentView, handoverCode, lookView } from '@greenroom/shared/protocol/people.ts';
import { interviewContext } from '@greenroom/shared/protocol/platform-api.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import { sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { sha256 } from '../access/authenticate.ts';
import type { NoteRefusal } from '../access/refusals.ts';
import { addressBlockOf, remoteAddressOf } from '../access/remote-address.ts';
import { everybody } from '../access/route-access.ts';
import type { PeopleStore } from '../database/people-store.ts';
import type { Arrivals } from '../sessions/arrivals.ts';
import type { BrowserTokens } from '../tokens/browser-tokens.ts';
import { edgeRegionOf } from './edge-region.ts';
import { isJoinable, type ViewDeps, websocketUrl } from './session-view.ts';

/**
 * `/api/join`: a browser exchanges the invitation code of its link for a join token, and consents when its tenant asks
 * for it. Public: the code is the credential. Looking binds nothing. The first browser to join is bound to the code by a
 * secret of its own (`browser`), and may come again with it; another one goes on in its place by a short hand-over code.
 *
 * J1  The code comes in a body or a header, never in a URL: URLs are logged.
 * J2  Exchanges are limited by address; a refused code is noted in the audit log.
 * J3  Of the address a consent came from only a keyed hash is kept: comparable as evidence, not readable.
 * J4  A session that waits for its candidate begins here, near where this very request came in.
 */
export interface JoinRoutesDeps extends Omit<ViewDeps, 'browserTokens'> {
  people: Pick<PeopleStore, 'look' | 'offerHandover' | 'takeHandover' | 'join' | 'readConsent' | 'giveConsent'>;
  browserTokens: Pick<BrowserTokens, 'mintJoin' | 'mintTranscript'>;
  noteRefusal: NoteRefusal;
  /** J4. */
  arrivals: Arrivals;
  transcriptUploadUrl: string;
  /** J2: requests per minute and address. */
  perMinute: number;
  /** J3. */
  addressKey: Buffer;
}

const secret = text(128).regex(/^[\w-]{16,128}$/, 'must be 16–128 characters of base64url');
const joinRequest = z.strictObject({ session_id: uuid, code: secret, browser: secret.optional() });
const joinView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  join_token: z.string(),
  /** For uploading what could not be sent over the socket; good until a day after the session's end. */
  transcript_token: z.string(),
  /** Where to upload it: `POST {entries}` with that token as bearer. */
  transcript_url: z.string(),
  websocket_url: z.string(),
  interview_context: interviewContext,
  simulated: z.boolean(),
  /** Keep it, and send it when you come again with the same code. */
  browser: z.string(),
});

const boundRequest = joinRequest.extend({ browser: secret });
const continueRequest = boundRequest.extend({ handover_code: handoverCode });
const handoverMs = 600_000;
const newHandoverCode = (): string => String(randomInt(1_000_000)).padStart(6, '0');
/** Six digits alone would be guessed from their hash: with the session's id a table of all hashes is good for one session. */
const handoverHashOf = (sessionId: string, code: string): string => sha256(`${sessionId}:${code}`);

const consentQuery = z.strictObject({ session_id: uuid });
const consentHeaders = z.looseObject({ 'greenroom-invitation': secret });
const lookHeaders = consentHeaders.extend({ 'greenroom-session': uuid, 'greenroom-browser': secret.optional() });
const consentRequest = joinRequest.extend({ browser: secret, text_version: plainText(100).min(1) });

// Any page may host the candidate's components; no cookie is involved, so nothing rides along.
const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': 'content-type, greenroom-invitation, greenroom-session, greenroom-browser',
  'access-control-max-age': '600',
};
const bodyLimitBytes = 4_096;
const refusals = { invalid: 'invitation_invalid', used: 'invitation_used', ended: 'session_ended' } as const;

export function joinRoutes(deps: JoinRoutesDeps): FastifyPluginAsyncZod {
  const { people, publicUrl, browserTokens, noteRefusal, arrivals, perMinute, addressKey, transcriptUploadUrl } = deps;

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
    const result = await people.join(sessionId, sha256(code), sha256(browser));
    if (result.kind === 'accepted') return result.session;
    if (result.kind === 'consent_required')
      throw new AppError('consent_required', {
        detail: `Show the text ${result.text_version} and record the consent.`,
      });
    throw refuse(request, sessionId, result.kind);
  };

  const hashOf = (request: FastifyRequest): string =>
    createHmac('sha256', addressKey).update(remoteAddressOf(request)).digest('hex');

  return async (app) => {
    await app.register(rateLimit, {
      max: perMinute,
      timeWindow: 60_000,
      // Before the body is read: what a guesser sends costs nothing.
      hook: 'onRequest',
      enableDraftSpec: true,
      keyGenerator: addressBlockOf,
      errorResponseBuilder: (_request, { ttl }) =>
        new AppError('rate_limited', { retryAfterS: Math.max(1, Math.ceil(ttl / 1_000)) }),
    });
    app.addHook('onRequest', async (_request, reply) => void reply.headers(corsHeaders));
    for (const path of ['/join', '/join/handover', '/join/continue', '/join/consent'])
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
          summary: 'See what an invitation invites to',
          description:
            'Binds nothing: a link that is opened on one device can be joined on another. The code and the secret of the ' +
            'browser come in headers, since URLs are logged.',
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
        const found = await people.look(session_id, sha256(code), sha256(browser));
        if (found.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        const { session, organiser, starts_at, records_video, consent, now, bound } = found;
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
          records_video,
          simulated: session.simulated,
          consent,
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
          description: 'Only the browser that joined may ask. The code is good for ten minutes, once, for five tries.',
          security: [],
          body: boundRequest,
          response: { 200: z.object({ handover_code: handoverCode, expires_at: z.string() }) },
        },
      },
      async (request) => {
        const { session_id, code, browser } = request.body;
        const made = newHandoverCode();
        const hash = handoverHashOf(session_id, made);
        const offered = await people.offerHandover(session_id, sha256(code), sha256(browser), hash, handoverMs);
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
          summary: 'Continue in this browser by the code shown in the first one',
          description: 'Binds the invitation to this browser. Join afterwards.',
          security: [],
          body: continueRequest,
          response: { 200: z.object({ bound: z.literal('here') }) },
        },
      },
      async (request) => {
        const { session_id, code, browser, handover_code } = request.body;
        const by = { actor: 'candidate', remote_address: remoteAddressOf(request), request_id: request.id };
        const hash = handoverHashOf(session_id, handover_code);
        const taken = await people.takeHandover(session_id, sha256(code), sha256(browser), hash, by);
        if (taken.kind === 'invalid') throw refuse(request, session_id, 'invalid');
        if (taken.kind === 'wrong')
          throw new AppError('handover_refused', {
            detail:
              taken.tries_left > 0 ? `${taken.tries_left} tries are left.` : 'Show a new code in the first browser.',
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
        const ids = { session_id, tenant_id: session.tenant_id };
        const [join_token, transcript_token] = await Promise.all([
          browserTokens.mintJoin(ids),
          browserTokens.mintTranscript(ids, session.max_duration_ms),
          session.status === 'pending' ? arrivals.arrive(session_id, edgeRegionOf(request)) : undefined, // J4
        ]);
        return {
          session_id,
          status: session.status,
          join_token,
          transcript_token,
          transcript_url: transcriptUploadUrl,
          websocket_url: websocketUrl(publicUrl, session_id),
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
          summary: 'What the candidate is asked to consent to',
          description: 'The invitation code comes in the `greenroom-invitation` header.',
          security: [],
          headers: consentHeaders,
          querystring: consentQuery,
          response: { 200: consentView },
        },
      },
      async (request) => {
        const { session_id } = request.query;
        const found = await people.readConsent(session_id, sha256(request.headers['greenroom-invitation']));
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
          description: 'Bound to the browser that holds the invitation. A second time changes nothing.',
          security: [],
          body: consentRequest,
          response: { 200: z.object({ given_at: z.string() }) },
        },
      },
      async (request) => {
        const { session_id, code, browser, text_version } = request.body;
        const hash = hashOf(request);
        const given = await people.giveConsent(session_id, sha256(code), sha256(browser), text_version, hash);
        if (given.kind === 'recorded') return { given_at: given.given_at };
        if (given.kind === 'other_version')
          throw new AppError('conflict', {
            detail:
              given.text_version === null
                ? 'The session asks for no consent.'
                : `The session asks for the text ${given.text_version}.`,
          });
        throw refuse(request, session_id, given.kind === 'not_found' ? 'invalid' : given.kind);
      },
    );
  };
}
