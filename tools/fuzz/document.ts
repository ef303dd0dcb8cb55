import { errorCodes } from '@greenroom/shared/errors/codes.ts';
import type { Random } from '../chaos/random.ts';
import { oddContentTypes, oddText } from './odd-bodies.ts';
import { anything, changed, madeOf, type Schema } from './values.ts';

/**
 * Makes valid and invalid requests for every operation of an OpenAPI document, and says which answers the document allows.
 * The same seed makes the same requests.
 */
export interface Route {
  method: string;
  path: string;
  parameters: Parameter[];
  body: Schema | undefined;
  /** A valid body: the example of the document. */
  example: unknown;
  /** The statuses that the document names. */
  statuses: ReadonlySet<string>;
  /** Server-sent events: the answer does not end by itself. */
  streams: boolean;
}

interface Parameter {
  name: string;
  in: string;
  schema: Schema;
}

interface Operation {
  parameters?: Parameter[];
  requestBody?: { content?: Record<string, { schema?: Schema; example?: unknown }> };
  responses: Record<string, { content?: Record<string, object> }>;
}

export interface OpenApiDocument {
  paths: Record<string, Record<string, Operation>>;
}

export function routesOf(document: OpenApiDocument): Route[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody, parameters = [], responses }]) => {
      const json = requestBody?.content?.['application/json'];
      return {
        ...{ method: method.toUpperCase(), path, parameters, body: json?.schema, example: json?.example },
        statuses: new Set(Object.keys(responses)),
        streams: 'text/event-stream' in (responses[200]?.content ?? {}),
      };
    }),
  );
}

export interface FuzzRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: Record<string, string>;
  body: string | Uint8Array | undefined;
  /** Whether the request reaches the route that it was made from. An empty parameter may lead to another. */
  reaches: boolean;
}

/** Ids that exist, of the caller's tenant and of another one. */
type Ids = () => readonly string[];

/** Some of the parameters of a query, right and wrong, in the forms of the document: lists repeated, objects in brackets. */
function queryOf(parameters: Parameter[], random: Random): string {
  const query = new URLSearchParams();
  for (const { name, schema } of parameters) {
    if (random.next() < 0.8) continue;
    const value = madeOf(schema, random);
    const values = Array.isArray(value) ? value.slice(0, 30) : [value];
    for (const one of values)
      if (typeof one === 'object' && one !== null)
        for (const [key, inner] of Object.entries(one)) query.append(`${name}[${key}]`, String(inner).slice(0, 300));
      else query.append(name, String(one).slice(0, 300).toWellFormed());
  }
  return query.size > 0 ? `?${query}` : '';
}

/** Values of headers that mean something, beside what their schemas make. */
const headerValues: Record<string, string[]> = {
  'idempotency-key': ['1', '2', '3', 'x'.repeat(255), 'x'.repeat(256), ' '],
  'greenroom-version': ['2026-11-27', '1999-01-01', 'newest'],
  'if-match': ['"tag"', '*', 'W/"tag"', '"'],
  'if-none-match': ['"tag"', '*', 'W/"tag", "other"'],
  prefer: ['wait=0', 'wait=1', 'wait=-1', 'wait=x', 'respond-async, wait=1'],
};

/** What a header can hold. Longer ones are tried by the rough clients. */
const headerText = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7e\xa0-\xff]/g, '')
    .slice(0, 300)
    .trim();

function headersOf(parameters: Parameter[], random: Random): Record<string, string> {
  const given: Record<string, string> = {};
  for (const { name, schema } of parameters) {
    if (random.next() < 0.7) continue;
    const values = headerValues[name];
    const value = values && random.next() < 0.7 ? random.pick(values) : madeOf(schema, random);
    // `wait=50` would hold this lane for so long.
    given[name] = name === 'prefer' && values?.includes(String(value)) !== true ? 'wait=0' : headerText(String(value));
  }
  if (random.next() < 0.05) given.accept = random.pick(['text/vtt', 'image/png', '*/*;q=0', ',', 'x']) as string;
  if (random.next() < 0.05) given['last-event-id'] = random.pick(['0', '-1', 'x', '99999999999999999999']) as string;
  return given;
}

const uuids = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** A body of the example, of the schema, or of neither. */
function bodyOf({ body, example }: Route, random: Random, ids: Ids): unknown {
  if (body === undefined || random.next() < 0.02) return random.next() < 0.5 ? undefined : anything(random);
  if (example === undefined || random.next() < 0.4) return madeOf(body, random);
  const ours = JSON.stringify(example).replaceAll(uuids, () => random.pick(ids()) as string);
  const valid: unknown = JSON.parse(ours);
  return random.next() < 0.5 ? valid : changed(valid, random);
}

export function requestOf(route: Route, random: Random, { ids, key }: { ids: Ids; key: string | undefined }) {
  const of = (place: string): Parameter[] => route.parameters.filter((one) => one.in === place);
  let reaches = true;
  const path = route.path.replaceAll(/\{[^}]*\}/g, () => {
    const value =
      random.next() < 0.9 ? (random.pick(ids()) as string) : String(anything(random)).slice(0, 300).toWellFormed();
    // URLs lose such segments.
    if (['', '.', '..'].includes(value)) reaches = false;
    return encodeURIComponent(value);
  });
  const sent = route.method === 'GET' ? undefined : bodyOf(route, random, ids);
  const headers: Record<string, string> = {
    ...headersOf(of('header'), random),
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    'fly-client-ip': `198.51.100.${random.between(1, 250)}`,
  };
  if (sent !== undefined || random.next() < 0.05)
    headers['content-type'] = random.next() < 0.95 ? 'application/json' : (random.pick(oddContentTypes) as string);
  const body = sent === undefined ? undefined : oddText(sent, random);
  return { method: route.method, url: `${path}${queryOf(of('query'), random)}`, headers, body, reaches };
}

/** The largest problem document: 20 fields with name and message. */
export const maxProblemBytes = 32_768;

export interface Answer {
  status: number;
  contentType: string;
  text: string;
}

/** What is wrong with an error's answer; undefined if nothing is. @param statuses that are expected; default: any below 500 */
export function faultOf({ status, contentType, text }: Answer, statuses?: ReadonlySet<string>): string | undefined {
  if (status >= 500) return `${status}: ${text.slice(0, 300)}`;
  if (statuses && !statuses.has(String(status))) return `${status} is not documented: ${text.slice(0, 300)}`;
  if (status < 400) return undefined;
  if (!contentType.startsWith('application/problem+json')) return `${status} as ${contentType}: ${text.slice(0, 300)}`;
  if (Buffer.byteLength(text) > maxProblemBytes) return `${status} with ${Buffer.byteLength(text)} bytes`;
  const problem = JSON.parse(text) as { code?: string; status?: number; request_id?: string };
  const known = (errorCodes as Record<string, { status: number }>)[problem.code ?? ''];
  if (known?.status !== status || problem.status !== status) return `${status} with ${text.slice(0, 300)}`;
  return problem.request_id ? undefined : `${status} without a request id`;
}

/** Sends it, reads the whole answer (of a stream its beginning) and judges it. */
export async function sendAndJudge(
  base: string,
  route: Route,
  { method, url, headers, body, reaches }: FuzzRequest,
): Promise<{ status: number; fault: string | undefined }> {
  const leaving = new AbortController();
  const answer = await fetch(`${base}${url}`, {
    ...{ method, headers, redirect: 'manual' },
    ...(body === undefined ? {} : { body: body as BodyInit }),
    signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(60_000)]),
  });
  const contentType = answer.headers.get('content-type') ?? '';
  const text = contentType.startsWith('text/event-stream') ? '' : await answer.text();
  leaving.abort();
  const { status } = answer;
  const fault = faultOf({ status, contentType, text }, reaches ? route.statuses : undefined);
  return { status, fault: fault && `${method} ${route.path}: ${fault}` };
}
