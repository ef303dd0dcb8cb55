import { CliError } from './console.ts';

/** A client of the platform API for commands. */
export interface Platform {
  /** @returns the parsed body; undefined when the answer is 404 and `absent` allows it */
  call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<T>;
}

const requestMs = 30_000;

/** @param token an API key or an operator's token */
export function createPlatform(baseUrl: string, token: string): Platform {
  return {
    call: async <T>(method: string, path: string, body?: object): Promise<T> => {
      const answer = await fetch(`${baseUrl}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(requestMs),
      }).catch((error: unknown) => {
        throw new CliError('away', 'orchestrator_away', `${baseUrl} does not answer (PUBLIC_URL).`, { cause: error });
      });
      const parsed = (await answer.json().catch(() => ({}))) as T & { code?: string; detail?: string };
      if (answer.ok) return parsed;
      const said = `${method} ${path}: ${answer.status} ${parsed.code ?? ''} ${parsed.detail ?? ''}`.trim();
      if (answer.status === 401 || answer.status === 403)
        throw new CliError(
          'notAllowed',
          'token_refused',
          `${said}. GREENROOM_TOKEN must be an operator's token whose hash is in OPERATOR_TOKENS.`,
        );
      throw new CliError(answer.status === 404 ? 'notFound' : 'failed', parsed.code ?? 'refused', said);
    },
  };
}
