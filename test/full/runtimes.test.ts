import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { spawnTied } from '@greenroom/local-cloud/process.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { createGreenroom } from '@greenroom/server';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import { build } from 'esbuild';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildPackage } from '../../server-client/build-package.ts';
import { hangUp, json, type Served, serve } from '../../server-client/src/testing.ts';
import { denoBinary, denoEnvironment } from '../../tools/stack/edge-functions.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { until } from '../support/session.ts';
import { type Basics, basics } from './runtimes/basics.ts';

/**
 * The published client in each runtime that its README promises: the same steps (runtimes/basics.ts), and the README's handler of
 * webhooks as it is. Bun and workerd, the runtime of Cloudflare Workers, are installed when they are missing: together they are
 * larger than all else that is installed.
 */
const run = promisify(execFile);
const programs = path.resolve(import.meta.dirname, '../../server-client/runtimes');
const inPrograms = (...names: string[]) => path.join(programs, 'node_modules', ...names);

async function install(): Promise<{ bun: string; workerd: string }> {
  if (!existsSync(inPrograms('workerd')))
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: programs });
  // The programs themselves, as npm has chosen them for this machine: the packages `bun` and `workerd` need install scripts, or
  // start another process that outlives them.
  const programOf = async (scope: string, name: string): Promise<string> => {
    const [platform = ''] = await readdir(inPrograms(scope));
    return inPrograms(scope, platform, 'bin', name);
  };
  return { bun: await programOf('@oven', 'bun'), workerd: await programOf('@cloudflare', 'workerd') };
}

const secret = `whsec_${btoa('a secret of the endpoint')}`;
function signed(body: string): Basics['webhook'] {
  const now = new Date();
  const headers = {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
    'webhook-signature': new Webhook(secret).sign('msg_1', now, body),
  };
  return { body, headers, secret };
}

/** One worker on one address. It may open connections to private addresses, or it could not reach the API of this test. */
const workerdConfig = (address: string) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "internet", network = (allow = ["private"])) ],
  sockets = [ (name = "http", address = "${address}", http = (), service = "main") ]
);
const main :Workerd.Worker = (
  modules = [ (name = "worker.js", esModule = embed "worker.js") ],
  compatibilityDate = "2026-01-01"
);
`;

const eventOf = (id: number) => `id: ${id}\nevent: session.ready\ndata: {"at":"2026-01-01T00:00:00Z"}\n\n`;

describe('the published client', () => {
  let stack: Stack;
  let dir: string;
  let binaries: Awaited<ReturnType<typeof install>>;
  let key: string;
  const open: AsyncDisposable[] = [];
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    binaries = await install();
    dir = await mkdtemp(path.join(tmpdir(), 'greenroom-runtimes-'));
    await buildPackage(path.join(dir, 'package'));
    stack = await startStack({ flyLimits: false });
    const admin = createGreenroom({ url: stack.publicUrl, apiKey: stack.tenant.apiKey });
    ({ key } = await admin.createTestKey(stack.tenant.id, { name: 'runtimes', scopes: [...scopes] }));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const serving = async (...answers: Parameters<typeof serve>): Promise<Served> => {
    const served = await serve(...answers);
    open.push(served);
    return served;
  };
  /** Bundles a module with the published package, which must need nothing of the runtime but the web's interfaces. */
  const bundle = async (code: string, name: string): Promise<string> => {
    const outfile = path.join(dir, name);
    const stdin = { contents: code, resolveDir: path.join(import.meta.dirname, 'runtimes'), loader: 'ts' } as const;
    await build({
      ...{ stdin, outfile, bundle: true, format: 'esm', platform: 'neutral', target: 'es2023', logLevel: 'silent' },
      alias: { '@greenroom/server': path.join(dir, 'package/index.js') },
    });
    return outfile;
  };
  const start = (command: string, args: string[], environment: Record<string, string> = {}) => {
    const child = spawnTied(command, args, { cwd: dir, env: { PATH: process.env.PATH ?? '', ...environment } });
    children.push(child);
    const seen = { output: '' };
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (part) => {
        seen.output += part;
      });
    return seen;
  };
  /** Serves a module that exports `fetch` as workerd does: a worker on loopback. */
  const startWorker = async (code: string): Promise<{ url: string; seen: { output: string } }> => {
    const address = `127.0.0.1:${await freePort()}`;
    await bundle(code, 'worker.js');
    await writeFile(path.join(dir, 'worker.capnp'), workerdConfig(address));
    const seen = start(binaries.workerd, ['serve', 'worker.capnp']);
    const url = `http://${address}/`;
    await until('workerd listens', () =>
      fetch(url, { method: 'HEAD' }).then(
        () => true,
        () => false,
      ),
    );
    return { url, seen };
  };

  const prepare = async () => {
    const cut = await serving(hangUp, json(201, { id: 'c1' }));
    const silent = await serving(() => undefined);
    const redirects = await serving((response) => response.writeHead(302, { location: stack.publicUrl }).end());
    let connections = 0;
    // A runtime may lose what arrived together with the break (Bun does): the client then asks for it again.
    const breaks = await serving((response, { url = '' }) => {
      connections += 1;
      const isFirst = connections === 1;
      const after = Number(new URL(url, 'http://x').searchParams.get('after'));
      const ids = (isFirst ? [1, 2] : [1, 2, 3]).filter((id) => id > after);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(ids.map(eventOf).join(''), () => isFirst && setTimeout(() => response.destroy(), 100));
    });
    const given: Basics = {
      ...{ url: stack.publicUrl, apiKey: key, drops: cut.url, silent: silent.url, redirects: redirects.url },
      ...{ breaks: breaks.url, webhook: signed('{"type":"result.done","data":{"session_id":"s1"}}') },
    };
    return { given, cut, breaks };
  };
  const program = (given: Basics) =>
    bundle(
      `import { ${basics.name} as basics } from './basics.ts';\nconsole.log(JSON.stringify(await basics(${JSON.stringify(given)})));`,
      'program.mjs',
    );
  const runtimes: Record<string, (given: Basics) => Promise<string[]>> = {
    Node: async (given) => JSON.parse((await run(process.execPath, [await program(given)])).stdout),
    Deno: async (given) => {
      const args = ['run', '--no-prompt', '--cached-only', '--no-config', '--allow-net=127.0.0.1'];
      return JSON.parse((await run(denoBinary, [...args, await program(given)], { env: denoEnvironment() })).stdout);
    },
    Bun: async (given) => JSON.parse((await run(binaries.bun, ['run', await program(given)])).stdout),
    'Cloudflare Workers': async (given) => {
      const { url } = await startWorker(`import { ${basics.name} as basics } from './basics.ts';
const given = ${JSON.stringify(given)};
export default {
  fetch: async ({ method }) => method === 'HEAD' ? new Response(null) :
    new Response(JSON.stringify(await basics(given).catch((error) => String(error)))),
};`);
      const answer = await (await fetch(url)).text();
      return JSON.parse(answer);
    },
  };

  test.each(Object.keys(runtimes))(
    '%s: a session from its creation to its result, and what goes wrong',
    async (name) => {
      const { given, cut, breaks } = await prepare();
      const passed = await runtimes[name]?.(given);
      expect(passed).toHaveLength(13);
      // The same key both times, so the request takes effect once.
      expect(cut.requests).toHaveLength(2);
      expect(new Set(cut.requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
      expect(breaks.requests.map(({ url }) => url)[0]).toBe('/api/events?after=0');
      expect(breaks.requests).toHaveLength(2);
    },
  );

  const handler = async (): Promise<string> => {
    const readme = await readFile(path.resolve(programs, '../README.md'), 'utf8');
    const block = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)[1] ?? '';
    return block.replace('whsec_…', secret);
  };
  const verifies = async (url: string, seen: { output: string }) => {
    const { body, headers } = signed('{"type":"result.done","data":{"session_id":"s1"}}');
    expect((await fetch(url, { method: 'POST', body, headers })).status).toBe(204);
    await until('the handler wrote its line', () => seen.output.includes('result.done s1'));
    expect((await fetch(url, { method: 'POST', body: `${body} `, headers })).status).toBe(400);
  };

  test("Bun serves the README's handler of webhooks as it is", async () => {
    const port = await freePort();
    const file = await bundle(await handler(), 'handler.mjs');
    const seen = start(binaries.bun, ['run', file], { BUN_PORT: String(port) });
    const url = `http://127.0.0.1:${port}/`;
    await until('Bun listens', () =>
      fetch(url, { method: 'POST' }).then(
        () => true,
        () => false,
      ),
    );
    await verifies(url, seen);
  });

  test("Cloudflare Workers serve the README's handler of webhooks as it is", async () => {
    const { url, seen } = await startWorker(await handler());
    await verifies(url, seen);
  });
});
