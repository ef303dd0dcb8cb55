import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import type * as z from 'zod';
import { AppError } from '../errors/app-error.ts';
import type { FunctionArguments, FunctionName, FunctionResult } from './functions.ts';
import type { Database as Schema } from './types.ts';

/**
 * The one way to the database: supabase-js with a publishable key and a token of our own.
 *
 * B1  No secret key: the token's role, RLS and GRANTs bound what this process can do.
 * B2  Errors are told apart by HTTP status and SQLSTATE only; PostgREST's own codes change between versions.
 * B3  One try per call: the caller decides about retries. Left to itself the library tries a read four times, 7 s in all.
 * B4  An answer counts only if PostgREST can have sent it. The library reads a 404 without a body, or with `[]`, as
 *     "nothing found", and an empty 200 as null. PostgREST sends none of these: a proxy does, and nothing was read or
 *     written.
 * Whole answers
 *     PostgREST cuts a list of rows at its row limit (1,000 on hosted projects) and says nothing. So everything is read by
 *     functions that return one value: `Database` has no way to a table, and `FunctionName` names no function that returns
 *     rows. `whole-answers.test.ts` holds the SQL to it.
 * B5  A function that returns nothing answers 204 and gives `undefined`; SQL's null arrives as the text `null`.
 */
export interface DatabaseOptions {
  url: string;
  publishableKey: string;
  /** Called before each request; may refresh. */
  accessToken: () => Promise<string> | string;
  /** Limit of one request, ms. Left out where `fetch` keeps a limit of its own: a timer less per request. */
  requestMs?: number;
  /** Replaces fetch, for keep-alive pools. */
  fetch?: typeof fetch;
}

export type Database = Pick<SupabaseClient<Schema>, 'rpc'>;

export function createDatabase({
  url,
  publishableKey,
  accessToken,
  requestMs,
  fetch: send = fetch,
}: DatabaseOptions): Database {
  return createClient<Schema>(url, publishableKey, {
    accessToken: async () => accessToken(),
    db: { retry: false }, // B3
    global: { fetch: fromPostgrest(requestMs === undefined ? send : withLimit(send, requestMs)) },
  });
}

/** The status of an answer that PostgREST cannot have sent. */
const foreignAnswer = 502;

const looksLikeJson = (body: string): boolean => /^\s*["[{\dntf-]/.test(body);
const looksLikeAnError = (body: string): boolean => /^\s*\{/.test(body);

/** B4. */
const fromPostgrest =
  (send: typeof fetch): typeof fetch =>
  async (input, init) => {
    const answer = await send(input, init);
    const { ok, status, headers } = answer;
    if (status === 204 || (!ok && status !== 404)) return answer;
    const body = await answer.text();
    if (ok ? looksLikeJson(body) : looksLikeAnError(body))
      return { ok, status, statusText: '', headers, text: async () => body } as Response;
    const text = async () => `{"message":"HTTP ${status}, but not an answer of PostgREST"}`;
    return { ok: false, status: foreignAnswer, statusText: '', headers, text } as Response;
  };

const withLimit =
  (send: typeof fetch, requestMs: number): typeof fetch =>
  (input, init) => {
    const limit = AbortSignal.timeout(requestMs);
    return send(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, limit]) : limit });
  };

/** What supabase-js reports of a failure. */
export interface DatabaseFailure {
  message: string;
  code?: string;
  details?: string | null;
  hint?: string | null;
}

/**
 * SQLSTATEs of trouble that passes: no connection, no resources, shutting down, a serialisation failure or deadlock, a lock
 * that is held, a statement that took too long, a server that just became a replica, and trouble with the server's files.
 */
const passingStates = /^(08|53|57P|40|58|55P03|57014|25006)/;

/**
 * Statuses of trouble that passes when Postgres itself has not spoken (no SQLSTATE). A success that cannot be read; 401: the
 * clocks differ, or our signing key has not reached PostgREST yet; 404: PostgREST has not read the schema again after a
 * migration.
 */
const isPassingStatus = (status: number): boolean =>
  status < 300 || status === 401 || status === 404 || status === 408 || status === 429 || status >= 500;

/**
 * A database error with its SQLSTATE, when there is one. `unavailable`: the same call may work later. `refused`: it will not.
 */
export class DatabaseError extends Error {
  readonly sqlstate: string | undefined;
  readonly httpStatus: number;

  constructor(failure: DatabaseFailure, httpStatus: number, operation: string, cause?: unknown) {
    super(`${operation}: ${failure.message}`, { cause });
    this.name = 'DatabaseError';
    this.sqlstate = /^[0-9A-Z]{5}$/.test(failure.code ?? '') ? failure.code : undefined;
    this.httpStatus = httpStatus;
  }

  /** Postgres, or PostgREST before it, judged the request itself to be wrong. Nothing was done. */
  get refused(): boolean {
    return !this.unavailable && (this.sqlstate !== undefined || this.httpStatus === 400);
  }

  get unavailable(): boolean {
    if (this.sqlstate === undefined) return isPassingStatus(this.httpStatus);
    return passingStates.test(this.sqlstate) || this.httpStatus >= 502 || this.httpStatus === 429;
  }

  /** The request was too large for one statement (413) or took too long (57014). Nothing was done; halves of it may work. */
  get tooMuch(): boolean {
    return this.httpStatus === 413 || this.sqlstate === '57014';
  }
}

/**
 * Calls a SQL function and parses what it returns (B5). Throws DatabaseError, also when the answer has another shape than the
 * function's: somebody else answered, or the database is of another version for a moment.
 */
export async function callFunction<N extends FunctionName, T extends z.ZodType<FunctionResult<N>>>(
  database: Database,
  name: N,
  parameters: FunctionArguments<N>,
  result: T,
  signal?: AbortSignal,
): Promise<z.output<T>> {
  // supabase-js types arguments more narrowly than SQL takes them: there every one may be null.
  const call = (database as SupabaseClient).rpc(name, parameters);
  const { data, error, status } = await (signal ? call.abortSignal(signal) : call);
  if (error) throw new DatabaseError(error, status, name);
  const parsed = result.safeParse(status === 204 ? undefined : data);
  if (parsed.success) return parsed.data;
  throw new DatabaseError({ message: 'not an answer of this function' }, foreignAnswer, name, parsed.error);
}

/** A database error as the caller of an API may see it. */
export function databaseAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof DatabaseError && error.unavailable) {
    return new AppError('database_unavailable', { retryAfterS: 2, cause: error });
  }
  return new AppError('internal_error', { cause: error });
}

/** `callFunction` for one database. */
export const callerOf =
  (database: Database) =>
  <N extends FunctionName, T extends z.ZodType<FunctionResult<N>>>(
    name: N,
    parameters: FunctionArguments<N>,
    result: T,
    signal?: AbortSignal,
  ): Promise<z.output<T>> =>
    callFunction(database, name, parameters, result, signal);
