import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import type { ResultView } from '@greenroom/shared/protocol/results.ts';

/** A minimal API client, as a platform would write it. */
export interface Platform {
  createSession(body: unknown, headers?: Record<string, string>): Promise<SessionView>;
  getSession(id: string): Promise<SessionView>;
  deleteSession(id: string): Promise<SessionView>;
  transcript(id: string): Promise<{
    complete: boolean;
    entries: Array<{ speaker: string; text: string; item_id: string; correction: string | null }>;
  }>;
  /** Summary and evaluation, once they are final. */
  result(id: string, limitMs: number): Promise<ResultView>;
  /** Events of a session as they arrive. Ends when the signal is aborted or the session has ended. */
  events(id: string, signal: AbortSignal): AsyncGenerator<SessionEvent>;
  /** Reads the session until `until` returns true. */
  waitFor(id: string, until: (session: SessionView) => boolean, limitMs: number): Promise<SessionView>;
}

export interface SessionEvent {
  id: string;
  type: string;
  created_at: string;
  data: Record<string, unknown>;
}

/** An API answer with a status other than 2xx. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly body: Record<string, unknown>;

  constructor(status: number, body: Record<string, unknown>) {
    super(`${status} ${String(body.code ?? '')}: ${String(body.detail ?? '')} ${JSON.stringify(body.errors ?? [])}`);
    this.status = status;
    this.body = body;
  }
}

export function createPlatform(publicUrl: string, apiKey: string): Platform {
  const authorization = { authorization: `Bearer ${apiKey}` };
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${publicUrl}${path}`, {
      method,
      headers: { ...authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const parsed = text === '' ? {} : JSON.parse(text);
    if (!answer.ok) throw new ApiProblem(answer.status, parsed);
    return parsed;
  };
  const platform: Platform = {
    createSession: (body, headers) => call('POST', '/api/sessions', body, headers),
    getSession: (id) => call('GET', `/api/sessions/${id}`),
    deleteSession: (id) => call('DELETE', `/api/sessions/${id}`),
    transcript: (id) => call('GET', `/api/sessions/${id}/transcript`),
    result: async (id, limitMs) => {
      const deadlineMs = performance.now() + limitMs;
      for (;;) {
        const late = performance.now() > deadlineMs;
        // A browser learns of the end a moment before the session has ended, and until then there is no result.
        const result = await (call('GET', `/api/sessions/${id}/result`) as Promise<ResultView>).catch(
          (error: unknown) => {
            if (!late && error instanceof ApiProblem && error.status === 404) return { status: 'pending' as const };
            throw error;
          },
        );
        if (result.status !== 'pending' && result.status !== 'running') return result;
        if (late) throw new Error(`the result is still ${result.status} after ${limitMs} ms`);
        await sleep(50);
      }
    },
    events: async function* (id, signal) {
      const answer = await fetch(`${publicUrl}/api/sessions/${id}/events`, {
        headers: { ...authorization, accept: 'text/event-stream' },
        signal,
      });
      if (!answer.ok || !answer.body) throw new ApiProblem(answer.status, {});
      let buffer = '';
      for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
        buffer += chunk;
        const blocks = buffer.split('\n\n');
        buffer = blocks.pop() ?? '';
        for (const block of blocks) {
          const event = parseEvent(block);
          if (event) yield event;
        }
      }
    },
    waitFor: async (id, until, limitMs) => {
      const deadlineMs = performance.now() + limitMs;
      for (;;) {
        const session = await platform.getSession(id);
        if (until(session)) return session;
        if (performance.now() > deadlineMs)
          throw new Error(`session ${id} is still ${session.status} after ${limitMs} ms`);
        await sleep(50);
      }
    },
  };
  return platform;
}

/** One block of an event stream; undefined for comments. */
function parseEvent(block: string): SessionEvent | undefined {
  const fields = Object.fromEntries(
    block.split('\n').flatMap((line) => {
      const at = line.indexOf(': ');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 2)]] : [];
    }),
  );
  if (!fields.data) return undefined;
  const data = JSON.parse(fields.data) as Record<string, unknown>;
  return {
    id: fields.id ?? '',
    type: fields.event ?? String(data.type ?? ''),
    created_at: String(data.created_at ?? ''),
    data: (data.data as Record<string, unknown> | undefined) ?? data,
  };
}
