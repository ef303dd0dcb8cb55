import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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

/** Runs `greenroom sessions why` against an orchestrator that answers like this. */
async function why(status: number, body: object, ...flags: string[]) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => void server.close();
  const printed: string[] = [];
  const environment = {
    GREENROOM_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    GREENROOM_TOKEN: 'gr_op_token',
  };
  const console = { environment, cwd: '/', print: (line: string) => void printed.push(line), progress: () => {} };
  return { code: await runProgram(['sessions', 'why', 'abc', ...flags], console, '/'), printed, asked };
}

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
