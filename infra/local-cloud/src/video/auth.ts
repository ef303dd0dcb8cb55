/** Two kinds of authentication: Basic with `apiKey:`, or a bearer token from `/auth/api-key` that lives for one hour. */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';

const bearerTtlSeconds = 3600;

export interface VideoAuth {
  /** Whether an `Authorization` header is valid now. */
  accepts(authorization: string | undefined): boolean;
  /** The token reply for an API key, or undefined if the key is unknown. */
  exchange(apiKey: unknown): object | undefined;
  /** The token reply for a refresh token, which is used up, or undefined if it is unknown. */
  refresh(refreshToken: unknown): object | undefined;
}

export function createVideoAuth(apiKey: string, clock: Clock): VideoAuth {
  const expiries = new Map<string, number>();
  const refreshTokens = new Set<string>();
  function issue() {
    const [access_token, refresh_token] = [newSecret(), newSecret()];
    expiries.set(access_token, clock.now() + bearerTtlSeconds * 1000);
    refreshTokens.add(refresh_token);
    return { token_type: 'Bearer', expires_in: bearerTtlSeconds, access_token, refresh_token };
  }
  const basic = `Basic ${Buffer.from(`${apiKey}:`).toString('base64')}`;
  return {
    accepts: (authorization) => {
      if (authorization === basic) return true;
      const token = /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1];
      return token !== undefined && (expiries.get(token) ?? 0) > clock.now();
    },
    exchange: (key) => (key === apiKey ? issue() : undefined),
    refresh: (token) => (typeof token === 'string' && refreshTokens.delete(token) ? issue() : undefined),
  };
}
