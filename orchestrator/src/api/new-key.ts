import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Scope } from '@greenroom/shared/protocol/access.ts';
import type { createApiKeyRequest } from '@greenroom/shared/protocol/tenants.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { z } from 'zod';
import { type Actor, sha256 } from '../access/authenticate.ts';
import type { NewKey } from '../database/tenant-store.ts';
import { newestVersion } from './versions.ts';

/** New API keys: what is shown once, and what is stored. */
const defaultScopes: Scope[] = ['sessions:read', 'sessions:write'];
const dayMs = 86_400_000;

export function makeKey(mode: 'live' | 'test') {
  const key = `gr_${mode}_${newSecret()}`;
  return { key, prefix: key.slice(0, 12), hash: sha256(key) };
}

/** What a request wants to be stored, without the key itself. */
export const keyRequestOf = (
  actor: Actor,
  { name, scopes = defaultScopes, expires_in_days: days }: z.output<typeof createApiKeyRequest>,
): Omit<NewKey, 'prefix' | 'hash'> => ({
  ...{ name, scopes },
  createdBy: actor.kind === 'tenant' ? actor.caller.userId : null,
  expiresMs: days === undefined ? null : days * dayMs,
  apiVersion: newestVersion,
});

export const tooManyKeys = (limit: number, remedy: string): AppError =>
  new AppError('conflict', { detail: `The tenant already has ${limit} valid API keys, the maximum. ${remedy}` });
