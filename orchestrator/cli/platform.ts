import { CliError } from './console.ts';

/** A client of the platform API for commands. */
export interface Platform {
  /** @returns the parsed body. Throws CliError for every answer other than 2xx, and if there is no answer. */
  call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<T>;
}

const requestMs = 30_000;

interface Problem {
  code?: string;
  detail?: string;
  already?: boolean;
  errors?: Array<{ field: string; message: string }>;
}

const exitOf = (status: number, { already }: Problem): ConstructorParameters<typeof CliError>[0] => {
  if (already) return 'alreadySo';
  if (status === 404) return 'notFound';
  return status === 400 || status === 422 ? 'usage' : 'failed';
};

/** What went wrong with a request that got no answer. */
function unanswered(error: unknown, baseUrl: string, variable: string): CliError {
  if ((error as Error).name === 'TimeoutError')
    return new CliError('timedOut', 'timed_out', `${baseUrl} did not answer within ${requestMs / 1_000} s.`, {
      cause: error,
    });
  return new CliError('away', 'orchestrator_away', `${baseUrl} does not answer (${variable}).`, { cause: error });
}

const isApiKey = (token: string): boolean => /^gr_(live|test)_/.test(token);

/** What helps against 403. */
const whatToUse = (token: string): string =>
  isApiKey(token) ? 'Use an API key with this scope.' : 'Ask an admin for a token with this role.';

/** What helps against 401. */
const whatMustBeValid = (token: string): string =>
  isApiKey(token)
    ? 'The API key must be one of a tenant of this deployment, neither revoked nor expired.'
    : "GREENROOM_TOKEN must be an operator's token whose hash is in OPERATOR_TOKENS.";

/** @param token an API key or an operator's token @param variable that sets `baseUrl` */
export function createPlatform(baseUrl: string, token: string, variable = 'PUBLIC_URL'): Platform {
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
        throw unanswered(error, baseUrl, variable);
      });
      const parsed = (await answer.json().catch(() => ({}))) as T & Problem;
      if (answer.ok) return parsed;
      const fields = (parsed.errors ?? []).map(({ field, message }) => `${field} ${message}`).join('; ');
      const said = [`${method} ${path}: ${answer.status}`, parsed.code, parsed.detail, fields]
        .filter(Boolean)
        .join(' ');
      if (answer.status === 403)
        throw new CliError('notAllowed', parsed.code ?? 'forbidden', `${said} ${whatToUse(token)}`);
      if (answer.status === 401) throw new CliError('notAllowed', 'token_refused', `${said} ${whatMustBeValid(token)}`);
      throw new CliError(exitOf(answer.status, parsed), parsed.code ?? 'refused', said);
    },
  };
}
