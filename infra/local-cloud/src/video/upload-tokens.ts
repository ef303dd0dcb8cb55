/**
 * Upload tokens. The holder of a token may upload any number of videos until it expires or is deleted. A token is not bound to a
 * video, and needs no other authorisation.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newWireId } from '../voice/wire.ts';

export interface UploadToken {
  token: string;
  /** Seconds; 0: never expires, without `expiresAt`. */
  ttl: number;
  createdAt: string;
  expiresAt?: string;
}

export interface UploadTokens {
  /** @param ttl seconds. 0: no expiry. */
  create(ttl: number): UploadToken;
  get(token: string): UploadToken | undefined;
  /** False if there is no such token. */
  remove(token: string): boolean;
  all(): UploadToken[];
  isValid(token: string): boolean;
}

export function createUploadTokens(clock: Clock): UploadTokens {
  const tokens = new Map<string, UploadToken>();
  const iso = (ms: number) => new Date(ms).toISOString();
  return {
    create: (ttl) => {
      const nowMs = clock.now();
      const token = newWireId('to').replace('_', '');
      const expiry = ttl > 0 ? { expiresAt: iso(nowMs + ttl * 1000) } : {};
      const created = { token, ttl, createdAt: iso(nowMs), ...expiry };
      tokens.set(token, created);
      return created;
    },
    get: (token) => tokens.get(token),
    remove: (token) => tokens.delete(token),
    all: () => [...tokens.values()],
    isValid: (token) => {
      const found = tokens.get(token);
      return found !== undefined && (found.expiresAt === undefined || Date.parse(found.expiresAt) > clock.now());
    },
  };
}
