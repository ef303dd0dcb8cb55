/**
 * HTTP helpers of both functions.
 *
 * - Errors are RFC 9457 problem documents with the codes of the platform API.
 * - A request body is read up to a limit, whatever its Content-Length claims.
 * - In a browser only listed origins may read an answer. If none is listed, no origin may. No cookies are used.
 */
export interface Problem {
  status: number;
  code: string;
  detail: string;
  headers?: Record<string, string>;
}

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers },
  });

export const problem = ({ status, code, detail, headers = {} }: Problem): Response =>
  json(
    status,
    { type: `https://greenroom.dev/errors/${code}`, title: code.replaceAll('_', ' '), status, detail, code },
    { 'content-type': 'application/problem+json; charset=utf-8', ...headers },
  );

export const onlyPost: Problem = {
  status: 405,
  code: 'method_not_allowed',
  detail: 'Use POST, or GET to read the health of this function.',
  headers: { allow: 'GET, POST' },
};

export const bearerOf = (request: Request): string | undefined =>
  /^Bearer +([\w~+/.=-]+) *$/i.exec(request.headers.get('authorization') ?? '')?.[1];

/** Reads the body. Returns undefined if it is larger than the limit. */
export async function readBody(request: Request, limitBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (!request.body) return new Uint8Array();
  for await (const chunk of request.body) {
    bytes += chunk.length;
    if (bytes > limitBytes) return undefined;
    chunks.push(chunk);
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

export interface Cors {
  /** The answer to a preflight request, or undefined for any other request. */
  preflight(request: Request): Response | undefined;
  /** Adds the headers that let a browser on an allowed origin read the answer. */
  open(request: Request, response: Response): Response;
}

/** @param origins allowed origins; `*` allows any */
export function createCors(origins: readonly string[], headers: string): Cors {
  const allowed = (request: Request): string | undefined => {
    const origin = request.headers.get('origin');
    if (origin === null) return undefined;
    return origins.includes('*') || origins.includes(origin) ? origin : undefined;
  };
  const open = (request: Request, response: Response): Response => {
    const origin = allowed(request);
    response.headers.set('vary', 'origin');
    if (origin !== undefined) response.headers.set('access-control-allow-origin', origin);
    return response;
  };
  return {
    open,
    preflight: (request) => {
      if (request.method !== 'OPTIONS') return undefined;
      const response = new Response(null, {
        status: 204,
        headers: {
          'access-control-allow-methods': 'GET, POST',
          'access-control-allow-headers': headers,
          'access-control-max-age': '600',
        },
      });
      return open(request, response);
    },
  };
}

/** Splits the comma-separated value of a variable. */
export const listOf = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

/** The value of a required variable without trailing slashes. Throws an error that names the variable. */
export function needed(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new Error(`set ${name}`);
  let end = value.length;
  while (value[end - 1] === '/') end -= 1;
  return value.slice(0, end);
}
