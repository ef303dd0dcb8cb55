import { createDatabase, type Database, DatabaseError } from '@greenroom/shared/database/client.ts';
import { Agent, fetch as undiciFetch } from 'undici';

/** The connection to Supabase: supabase-js over a keep-alive pool. */
export interface Connection {
  database: Database;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  url: string;
  publishableKey: string;
  accessToken: () => Promise<string>;
  requestMs: number;
  /** Maximum number of sockets to Supabase. Default 32: more would only queue at PostgREST's pool. */
  sockets?: number;
  /** Called with the status of each answer, or 0 if none came. @default none */
  onAnswer?: (status: number) => void;
  /** Observes each request. @default nothing */
  observe?: <T extends { status: number }>(url: string, exchange: () => Promise<T>) => Promise<T>;
}

export function createConnection({
  sockets = 32,
  onAnswer = () => undefined,
  observe = (_url, exchange) => exchange(),
  ...options
}: ConnectionOptions): Connection {
  const dispatcher = new Agent({ connections: sockets, keepAliveTimeout: 30_000, pipelining: 1 });
  const send = (async (input: string, init: object) => {
    const answer = await observe(input, () => undiciFetch(input, { ...init, dispatcher })).catch((error: unknown) => {
      onAnswer(0);
      throw error;
    });
    onAnswer(answer.status);
    return answer;
  }) as unknown as typeof fetch;
  return { database: createDatabase({ ...options, fetch: send }), close: () => dispatcher.close() };
}

/** The request was refused or too large for one statement: its transaction was rolled back, or never began. */
export const wasRolledBack = (error: unknown): boolean =>
  error instanceof DatabaseError && (error.refused || error.tooMuch);
