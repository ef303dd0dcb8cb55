import { type ErrorCode, errorCodes } from '@greenroom/shared/errors/codes.ts';
import {
  type ClaimPending,
  type ClaimResponse,
  claimPending,
  claimResponse,
  type FinishRequest,
  type HeartbeatRequest,
  heartbeatResponse,
  type OpenCallResponse,
  openCallResponse,
} from '@greenroom/shared/protocol/worker-api.ts';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import * as z from 'zod';
import type { Http, HttpAnswer } from './http.ts';

/**
 * Client of the worker API. One try per call; every result is returned as a value, and the caller decides
 * about retries.
 */
export type Answer<T> =
  | { kind: 'ok'; value: T }
  /**
   * A problem with a registered code; `code` is undefined when the answer is not ours. `status` 0: there was
   * no answer.
   */
  | {
      kind: 'failed';
      status: number;
      code: ErrorCode | undefined;
      retryAfterMs: number;
      problem: Record<string, unknown>;
    };

export type HeartbeatResponse = z.output<typeof heartbeatResponse>;

export interface Orchestrator {
  /** @param holdMs how long a hot worker lets the orchestrator hold its claim, ms; 0: not at all */
  claim(
    identityToken: string,
    bootNonce: string,
    holdMs: number,
    signal?: AbortSignal,
  ): Promise<Answer<ClaimResponse | ClaimPending>>;
  heartbeat(beat: HeartbeatRequest, timeoutMs: number): Promise<Answer<HeartbeatResponse>>;
  openCall(ordinal: number, signal?: AbortSignal): Promise<Answer<OpenCallResponse>>;
  updateCall(
    ordinal: number,
    change: { call_id: string } | { hung_up: true },
    signal?: AbortSignal,
  ): Promise<Answer<unknown>>;
  finish(request: FinishRequest, signal?: AbortSignal): Promise<Answer<unknown>>;
  /** @param body spans as OTLP JSON. @returns the status of the answer; 0: none came */
  traces(body: string): Promise<number>;
}

export interface OrchestratorDeps {
  http: Http;
  baseUrl: string;
  /** The currently valid worker token. */
  workerToken(): string;
  /**
   * Limit of one request, ms. `openCall` gets twice that: it includes the orchestrator's request to the voice
   * provider.
   */
  requestMs: number;
  /** For how long the VM and this process have run. @default unknown */
  uptimes?: Uptimes;
  /** The header `traceparent` of each request. @default none */
  traceparent?: () => string | undefined;
}

export type Uptimes = () => { vm_ms?: number; process_ms?: number };

export function createOrchestrator(deps: OrchestratorDeps): Orchestrator {
  const { http, baseUrl, workerToken, requestMs, uptimes = () => ({}) } = deps;
  const headersWith = (token: string): Record<string, string> => {
    const traceparent = deps.traceparent?.();
    return {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json',
      ...(traceparent === undefined ? {} : { traceparent }),
    };
  };
  async function ask<T extends z.ZodType>(
    method: 'POST' | 'PATCH',
    path: string,
    body: unknown,
    schema: T,
    {
      token = workerToken(),
      timeoutMs = requestMs,
      signal,
    }: { token?: string; timeoutMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<Answer<z.output<T>>> {
    try {
      const url = `${baseUrl}/worker/v1/${path}`;
      const answer = await http({
        method,
        url,
        headers: headersWith(token),
        body: JSON.stringify(body),
        timeoutMs,
        ...(signal ? { signal } : {}),
      });
      return readAnswer(answer, schema);
    } catch {
      return { kind: 'failed', status: 0, code: undefined, retryAfterMs: 0, problem: {} };
    }
  }

  return {
    claim: (token, bootNonce, holdMs, signal) =>
      ask(
        'POST',
        'claim',
        { boot_nonce: bootNonce, ...uptimes(), ...(holdMs > 0 ? { hold: true } : {}) },
        claimAnswer,
        {
          ...{ token, signal },
          timeoutMs: requestMs + holdMs,
        },
      ),
    heartbeat: (beat, timeoutMs) => ask('POST', 'heartbeat', beat, heartbeatResponse, { timeoutMs }),
    openCall: (ordinal, signal) =>
      ask('POST', 'calls', { ordinal }, openCallResponse, { timeoutMs: requestMs * 2, signal }),
    updateCall: (ordinal, change, signal) => ask('PATCH', `calls/${ordinal}`, change, nothing, { signal }),
    finish: (request, signal) => ask('POST', 'finish', request, nothing, { signal }),
    traces: (body) =>
      http({
        ...{ method: 'POST', url: `${baseUrl}/worker/v1/traces`, body, timeoutMs: requestMs },
        headers: headersWith(workerToken()),
      }).then(
        ({ status }) => status,
        () => 0,
      ),
  };
}

/** The small one first: most claims of a hot worker get it. */
const claimAnswer = z.union([claimPending, claimResponse]);

/**
 * Result of a route that answers 204. An empty body with any other status does not come from the
 * orchestrator.
 */
const nothing = z.undefined();

function readAnswer<T extends z.ZodType>({ status, headers, body }: HttpAnswer, schema: T): Answer<z.output<T>> {
  const value = status === 204 ? undefined : parseJson(body);
  if (status >= 200 && status < 300) {
    const parsed = schema.safeParse(value);
    // An unreadable answer counts as no answer: during a deploy the orchestrator may run another version.
    return parsed.success
      ? { kind: 'ok', value: parsed.data }
      : { kind: 'failed', status: 502, code: undefined, retryAfterMs: 0, problem: {} };
  }
  const problem = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const code = typeof problem.code === 'string' && problem.code in errorCodes ? (problem.code as ErrorCode) : undefined;
  const retryAfterMs = readRetryAfter(headers['retry-after'], mostRetryAfterMs) ?? 0;
  return { kind: 'failed', status, code, retryAfterMs, problem };
}

/** Null when it is not JSON; no route answers JSON `null`. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The longest Retry-After that is accepted; an orchestrator never asks for more. */
const mostRetryAfterMs = 60_000;

/** Whether the same request may succeed later: no answer, or a temporary error of the other side. */
export const mayWorkLater = (failure: { status: number }): boolean =>
  failure.status === 0 ||
  failure.status === 408 ||
  failure.status === 425 ||
  failure.status === 429 ||
  failure.status >= 500;
