import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runProgram } from '../program.ts';

const sentence = "Slow by 31.2 s: waited 29.0 s for Fly's create limit (30th of 100 at 09:00, no standby in fra).";
const found = {
  verdict: 'create_limit',
  sentence,
  segments: [
    { step: 'limit', owner: 'fly', from: 0, until: 29_000, ms: 29_000 },
    { step: 'boot', owner: 'fly', from: 29_000, until: 32_000, ms: 3_000 },
  ],
  blame: { us: 0, fly: 32_000, provider: 0, candidate: 0 },
};

let close = () => {};
afterEach(() => close());

type Answer = (asked: { url: URL; body: string }) => [status: number, body: object];

/** Runs a command against an orchestrator that answers like this. */
async function run(args: string[], answer: Answer, more: { environment?: object; cwd?: string } = {}) {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}${body && ` ${body}`}`);
    const url = new URL(request.url ?? '', `http://${request.headers.host}`);
    const [status, document] = answer({ url, body });
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => void server.close();
  const printed: string[] = [];
  const progress: string[] = [];
  const environment = {
    GREENROOM_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    GREENROOM_TOKEN: 'gr_op_token',
    ...more.environment,
  };
  const console = {
    ...{ environment, cwd: more.cwd ?? '/', print: (line: string) => void printed.push(line) },
    progress: (line: string) => void progress.push(line),
  };
  return { code: await runProgram(args, console, '/'), printed, progress: progress.join('\n'), asked };
}

const why = (status: number, body: object, ...flags: string[]) =>
  run(['sessions', 'why', 'abc', ...flags], () => [status, body]);

test('the sentence comes first, then one line for each step where it lies in the whole time', async () => {
  const { code, printed, asked } = await why(200, found);
  expect(code).toBe(0);
  expect(asked).toEqual(['GET /ops/api/sessions/abc/why Bearer gr_op_token']);
  expect(printed[0]).toBe(sentence);
  const bars = printed.filter((line) => line.includes('█'));
  expect(bars.map((line) => line.indexOf('█'))).toEqual([33, 69]);
  expect(printed.at(-1)).toContain('fly 32.0 s');
});

test('with --json the answer is one document', async () => {
  const { printed } = await why(200, found, '--json');
  expect(printed.map((line) => JSON.parse(line))).toEqual([{ ok: true, ...found }]);
});

test.each([
  [404, 3],
  [401, 4],
  [500, 1],
])('an answer with status %i gives the exit code %i', async (status, code) => {
  expect((await why(status, { code: 'x', detail: 'y' })).code).toBe(code);
});

test('ls --all reads every page, each with the cursor of the page before', async () => {
  const pages: Record<string, object> = {
    '': { data: [{ session_id: 'one' }, { session_id: 'two' }], next_cursor: 'second' },
    second: { data: [{ session_id: 'three' }], next_cursor: 'third' },
    third: { data: [{ session_id: 'four' }], next_cursor: null },
  };
  const { code, printed, asked } = await run(['sessions', 'ls', '--all', '--json'], ({ url }) => [
    200,
    pages[url.searchParams.get('cursor') ?? ''] ?? {},
  ]);
  const { data, has_more } = JSON.parse(printed.join('\n'));
  expect([code, has_more]).toEqual([0, false]);
  expect(data.map(({ session_id }: { session_id: string }) => session_id)).toEqual(['one', 'two', 'three', 'four']);
  expect(asked).toHaveLength(3);
});

test('ls --limit reads no page beyond its limit, and says that there is more', async () => {
  const page = { data: [{ session_id: 'one' }, { session_id: 'two' }], next_cursor: 'next' };
  const { printed, asked } = await run(['sessions', 'ls', '--limit', '2', '--json'], () => [200, page]);
  expect(JSON.parse(printed.join('\n'))).toMatchObject({ data: page.data, has_more: true });
  expect(asked).toEqual([expect.stringContaining('limit=2')]);
});

/** `sessions start` against an operators' API and a platform API at one address. */
async function start(answered: [number, object]) {
  const cwd = mkdtempSync(path.join(tmpdir(), 'greenroom-start-'));
  writeFileSync(path.join(cwd, 'body.json'), '{"candidate":{"name":"Ada"}}');
  const answer: Answer = ({ url }) => (url.pathname === '/ops/api/me' ? [200, { public_url: url.origin }] : answered);
  const environment = { GREENROOM_API_KEY: 'gr_live_key' };
  const ran = await run(['sessions', 'start', '--file', 'body.json'], answer, { environment, cwd });
  rmSync(cwd, { recursive: true });
  return ran;
}

test('start creates the session of the file with the key of the tenant, and shows it', async () => {
  const { code, printed, asked } = await start([201, { session_id: 'abc', status: 'pending' }]);
  expect([code, asked[1]]).toEqual([0, 'POST /api/sessions Bearer gr_live_key {"candidate":{"name":"Ada"}}']);
  expect(printed.join('\n')).toContain('abc');
});

test.each([
  [401, 'The API key must be one of a tenant of this deployment, neither revoked nor expired.'],
  [403, 'Use an API key with this scope.'],
])(
  'start that is refused with %i says what is wrong with the API key, not with the operator’s token',
  async (...row) => {
    const [status, text] = row;
    const { code, progress } = await start([status, { code: 'x', detail: 'Refused.' }]);
    expect([code, progress.includes(text), progress.includes('GREENROOM_TOKEN')]).toEqual([4, true, false]);
  },
);
