import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import type * as z from 'zod';
import { AppError } from '../errors/app-error.ts';
import type { FunctionArguments, FunctionName, FunctionResult } from './functions.ts';
import type { Database as Schema } from './types.ts';

/**
 * All database access goes through this file: supabase-js with a publishable key and a token of our own.
 *
 * - No secret key is used. The token's role, RLS and grants limit what this process can do.
 * - Errors are classified by HTTP status and SQLSTATE. PostgREST's own codes change between versions.
 * - Each call is tried once; the caller decides about retries. By default the library would try a read four times within 7 s.
 * - An answer counts only if PostgREST can have sent it. supabase-js treats a 404 with an empty body or `[]` as "nothing found",
 *   and an empty 200 as null. PostgREST sends neither. Such an answer comes from a proxy, and nothing was read or written.
 * - PostgREST cuts a list of rows at its row limit (1,000 on hosted projects) without saying so. Everything is therefore read
 *   with functions that return one value: `Database` gives no access to tables, and `FunctionName` contains no function that
 *   returns rows. `whole-answers.test.ts` checks the SQL.
 * - A function without a result answers 204, which becomes `undefined`. SQL null arrives as `null`.
 */
export interface DatabaseOptions {
  url: string;
  publishableKey: string;
  /** Called before each request; may refresh. */
  accessToken: () => Promise<string> | string;
  /** Limit of one request, ms. Leave it out if `fetch` has its own limit; that saves a timer per request. */
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
    db: { retry: false },
    global: { fetch: fromPostgrest(requestMs === undefined ? send : withLimit(send, requestMs)) },
  });
}

/** The status of an answer that PostgREST cannot have sent. */
const foreignAnswer = 502;

const looksLikeJson = (body: string): boolean => /^\s*["[{\dntf-]/.test(body);
const looksLikeAnError = (body: string): boolean => /^\s*\{/.test(body);

/** Turns an answer that PostgREST cannot have sent into an error. */
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
 * SQLSTATEs of temporary failures: no connection, no resources, shutdown, serialisation failure, deadlock, a held lock, a
 * statement that took too long, a server that has become a replica, and failures of the server's files.
 */
const passingStates = /^(08|53|57P|40|58|55P03|57014|25006)/;

/**
 * HTTP statuses of temporary failures without a SQLSTATE. A success that cannot be read; 401: clocks differ, or PostgREST does
 * not have our signing key yet; 404: PostgREST has not reloaded the schema after a migration.
 */
const isPassingStatus = (status: number): boolean =>
  status < 300 || status === 401 || status === 404 || status === 408 || status === 429 || status >= 500;

/**
 * A database error with its SQLSTATE, if there is one. `unavailable`: retry later. `refused`: retrying is pointless.
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

  /** Postgres or PostgREST rejected the request itself. Nothing was changed. */
  get refused(): boolean {
    return !this.unavailable && (this.sqlstate !== undefined || this.httpStatus === 400);
  }

  get unavailable(): boolean {
    if (this.sqlstate === undefined) return isPassingStatus(this.httpStatus);
    return passingStates.test(this.sqlstate) || this.httpStatus >= 502 || this.httpStatus === 429;
  }

  /** The request was too large (413) or took too long (57014). Nothing was changed. Smaller parts of it may succeed. */
  get tooMuch(): boolean {
    return this.httpStatus === 413 || this.sqlstate === '57014';
  }
}

/**
 * Calls a SQL function and parses its result. Throws DatabaseError, also if the result has an unexpected shape: a proxy answered,
 * or the database has another version during a deploy.
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

/** The error that an API caller sees for a database error. */
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
