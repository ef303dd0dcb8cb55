import type { Http } from '../outside/http.ts';

/**
 * Gets a new OIDC token of this machine for `audience` from Fly, over the machine's unix socket. Throws when
 * there is none.
 */
export type Identity = (signal?: AbortSignal) => Promise<string>;

const requestMs = 5_000;

/** @param http a client that connects to the machine's unix socket `/.fly/api`. */
export function createIdentity({ http, audience }: { http: Http; audience: string }): Identity {
  return async (signal) => {
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
}
