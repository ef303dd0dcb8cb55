import { audiences } from '@greenroom/shared/protocol/tokens.ts';
import { transcriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import { bearerOf, type Cors, json, onlyPost, problem, readBody } from './http.ts';
import { isTokensFault } from './tokens.ts';

/**
 * `interview-transcript`: a candidate's browser uploads transcript entries that it could not send over the
 * socket.
 *
 * - The token (`transcript:append`, valid until a day after the session's end) permits uploads for its own
 *   session only. The database stores the entries as unverified, and the sideband's text replaces theirs.
 * - Entries are merged as the worker's are, so a repeated upload changes nothing.
 * - No orchestrator is needed if the key set is in the environment. If it is not and no orchestrator answers,
 *   the answer is 503 with Retry-After, not a refusal of the token.
 */
export interface TranscriptDeps {
  /** `iss` of browser tokens: the orchestrators' public URL. */
  issuer: string;
  keys: JWTVerifyGetKey;
  cors: Cors;
  /** Calls the SQL function upload_transcript. */
  upload: (sessionId: string, tenantId: string, entries: unknown[]) => Promise<Uploaded>;
  /** The answer to GET. */
  health: () => Promise<Response>;
}

export type Uploaded =
  | { kind: 'stored'; item_ids: string[] }
  | { kind: 'rate_limited'; retry_after_ms: number }
  | { kind: 'not_found' | 'erased' | 'withdrawn' | 'too_many' | 'refused' | 'unavailable' };

const bodyLimitBytes = 1_048_576;
const maxEntries = 1_000;
/** Longest detail of an error, characters. */
const maxDetail = 300;
const claims = z.object({
  session_id: z.guid(),
  tenant_id: z.guid(),
  scope: z.literal('transcript:append'),
});
type Claims = z.output<typeof claims>;
/** Text that is not UTF-8 is refused, not changed. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

const uploadRequest = z.strictObject({
  /** If given, it must be the session of the token. */
  session_id: z.guid().optional(),
  entries: z.array(transcriptEntryInput).min(1).max(maxEntries),
});

const refusals = {
  not_found: { status: 404, code: 'not_found', detail: 'No such session.' },
  erased: { status: 410, code: 'session_ended', detail: 'The transcript was erased.' },
  withdrawn: { status: 410, code: 'session_ended', detail: 'The candidate withdrew consent.' },
  too_many: { status: 409, code: 'conflict', detail: 'The transcript has reached its maximum length.' },
  refused: { status: 422, code: 'validation_failed', detail: 'entries: the database cannot store one of the entries.' },
  unavailable: {
    status: 503,
    code: 'database_unavailable',
    detail: 'The transcript cannot be stored at the moment. Try again.',
    headers: { 'retry-after': '5' },
  },
} as const;

const tooOften = (retryAfterMs: number) => ({
  status: 429,
  code: 'rate_limited',
  detail: 'Too many uploads for this session. Wait for Retry-After, then send the same request again.',
  headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) },
});

export function createTranscript(deps: TranscriptDeps): (request: Request) => Promise<Response> {
  const { issuer, keys, cors, upload, health } = deps;

  /** The claims of a valid token, or undefined. `unavailable`: the public keys cannot be read. */
  const claimsOf = async (token: string): Promise<Claims | undefined | 'unavailable'> => {
    const options = {
      issuer,
      audience: audiences.transcript,
      algorithms: ['ES256'],
      requiredClaims: ['exp', 'iat'],
    };
    return await jwtVerify(token, keys, options).then(
      ({ payload }) => claims.safeParse(payload).data,
      (error: unknown) => (isTokensFault(error) ? undefined : 'unavailable'),
    );
  };

  const bodyOf = async (request: Request): Promise<z.output<typeof uploadRequest> | Response> => {
    const bytes = await readBody(request, bodyLimitBytes);
    if (bytes === undefined) return problem({ status: 413, code: 'body_too_large', detail: 'Send at most 1 MiB.' });
    let body: unknown;
    try {
      body = JSON.parse(utf8.decode(bytes));
    } catch {
      return problem({ status: 400, code: 'invalid_json', detail: 'The body is not JSON.' });
    }
    const parsed = uploadRequest.safeParse(body);
    if (parsed.success) return parsed.data;
    const wrong = parsed.error.issues[0];
    // The message names all unknown fields, which may be the whole body.
    const detail = `${wrong?.path.map(String).join('.') || 'body'}: ${wrong?.message}`.slice(0, maxDetail);
    return problem({ status: 422, code: 'validation_failed', detail });
  };

  const serve = async (request: Request): Promise<Response> => {
    if (request.method === 'GET') return await health();
    if (request.method !== 'POST') return problem(onlyPost);
    const token = bearerOf(request);
    const known = token === undefined ? undefined : await claimsOf(token);
    if (known === 'unavailable') return problem(refusals.unavailable);
    if (!known) {
      const headers = { 'www-authenticate': 'Bearer' };
      return problem({ status: 401, code: 'unauthenticated', detail: "Send the session's transcript token.", headers });
    }
    const body = await bodyOf(request);
    if (body instanceof Response) return body;
    if (body.session_id !== undefined && body.session_id.toLowerCase() !== known.session_id.toLowerCase()) {
      return problem(refusals.not_found);
    }
    const uploaded = await upload(known.session_id, known.tenant_id, body.entries);
    if (uploaded.kind === 'stored') return json(200, { item_ids: uploaded.item_ids });
    if (uploaded.kind === 'rate_limited') return problem(tooOften(uploaded.retry_after_ms));
    return problem(refusals[uploaded.kind]);
  };

  return async (request) => cors.preflight(request) ?? cors.open(request, await serve(request));
}
