import type { Http } from './http.ts';

/**
 * Limit of one answer: a page of a transcript has up to a thousand entries, each at most as long as an entry
 * may be.
 */
const maxBytes = 67_108_864;

/**
 * The part of `fetch` that supabase-js needs, implemented with our own HTTP client. Node's fetch is a second
 * HTTP client with caches, streams and a WebSocket; loading it costs a worker 10 MB and 20 ms.
 */
export function fetchOver(http: Http, timeoutMs: number): typeof fetch {
  const send = async (input: unknown, init: RequestInit = {}) => {
    const { method = 'GET', body, headers, signal } = init;
    const answer = await http({
      method: method as 'GET' | 'POST' | 'PATCH',
      url: String(input),
      headers: Object.fromEntries(new Headers(headers)),
      timeoutMs,
      maxBytes,
      ...(typeof body === 'string' ? { body } : {}),
      ...(signal ? { signal } : {}),
    });
    return {
      ok: answer.status >= 200 && answer.status < 300,
      status: answer.status,
      statusText: '',
      headers: { get: (name: string) => answer.headers[name.toLowerCase()] ?? null },
      text: async () => answer.body,
      json: async () => JSON.parse(answer.body),
    };
  };
  return send as unknown as typeof fetch;
}
