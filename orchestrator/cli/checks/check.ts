import type { Config } from '../../src/config.ts';

/**
 * What the checks of `greenroom doctor` share.
 *
 * - One check answers one question about an outside service and has one stable id. Documentation and alerts name the id.
 * - A check changes nothing. With `live`, it makes something small at a service and removes it again, so it runs only on request.
 * - Nothing that a check returns contains a key or the body of an answer.
 */
export interface Check {
  /** Stable, kebab-case. Listed in docs/doctor.md. */
  id: string;
  /** What candidates notice if the check is not ok. */
  means: string;
  /** Runs only with `--live`. */
  live?: true;
  /** A rejection counts as `fail`, with the error's message. */
  run(context: Context): Promise<Result>;
}

/**
 * `ok`: works. `warn`: works today, needs attention. `fail`: does not work. `unknown`: cannot be checked from here.
 * Every result but `ok` says with which command, or where, it is corrected.
 */
export type Result =
  | { status: 'ok'; detail: string }
  | { status: 'warn' | 'fail' | 'unknown'; detail: string; fix: string };

export interface Context {
  config: Config;
  environment: Readonly<Record<string, string | undefined>>;
  /** Root of the repository, or of the image. */
  home: string;
  /** Unix ms. */
  now(): number;
}

export const ok = (detail: string): Result => ({ status: 'ok', detail });
export const warn = (detail: string, fix: string): Result => ({ status: 'warn', detail, fix });
export const fail = (detail: string, fix: string): Result => ({ status: 'fail', detail, fix });
export const unknown = (detail: string, fix: string): Result => ({ status: 'unknown', detail, fix });

export interface Answer {
  /** 0: no answer came. */
  status: number;
  /** Parsed JSON; undefined if the body was not JSON. */
  body: unknown;
  headers: Headers;
  /** Why no answer came, such as `ECONNREFUSED`. */
  why: string;
}

const requestMs = 10_000;

/** Sends one request. Never rejects. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  try {
    const answer = await fetch(url, { ...init, signal: init.signal ?? AbortSignal.timeout(requestMs) });
    const body: unknown = await answer.json().catch(() => undefined);
    return { status: answer.status, body, headers: answer.headers, why: '' };
  } catch (error) {
    return { status: 0, body: undefined, headers: new Headers(), why: reasonOf(error) };
  }
}

/** The system's code of a failed connection, or the error's message. */
export function reasonOf(error: unknown): string {
  const { code, message, cause } = error as { code?: unknown; message?: string; cause?: unknown };
  if (typeof code === 'string') return code;
  return cause === undefined ? (message ?? 'no answer') : reasonOf(cause);
}

/** "does not answer (ECONNREFUSED)" or "answered 503". */
export const saysOf = ({ status, why }: Answer): string =>
  status === 0 ? `does not answer (${why})` : `answered ${status}`;
