import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Http } from '../outside/http.ts';

/**
 * Gets an OIDC token of this machine for `audience` from Fly, over the machine's unix socket. Throws when there is none.
 *
 * A hot worker claims every ten seconds, and once more when it gets its session. So a token is used for `reuseMs`: Fly's live
 * for ten minutes. The candidate of a hot machine does not wait for Fly, and a hundred workers do not ask Fly every ten seconds.
 */
export interface Identity {
  (signal?: AbortSignal): Promise<string>;
  /** Does not use the current token again: it was refused. Returns whether it had been used before. */
  forget(): boolean;
}

const requestMs = 5_000;
const reuseMs = 60_000;

export interface IdentityDeps {
  /** A client that connects to the machine's unix socket `/.fly/api`. */
  http: Http;
  audience: string;
  clock: Pick<Clock, 'monotonicMs'>;
}

export function createIdentity({ http, audience, clock }: IdentityDeps): Identity {
  let last: { token: string; sinceMs: number; uses: number } | undefined;
  const ask = async (signal?: AbortSignal): Promise<string> => {
    const answer = await http({
      method: 'POST',
      url: 'http://localhost/v1/tokens/oidc',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ aud: audience }),
      timeoutMs: requestMs,
      ...(signal ? { signal } : {}),
    });
    const token = answer.body.trim();
    if (answer.status !== 200 || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
      throw new Error(`Fly gave no identity token (status ${answer.status})`);
    }
    return token;
  };
  const give = async (signal?: AbortSignal): Promise<string> => {
    if (last === undefined || clock.monotonicMs() - last.sinceMs >= reuseMs) {
      const sinceMs = clock.monotonicMs();
      last = { token: await ask(signal), sinceMs, uses: 0 };
    }
    last.uses += 1;
    return last.token;
  };
  return Object.assign(give, {
    forget: () => {
      const wasUsedBefore = last !== undefined && last.uses > 1;
      last = undefined;
      return wasUsedBefore;
    },
  });
}
