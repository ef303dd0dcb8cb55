import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPackage } from '../build-package.ts';
import { json, serve } from './testing.ts';

const run = promisify(execFile);
const root = path.join(import.meta.dirname, '../..');
const bin = (name: string) => path.join(root, 'node_modules/.bin', name);

describe('the published package', () => {
  let dir: string;
  let imports: string[];
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'greenroom-server-'));
    ({ imports } = await buildPackage(dir));
  }, 60_000);
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test('the module imports nothing and uses no global that only Node has', async () => {
    expect(imports).toEqual([]);
    expect(await readFile(path.join(dir, 'index.js'), 'utf8')).not.toMatch(
      /\b(require|process|Buffer|__dirname|node:\w+)\b/,
    );
  });

  test('publint reports nothing about the package', async () => {
    const { messages } = await publint({ pkgDir: dir, level: 'warning', strict: true });
    expect(messages).toEqual([]);
  });

  test('the types of the package resolve in every ES module setting', async () => {
    const { stdout } = await run(bin('attw'), [
      ...['--pack', dir, '--profile', 'esm-only', '--ignore-rules', 'cjs-resolves-to-esm', '--format', 'json'],
    ]);
    expect(Object.keys(JSON.parse(stdout).problems ?? {}).filter((kind) => kind !== 'CJSResolvesToESM')).toEqual([]);
  }, 60_000);

  test('a backend compiles strictly against the published types, without those of Node', async () => {
    const file = path.join(dir, 'backend.ts');
    await writeFile(
      file,
      `import { createGreenroom, verifyWebhook } from './index.js';
const greenroom = createGreenroom({ url: 'https://x.example', apiKey: 'k' });
const session = await greenroom.createSession({ candidate: { name: 'Ada' }, position: { title: 'Engineer' } });
const id: string = session.session_id;
for await (const one of greenroom.listSessions({ status: ['ready'] })) one.status satisfies string;
const text: string | undefined = (await greenroom.waitForResult(id)).evaluation?.recommendation;
// @ts-expect-error There is no such status.
greenroom.listSessions({ status: ['sleeping'] });
// @ts-expect-error A candidate has no such field.
await greenroom.createSession({ candidate: { nam: 'Ada' } });
export const event = async (request: Request, secret: string) =>
  (await verifyWebhook({ body: await request.text(), headers: request.headers, secret })).type === 'result.done' && text;
`,
    );
    await run(bin('tsc'), [
      ...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--module', 'nodenext'],
      ...['--lib', 'es2023,dom,dom.iterable,dom.asynciterable', '--types', '', '--ignoreConfig', file],
    ]);
  }, 60_000);

  test('the package runs in Deno with no permission except network access to the API', async () => {
    await using served = await serve(json(200, { mode: 'test' }));
    const script = path.join(dir, 'me.mjs');
    await writeFile(
      script,
      `import { createGreenroom } from './index.js';
console.log((await createGreenroom({ url: '${served.url}', apiKey: 'k' }).getMe()).mode);`,
    );
    const host = new URL(served.url).host;
    const args = ['run', '--no-prompt', '--cached-only', '--no-remote', '--no-config', `--allow-net=${host}`, script];
    const { stdout } = await run(bin('deno'), args, { env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' } });
    expect(stdout.trim()).toBe('test');
  }, 60_000);
});
