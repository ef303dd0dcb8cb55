/**
 * Answers of PostgREST 12 with the error codes of 13 and newer, which hosted projects run (14 when this was written).
 *
 * From PostgREST's CHANGELOG, 13.0: a table that does not exist is `PGRST205` (before: `42P01`); claims that are refused, such
 * as an expired token or a wrong audience, are `PGRST303` (before: `PGRST301`, which is left for tokens that cannot be verified).
 */
interface PostgrestError {
  code?: unknown;
  message?: unknown;
}

const ofClaims = /expired|JWTNotInAudience|JWTIssuedAtFuture|JWTNotYetValid/i;

function codeOf(status: number, { code, message }: PostgrestError): unknown {
  if (status === 404 && code === '42P01') return 'PGRST205';
  if (status === 401 && code === 'PGRST301' && ofClaims.test(String(message))) return 'PGRST303';
  return code;
}

/** Statuses of the answers whose body may change. */
export const renamedStatuses: ReadonlySet<number> = new Set([401, 404]);

/** @param body of an answer of PostgREST. A body that is no JSON object stays as it is. */
export function withNewerCode(status: number, body: string): string {
  try {
    const error = JSON.parse(body) as PostgrestError;
    return JSON.stringify({ ...error, code: codeOf(status, error) });
  } catch {
    return body;
  }
}
