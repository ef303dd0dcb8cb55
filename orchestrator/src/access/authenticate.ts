import { createHash } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { type Scope, scopesOfRole, tenantHeader } from '@greenroom/shared/protocol/access.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyRequest } from 'fastify';
import type { ActBy } from '../database/audit-store.ts';
import type { ApiKeyRow, MembershipRow } from '../database/rows.ts';
import { createCache } from '../runtime/cache.ts';
import { findOperator, type Operator, type OperatorToken, operatorTokenForm } from '../tokens/operator-tokens.ts';
import { bearerOf } from './bearer.ts';
import type { Caller } from './caller.ts';
import type { Origins } from './origins.ts';
import type { Drawn, Limit, RateLimits } from './rate-limits.ts';
import type { NoteRefusal } from './refusals.ts';
import { addressBlockOf, remoteAddressOf } from './remote-address.ts';
import { userTokenForm, type VerifyUser } from './users.ts';

/**
 * Authenticates callers of the platform API and checks whether they may call a route.
 *
 * - There are three kinds of credentials, and their form tells them apart: a tenant's API key, a user's access
 *   token from Supabase Auth, and an operator's token from the configuration. Operators may manage tenants
 *   only.
 * - Keys and memberships are cached for `cacheMs`, so a busy platform does not cause a database read per
 *   request. A revocation takes effect at once in this process, and within `cacheMs` in the others.
 * - Every refusal is written to the audit log (with a limit) together with the reason. The credential is never
 *   logged.
 * - Database look-ups of keys that this process has not recently found valid are limited per minute, so guessed
 *   keys cost little. Callers with a known key are not affected by this limit.
 * - A tenant that is not the caller's gets the same answer as a tenant that does not exist.
 */
export type { Operator } from '../tokens/operator-tokens.ts';
export type { Caller } from './caller.ts';
/** @param scope that the caller must have; null: none */
export type Authenticate = (request: FastifyRequest, scope: Scope | null) => Promise<Caller>;

/** Who acts on the tenant named in the path: a key or user of that tenant, or an operator. */
export type Actor = { kind: 'tenant'; caller: Caller; actor: string } | { kind: 'operator'; actor: string };

export type Asker = Pick<Caller, 'tenantId' | 'actor'>;

export interface Access {
  /** Throws AppError: unauthenticated, forbidden, tenant_required, rate_limited. */
  authenticate: Authenticate;
  /** For `/api/tenants/{id}/…`. Throws like authenticate, and not_found when the tenant is not the caller's. */
  forTenant(request: FastifyRequest, scope: Scope, tenantId: string): Promise<Actor>;
  /** For platform operators only. Throws AppError: unauthenticated, forbidden. */
  operator(request: FastifyRequest): Promise<Operator>;
  /**
   * Whether the credential of an admitted request still grants this scope. Used for long-lived responses, so it
   * reads the database and not the cache. Throws when the database or the user's key set cannot be read.
   */
  stands(request: FastifyRequest, caller: Caller, scope: Scope): Promise<boolean>;
  /** Drops the key from the cache. */
  forgetKey(keyId: string): void;
  /** Drops the user's memberships from the cache. */
  forgetUser(userId: string): void;
  /** Who sent the request, also if it was then refused. Undefined if no tenant's credential was recognised. */
  askerOf(request: FastifyRequest): Asker | undefined;
  /** The state of the caller's rate limits after this request, for the response headers. */
  drawnBy(request: FastifyRequest): Drawn | undefined;
}

export interface AccessDeps {
  findKey: (hash: string) => Promise<ApiKeyRow | undefined>;
  memberships: (userId: string) => Promise<MembershipRow[]>;
  verifyUser: VerifyUser;
  operators: readonly OperatorToken[];
  limits: Pick<RateLimits, 'draw'>;
  /** Requests per minute. The same number may arrive in one burst. */
  perMinute: { key: number; tenant: number };
  origins: Pick<Origins, 'admitsApi'>;
  noteRefusal: NoteRefusal;
  clock: Clock;
  /** Default 1 s. */
  cacheMs?: number;
}

type Credential =
  | { kind: 'key'; key: ApiKeyRow }
  | { kind: 'user'; userId: string }
  | { kind: 'operator'; operator: Operator }
  | { kind: 'none'; why: string };

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const keyForm = /^gr_(live|test)_[\w-]{20,200}$/;
/** Refusals per address and minute that get their own error. Further ones get `rate_limited`. */
const refusedPerMinute = 120;
/** Database look-ups per minute of keys not recently found valid: for one address, and for all addresses. */
export const lookUpsPerMinute = { address: 120, all: 3_000 };
const rememberedMs = 600_000;
const maxRemembered = 10_000;

/** The actor, address and request id that are recorded with every administrative act. */
export const actBy = (request: FastifyRequest, actor: string): ActBy => ({
  actor,
  remote_address: remoteAddressOf(request),
  request_id: request.id,
});

const forbidden = (detail: string): AppError => new AppError('forbidden', { detail });
/** Only an admin changes tenants. Every operator may read them. */
function demandRole({ method }: FastifyRequest, { role }: Operator): void {
  if (method === 'GET' || method === 'HEAD' || role === 'admin') return;
  throw forbidden(`Only an admin may change tenants; your role is ${role}.`);
}
const wantedTenant = ({ headers }: FastifyRequest): string | undefined =>
  [headers[tenantHeader] ?? []].flat()[0]?.trim().toLowerCase();

export function createAccess(deps: AccessDeps): Access {
  const { clock, cacheMs = 1_000, limits, origins, noteRefusal } = deps;
  const keys = createCache(deps.findKey, cacheMs, clock);
  const members = createCache(
    async (userId: string) => ({ userId, rows: await deps.memberships(userId) }),
    cacheMs,
    clock,
  );
  const drawn = new WeakMap<FastifyRequest, Drawn>();
  const askers = new WeakMap<FastifyRequest, Asker>();
  /** For the hash of each valid key: until when it needs no look-up limit, monotonic ms. */
  const goodUntil = new Map<string, number>();
  /** Hashes of keys with a look-up in progress. Concurrent look-ups of one key are one in the database, so they count once. */
  const lookedUp = new Set<string>();

  const own = (scope: string, perMinute: number): Limit => ({ scope, perMinute, burst: perMinute, shared: false });
  const slowDown = (retryAfterMs: number): AppError =>
    new AppError('rate_limited', { retryAfterS: Math.max(1, Math.ceil(retryAfterMs / 1_000)) });

  const findKey = async (request: FastifyRequest, token: string): Promise<ApiKeyRow | undefined> => {
    const hash = sha256(token);
    if ((goodUntil.get(hash) ?? 0) <= clock.monotonicMs() && !lookedUp.has(hash)) {
      const { address, all } = lookUpsPerMinute;
      const { allowed, retryAfterMs } = limits.draw([
        own(`looked-up:${addressBlockOf(request)}`, address),
        own('looked-up', all),
      ]);
      if (!allowed) throw slowDown(retryAfterMs);
    }
    lookedUp.add(hash);
    const key = await keys.get(hash).finally(() => lookedUp.delete(hash));
    if (goodUntil.size >= maxRemembered) goodUntil.clear();
    if (key) goodUntil.set(hash, clock.monotonicMs() + rememberedMs);
    else goodUntil.delete(hash);
    return key;
  };

  const identify = async (request: FastifyRequest): Promise<Credential> => {
    const token = bearerOf(request);
    if (token === undefined) return { kind: 'none', why: 'no credential' };
    if (keyForm.test(token)) {
      const key = await findKey(request, token);
      return key ? { kind: 'key', key } : { kind: 'none', why: 'unknown, expired or revoked key' };
    }
    if (operatorTokenForm.test(token)) {
      const operator = findOperator(deps.operators, token);
      return operator ? { kind: 'operator', operator } : { kind: 'none', why: 'unknown operator token' };
    }
    if (!userTokenForm.test(token)) return { kind: 'none', why: 'malformed' };
    const verified = await deps.verifyUser(token);
    return verified.kind === 'good' ? { kind: 'user', userId: verified.userId } : { kind: 'none', why: verified.why };
  };

  const callerOfKey = (key: ApiKeyRow): Caller & { status: string } => ({
    tenantId: key.tenant_id,
    apiVersion: key.api_version,
    keyId: key.key_id,
    userId: null,
    actor: `key:${key.key_id}`,
    scopes: key.scopes as Scope[],
    allowedRegions: key.allowed_regions,
    status: key.tenant_status,
  });

  const callerOfMember = (userId: string, row: MembershipRow): Caller & { status: string } => ({
    tenantId: row.tenant_id,
    apiVersion: null,
    keyId: null,
    userId,
    actor: `user:${userId}`,
    scopes: scopesOfRole[row.role],
    allowedRegions: row.allowed_regions,
    status: row.status,
  });

  const chooseMembership = async (userId: string, wanted: string | undefined): Promise<MembershipRow> => {
    const rows = (await members.get(userId))?.rows ?? [];
    if (wanted !== undefined) {
      const named = rows.find((row) => row.tenant_id === wanted || row.slug === wanted);
      if (!named) throw forbidden('You do not belong to this tenant.');
      return named;
    }
    if (rows.length > 1) throw new AppError('tenant_required', { detail: `Name one in the ${tenantHeader} header.` });
    if (rows[0] === undefined) throw forbidden('You do not belong to any tenant.');
    return rows[0];
  };

  const callerOf = async (credential: Credential, wanted: string | undefined): Promise<Caller & { status: string }> => {
    if (credential.kind === 'key') {
      if (wanted !== undefined && wanted !== credential.key.tenant_id)
        throw forbidden('The API key belongs to another tenant.');
      return callerOfKey(credential.key);
    }
    if (credential.kind === 'user')
      return callerOfMember(credential.userId, await chooseMembership(credential.userId, wanted));
    throw forbidden('An operator token does not belong to a tenant. Use an API key or a user of the tenant.');
  };

  const drawLimits = (request: FastifyRequest, { tenantId, actor }: Caller): void => {
    const { key, tenant } = deps.perMinute;
    const wanted: Limit[] = [
      { scope: actor, perMinute: key, burst: key },
      { scope: `tenant:${tenantId}`, perMinute: tenant, burst: tenant },
    ];
    const result = limits.draw(wanted);
    drawn.set(request, result);
    if (!result.allowed) throw slowDown(result.retryAfterMs);
  };

  const admit = (request: FastifyRequest, caller: Caller & { status: string }, scope: Scope | null): Caller => {
    drawLimits(request, caller);
    if (caller.status !== 'active') throw forbidden(`The tenant is ${caller.status}.`);
    if (scope !== null && !caller.scopes.includes(scope)) {
      throw forbidden(
        caller.keyId === null ? 'Your role does not permit this.' : `The API key lacks the scope ${scope}.`,
      );
    }
    if (!origins.admitsApi(caller.tenantId, request.headers.origin))
      throw forbidden('The tenant does not allow requests from this origin.');
    const { status: _status, ...admitted } = caller;
    return admitted;
  };

  /** Does the work. Writes a refusal to the audit log, and slows down an address with too many of them. */
  const noted = async <T>(
    request: FastifyRequest,
    work: (who: { actor: string; tenantId?: string }) => Promise<T>,
  ): Promise<T> => {
    const who: { actor: string; tenantId?: string } = { actor: 'unknown' };
    try {
      return await work(who);
    } catch (error) {
      if (!(error instanceof AppError) || !['unauthenticated', 'forbidden', 'not_found'].includes(error.code))
        throw error;
      const address = remoteAddressOf(request);
      const why = error.cause instanceof Error ? error.cause.message : error.detail;
      noteRefusal({
        actor: who.actor,
        tenant_id: who.tenantId,
        action: 'api.access',
        target: `${request.method} ${request.routeOptions?.url ?? ''}`,
        remote_address: address,
        request_id: request.id,
        details: { code: error.code, why },
      });
      const slow = limits.draw([own(`refused:${addressBlockOf(request)}`, refusedPerMinute)]);
      throw slow.allowed ? error : slowDown(slow.retryAfterMs);
    }
  };

  const stands = async (request: FastifyRequest, { tenantId }: Caller, scope: Scope): Promise<boolean> => {
    const token = bearerOf(request) ?? '';
    if (keyForm.test(token)) {
      const key = await deps.findKey(sha256(token));
      return key !== undefined && key.tenant_status === 'active' && key.scopes.includes(scope);
    }
    const verified = await deps.verifyUser(token);
    if (verified.kind !== 'good') return false;
    const row = (await deps.memberships(verified.userId)).find(({ tenant_id }) => tenant_id === tenantId);
    return row !== undefined && row.status === 'active' && scopesOfRole[row.role].includes(scope);
  };

  const unauthenticated = (why: string): AppError =>
    new AppError('unauthenticated', {
      detail: 'Send a valid API key or access token: Authorization: Bearer ….',
      cause: new Error(why),
    });

  const known = async (
    request: FastifyRequest,
    who: { actor: string },
  ): Promise<Exclude<Credential, { kind: 'none' }>> => {
    const credential = await identify(request);
    if (credential.kind === 'none') throw unauthenticated(credential.why);
    if (credential.kind === 'operator') who.actor = credential.operator.actor;
    else who.actor = credential.kind === 'key' ? `key:${credential.key.key_id}` : `user:${credential.userId}`;
    return credential;
  };

  return {
    authenticate: (request, scope) =>
      noted(request, async (who) => {
        const credential = await known(request, who);
        const caller = await callerOf(credential, wantedTenant(request));
        who.tenantId = caller.tenantId;
        askers.set(request, caller);
        return admit(request, caller, scope);
      }),
    forTenant: (request, scope, tenantId) =>
      noted(request, async (who) => {
        const credential = await known(request, who);
        if (credential.kind === 'operator') {
          demandRole(request, credential.operator);
          return { kind: 'operator', actor: credential.operator.actor };
        }
        const caller = await callerOf(credential, credential.kind === 'user' ? tenantId : undefined).catch(
          (error: unknown) => {
            throw error instanceof AppError && error.code === 'forbidden' ? tenantNotFound() : error;
          },
        );
        who.tenantId = caller.tenantId;
        askers.set(request, caller);
        if (caller.tenantId !== tenantId) throw tenantNotFound();
        return { kind: 'tenant', caller: admit(request, caller, scope), actor: caller.actor };
      }),
    operator: (request) =>
      noted(request, async (who) => {
        const credential = await known(request, who);
        if (credential.kind !== 'operator') throw forbidden('Only platform operators may do this.');
        demandRole(request, credential.operator);
        return credential.operator;
      }),
    stands,
    forgetKey: (keyId) => keys.forget((key) => key.key_id === keyId),
    forgetUser: (userId) => members.forget((entry) => entry.userId === userId),
    askerOf: (request) => askers.get(request),
    drawnBy: (request) => drawn.get(request),
  };
}

export const tenantNotFound = (): AppError => new AppError('not_found', { detail: 'No such tenant.' });

/** Throws AppError forbidden if the actor would grant a scope that it does not have itself. */
export function demandScopes(actor: Actor, wanted: readonly string[]): void {
  if (actor.kind === 'operator') return;
  const beyond = wanted.filter((scope) => !actor.caller.scopes.includes(scope as Scope));
  if (beyond.length > 0) throw forbidden(`You cannot grant scopes that you do not have: ${beyond.join(', ')}.`);
}
