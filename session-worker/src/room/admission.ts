import type { IncomingMessage } from 'node:http';
import type { Jwks } from '@greenroom/shared/protocol/common.ts';
import { type CloseCode, closeCodes, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket.ts';
import { audiences, replayClaims, sessionClaims } from '@greenroom/shared/protocol/tokens.ts';
import { replayState } from './replay-source.ts';

/**
 * Decides which sockets are admitted.
 *
 * - Only through the edge: the replay state must be present and signed for this session and epoch. Whether
 *   Fly's proxy strips a client's own `fly-replay-src` is undocumented, so only the signature counts.
 * - Only with a join or reconnect token of this session, which is verified here again by public key.
 * - Only from an allowed origin. A client without `Origin` is not a browser; for it the token decides.
 * - jose is loaded when the session is claimed, not at boot.
 */
/** `waitedMs`: how long the edge held the socket. */
export type Admission = { kind: 'admitted'; waitedMs: number } | Refused;
type Refused = { kind: 'refused'; code: CloseCode; why: string };

export interface AdmissionDeps {
  sessionId: string;
  tenantId: string;
  epoch: number;
  issuer: string;
  keys: Jwks;
  allowedOrigins: string[];
  /** Unix ms. */
  now(): number;
}

export type Admit = (request: IncomingMessage) => Promise<Admission>;

const refused = (code: CloseCode, why: string): Refused => ({ kind: 'refused', code, why });

export function createAdmission(deps: AdmissionDeps): Admit {
  const verify = createVerifier(deps);

  const checkReplay = async (request: IncomingMessage): Promise<Admission> => {
    const state = replayState(request.headers['fly-replay-src']);
    if (!state) return refused(closeCodes.token, 'connect through the edge');
    const checked = await verify(state, [audiences.replay]);
    if (checked.kind === 'expired') return refused(closeCodes.notReady, 'the replay took too long; connect again');
    const claims = replayClaims.safeParse(checked.kind === 'valid' ? checked.payload : undefined);
    if (!claims.success || claims.data.tenant_id !== deps.tenantId)
      return refused(closeCodes.token, 'the replay state is not valid');
    if (claims.data.session_id !== deps.sessionId) return refused(closeCodes.unknown, 'another session is served here');
    if (claims.data.epoch !== deps.epoch) return refused(closeCodes.moved, 'the session has moved');
    return { kind: 'admitted', waitedMs: claims.data.waited_ms ?? 0 };
  };

  const checkToken = async (request: IncomingMessage): Promise<Refused | undefined> => {
    const token = tokenOf(request);
    if (!token) return refused(closeCodes.token, 'a token is required');
    const checked = await verify(token, [audiences.join, audiences.reconnect]);
    if (checked.kind !== 'valid') return refused(closeCodes.token, `the token is ${checked.kind}`);
    const claims = sessionClaims.safeParse(checked.payload);
    const mine = claims.success && claims.data.session_id === deps.sessionId && claims.data.tenant_id === deps.tenantId;
    return mine ? undefined : refused(closeCodes.token, 'the token is for another session');
  };

  return async (request) => {
    const { origin } = request.headers;
    if (origin && deps.allowedOrigins.length > 0 && !deps.allowedOrigins.includes(origin)) {
      return refused(closeCodes.token, 'this origin is not allowed');
    }
    if (pathSession(request) !== deps.sessionId) return refused(closeCodes.unknown, 'no such session');
    const replayed = await checkReplay(request);
    if (replayed.kind === 'refused') return replayed;
    return (await checkToken(request)) ?? replayed;
  };
}

const pathSession = (request: IncomingMessage): string | undefined =>
  /^\/ws\/sessions\/([0-9a-fA-F-]{36})\/?(?:\?|$)/.exec(request.url ?? '')?.[1]?.toLowerCase();

/**
 * The token from the subprotocols, else from the query (shared/protocol/socket.ts says why there are two
 * ways).
 */
export function tokenOf(request: IncomingMessage): string | undefined {
  const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  const inProtocol = offered
    .find((name) => name.startsWith(tokenSubprotocolPrefix))
    ?.slice(tokenSubprotocolPrefix.length);
  return inProtocol || new URL(request.url ?? '/', 'http://localhost').searchParams.get('token') || undefined;
}

type Checked = { kind: 'valid'; payload: unknown } | { kind: 'expired' } | { kind: 'invalid' };

function createVerifier({ keys, issuer, now }: Pick<AdmissionDeps, 'keys' | 'issuer' | 'now'>) {
  const loaded = import('jose').then((jose) => ({
    jose,
    keySet: jose.createLocalJWKSet(keys as unknown as Parameters<typeof jose.createLocalJWKSet>[0]),
  }));
  return async (token: string, audience: string[]): Promise<Checked> => {
    const { jose, keySet } = await loaded;
    try {
      const options = {
        issuer,
        audience,
        algorithms: ['ES256', 'EdDSA'],
        requiredClaims: ['exp'],
        currentDate: new Date(now()),
      };
      const { payload } = await jose.jwtVerify(token, keySet, options);
      return { kind: 'valid', payload };
    } catch (error) {
      return { kind: error instanceof jose.errors.JWTExpired ? 'expired' : 'invalid' };
    }
  };
}
