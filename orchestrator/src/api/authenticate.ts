import { createHash } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyRequest } from 'fastify';
import type { ApiKeyRow } from '../database/rows.ts';
import { bearerOf } from './bearer.ts';

/**
 * Who calls the platform API: a tenant's API key, known by its hash alone.
 *
 * A key that was found is remembered for `cacheMs`, so that a busy platform does not pay a read per request; a revoked
 * key may work that much longer, which is why it is short.
 */
export interface Caller {
  tenantId: string;
  keyId: string;
  /** Regions the tenant may use; null: any. */
  allowedRegions: string[] | null;
}

export type Scope = 'sessions:read' | 'sessions:write';
export type Authenticate = (request: FastifyRequest, scope: Scope) => Promise<Caller>;

export interface AuthenticateDeps {
  findKey: (hash: string) => Promise<ApiKeyRow | undefined>;
  clock: Clock;
  /** Default 1 s. */
  cacheMs?: number;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const keyForm = /^gr_(live|test)_[\w-]{20,200}$/;
const cacheSize = 10_000;

function createKeyCache({ findKey, clock, cacheMs = 1_000 }: AuthenticateDeps) {
  const known = new Map<string, { key: ApiKeyRow; untilMs: number }>();
  return async (hash: string): Promise<ApiKeyRow | undefined> => {
    const entry = known.get(hash);
    if (entry && clock.monotonicMs() < entry.untilMs) return entry.key;
    known.delete(hash);
    const key = await findKey(hash);
    if (known.size >= cacheSize) known.clear();
    if (key) known.set(hash, { key, untilMs: clock.monotonicMs() + cacheMs });
    return key;
  };
}

/** @returns a function that names the caller. Throws AppError: unauthenticated, forbidden. */
export function createAuthenticate(deps: AuthenticateDeps): Authenticate {
  const find = createKeyCache(deps);
  return async (request, scope) => {
    const token = bearerOf(request);
    const key = token !== undefined && keyForm.test(token) ? await find(sha256(token)) : undefined;
    if (!key)
      throw new AppError('unauthenticated', { detail: 'Send a valid API key: Authorization: Bearer gr_live_….' });
    if (key.tenant_status !== 'active')
      throw new AppError('forbidden', { detail: `The tenant is ${key.tenant_status}.` });
    if (!key.scopes.includes(scope))
      throw new AppError('forbidden', { detail: `The API key lacks the scope ${scope}.` });
    return { tenantId: key.tenant_id, keyId: key.key_id, allowedRegions: key.allowed_regions };
  };
}
