import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import type * as z from 'zod';
import { AppError } from '../errors/app-error.ts';

/**
 * The one way to the database: supabase-js with a publishable key and a token of our own.
 *
 * B1  No secret key: the token's role, RLS and GRANTs bound what this process can do.
 * B2  Errors are told apart by HTTP status and SQLSTATE only; PostgREST's own codes change between versions.
 * B3  One try per call: who asks decides about retries. Left to itself the library tries a read four times, 7 s in all.
 * B4  A 404 is a failure. The library takes one without a body, or with `[]`, for "nothing found"; PostgREST never sends
 *     either, so somebody between us and it does, and nothing was read or written.
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

export type Database = SupabaseClient;

export function createDatabase({
  url,
  publishableKey,
  accessToken,
  requestMs,
  fetch: send = fetch,
}: DatabaseOptions): Database {
  return createClient(url, publishableKey, {
    accessToken: async () => accessToken(),
    db: { retry: false }, // B3
    global: { fetch: heard(requestMs === undefined ? send : withLimit(send, requestMs)) },
  });
}

/** B4. */
const heard =
  (send: typeof fetch): typeof fetch =>
  async (input, init) => {
    const answer = await send(input, init);
    if (answer.status !== 404) return answer;
    const body = await answer.text();
    const isPostgrests = /^\s*\{/.test(body);
    const text = async () => (isPostgrests ? body : '{"message":"not PostgREST’s answer"}');
    const { headers } = answer;
    return { ok: false, status: isPostgrests ? 404 : 502, statusText: '', headers, text } as Response;
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

/** A database error with its SQLSTATE, when there is one. `unavailable`: it may work later, nothing is known to be wrong. */
export class DatabaseError extends Error {
  readonly sqlstate: string | undefined;
  readonly httpStatus: number;

  constructor(failure: DatabaseFailure, httpStatus: number, operation: string) {
    super(`${operation}: ${failure.message}`);
    this.name = 'DatabaseError';
    this.sqlstate = /^[0-9A-Z]{5}$/.test(failure.code ?? '') ? failure.code : undefined;
    this.httpStatus = httpStatus;
  }

  /** The request itself was wrong, by Postgres's judgement or by that of who stands before it: nothing was done. */
  get refused(): boolean {
    return !this.unavailable && (this.sqlstate !== undefined || this.httpStatus === 400);
  }

  get unavailable(): boolean {
    const connectionTrouble = /^(08|53|57P|40|55P03)/.test(this.sqlstate ?? '');
    return connectionTrouble || this.httpStatus === 0 || this.httpStatus >= 502 || this.httpStatus === 429;
  }
}

/** Calls a SQL function and parses what it returns. Throws DatabaseError. */
export async function callFunction<T extends z.ZodType>(
  database: Database,
  name: string,
  parameters: Record<string, unknown>,
  result: T,
  signal?: AbortSignal,
): Promise<z.output<T>> {
  const call = database.rpc(name, parameters);
  const { data, error, status } = await (signal ? call.abortSignal(signal) : call);
  if (error) throw new DatabaseError(error, status, name);
  return result.parse(data);
}

/** A database error as the caller of an API may see it. */
export function databaseAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof DatabaseError && error.unavailable) {
    return new AppError('database_unavailable', { retryAfterS: 2, cause: error });
  }
  return new AppError('internal_error', { cause: error });
}
