import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { operations } from '../../orchestrator/src/api/operations.ts';
import { type Step, steps } from '../support/api-examples.ts';
import { type ApiWorld, type Got, startApiWorld } from '../support/api-world.ts';

/**
 * Executes the examples of the OpenAPI document against a running orchestrator: each has the status of its example, and
 * an answer with the same fields.
 *
 * With WRITE_EXAMPLES=1 it writes orchestrator/src/api/examples.json from the answers, with other ids, names, times and
 * secrets. Then write the document: npx vitest run --project unit orchestrator/src/openapi.test.ts -u
 */
interface Example {
  params: Step['params'] | undefined;
  query: object | undefined;
  body: unknown;
  status: number;
  answer?: unknown;
}
const file = path.resolve('orchestrator/src/api/examples.json');
const routes = new Map(Object.entries(operations).map(([route, { id }]) => [id, route]));

let world: ApiWorld;
beforeAll(async () => {
  world = await startApiWorld({
    ...{ API_VIDEO_KEY: 'example', API_VIDEO_URL: 'http://127.0.0.1:9', API_VIDEO_WEBHOOK_SECRET: 'example' },
  });
});
afterAll(() => world.stop());

const urlOf = (at: string, { params = {}, query = {} }: Step): string => {
  const where = at.replaceAll(/:(\w+)/g, (_, name: string) => params[name] ?? '');
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of [value].flat()) search.append(name === 'metadata' ? 'metadata[order]' : name, one);
  return search.size > 0 ? `${where}?${search}` : where;
};

/** A stream does not end by itself: its beginning, up to the end of the first event. */
async function firstEvent(url: string, key: string): Promise<Pick<Got, 'status' | 'text' | 'json'>> {
  const closing = new AbortController();
  const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal: closing.signal });
  let text = '';
  for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    if (/data: .*\n\n/.test(text)) break;
  }
  closing.abort();
  const event = `${text.split('\n\n').slice(0, 2).join('\n\n')}\n\n`;
  return { status: answer.status, text: event, json: event };
}

/** Other ids, names, times, addresses and secrets, the same in every run: a second run changes nothing in the file. Names of apps contain the beginning of a random id. */
function withoutPassing(text: string): string {
  const ids = new Map<string, string>();
  const idOf = (id: string): string => {
    if (!ids.has(id)) ids.set(id, `0b5c6f2e-7d41-4c9a-8e1f-${String(ids.size + 1).padStart(12, '0')}`);
    return ids.get(id) as string;
  };
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, idOf)
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, '2026-12-01T09:00:00Z')
    .replaceAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'eyJhbGciOiJFUzI1NiJ9.example.signature')
    .replaceAll(/gr_(live|test)_[\w-]+/g, 'gr_$1_example')
    .replaceAll(/whsec_[\w+/=-]+/g, 'whsec_example')
    .replaceAll(/(#|"code":")[\w-]{40,}/g, '$1example-of-an-invitation-code')
    .replaceAll(/("(?:transcript_token|browser)":")[\w-]{20,}/g, '$1example-of-a-secret')
    .replaceAll('http://interviews.test', 'https://interviews.example.com')
    .replaceAll('ws://interviews.test', 'wss://interviews.example.com')
    .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'https://project.supabase.co')
    .replaceAll(/("next_cursor":")[^"]+/g, '$1example-of-a-cursor')
    .replaceAll(/(gr-[a-z]+-)[0-9a-f]{8}(-\w+)/g, '$10b5c6f2e$2')
    .replaceAll(/("handover_code":")\d{6}/g, '$1123456')
    .replaceAll(/id: \d+\\n/g, 'id: 1\\n');
}

/** Names and kinds of all fields; of a list, those of its first item. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== 'object' || value === null) return 'value';
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]));
}

test('every example runs, and its answer has the fields of the documented one', { timeout: 300_000 }, async () => {
  const tenant = await world.tenant('acme');
  const platformKey = await world.key(tenant.id, [...scopes]);
  const tokens = { platform: platformKey, operator: world.operatorToken, nobody: undefined };
  const answers: Record<string, unknown> = {};
  const ran: Record<string, Example> = {};
  const tokenOf = ({ as }: Step) =>
    as === 'test' ? (answers.createTestKey as { key: string } | undefined)?.key : tokens[as];
  for await (const step of steps(world, { tenantId: tenant.id, platformKey }, answers)) {
    const [method = '', at = ''] = (routes.get(step.id) ?? '').split(' ');
    const got = at.endsWith('/events')
      ? await firstEvent(`${world.url}${urlOf(at, step)}`, platformKey)
      : await world.send(urlOf(at, step), {
          ...{ method, body: step.body, as: tokenOf(step), headers: step.headers ?? {} },
        });
    expect([step.id, got.status, got.text]).toEqual([step.id, step.status, got.text]);
    answers[step.id] = got.json;
    const { params, query, body, status } = step;
    const shownQuery = query && 'metadata' in query ? { ...query, metadata: { order: '4711' } } : query;
    ran[step.id] = {
      params,
      query: shownQuery,
      body,
      status,
      ...(got.text === '' ? {} : { answer: got.json }),
    };
  }
  const text = withoutPassing(JSON.stringify(ran));
  if (process.env.WRITE_EXAMPLES) writeFileSync(file, `${JSON.stringify(JSON.parse(text), null, 2)}\n`);
  const documented: Record<string, Example> = JSON.parse(readFileSync(file, 'utf8'));
  expect(shapeOf(JSON.parse(text))).toEqual(shapeOf(documented));
});
