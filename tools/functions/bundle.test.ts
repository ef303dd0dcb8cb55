import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { stop } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bin, run } from '../gate/command.ts';
import { denoBinary, denoEnvironment } from '../stack/edge-functions.ts';
import { bundleFunctions, functionNames } from './bundle.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'functions-'));
const running: ChildProcess[] = [];
beforeAll(() => bundleFunctions(dir));
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  stop();
  rmSync(dir, { recursive: true, force: true });
});

/** The `GET` of a bundle that runs in Deno without any package. */
async function healthOf(name: string): Promise<unknown> {
  const file = path.join(dir, 'supabase/functions', name, 'index.ts');
  const child = spawn(
    denoBinary,
    ['run', '--no-remote', '--no-npm', '--no-config', '--allow-net=127.0.0.1', '--allow-env', file],
    {
      cwd: dir,
      env: denoEnvironment({
        SUPABASE_URL: 'http://127.0.0.1:9',
        SUPABASE_SECRET_KEYS: '{"default":"sb_secret_x"}',
        ORCHESTRATOR_URL: 'http://127.0.0.1:9',
        PUBLIC_URL: 'http://127.0.0.1:9',
        DENO_SERVE_ADDRESS: 'tcp:127.0.0.1:0',
      }),
    },
  );
  running.push(child);
  let output = '';
  const port = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += chunk;
        const [, found] = /Listening on \S*?:(\d+)/.exec(output) ?? [];
        if (found) resolve(found);
      });
    child.once('exit', (code) => reject(new Error(`deno ended with ${code}: ${output}`)));
  });
  return (await fetch(`http://127.0.0.1:${port}/${name}`)).json();
}

test('a bundle imports no file and no package', () => {
  expect(functionNames).toEqual(['interview-start', 'interview-transcript']);
  for (const name of functionNames) {
    const source = readFileSync(path.join(dir, 'supabase/functions', name, 'index.ts'), 'utf8');
    expect(source.match(/^\s*(?:import|export) .* from ["'](?!node:).*/gm), name).toBeNull();
  }
  expect(readFileSync(path.join(dir, 'supabase/config.toml'), 'utf8')).not.toContain('import_map');
});

test.each(functionNames)(
  '%s runs from its bundle without any package and answers GET',
  async (name) => {
    expect(await healthOf(name)).toMatchObject({ ok: false, orchestrator: 'unavailable' });
  },
  60_000,
);

/** Runs `supabase functions deploy` against a Management API that accepts everything. @returns what was uploaded, by function */
async function deploy(workdir: string): Promise<Map<string, FormData>> {
  const uploaded = new Map<string, FormData>();
  const api = createServer(async (request, response) => {
    const slug = new URL(request.url ?? '/', 'http://api').searchParams.get('slug');
    const type = request.headers['content-type'] ?? '';
    const body = new Uint8Array(await buffer(request));
    if (slug) uploaded.set(slug, await new Response(body, { headers: { 'content-type': type } }).formData());
    const made = { id: slug, slug, name: slug, status: 'ACTIVE', version: 1, created_at: 1, updated_at: 1 };
    response.writeHead(slug ? 201 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(slug ? made : { functions: [] }));
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    const profile = path.join(dir, 'profile.yaml');
    writeFileSync(profile, `name: local\napi_url: ${url}\ndashboard_url: ${url}\nproject_host: supabase.co\n`);
    const target = ['--use-api', '--yes', '--workdir', workdir, '--remote=abcdefghijklmnopqrst'];
    const { code, stderr } = await run(bin('supabase'), ['functions', 'deploy', '--profile', profile, ...target], {
      variables: { SUPABASE_ACCESS_TOKEN: `sbp_${'0'.repeat(40)}` },
    });
    expect(code, stderr).toBe(0);
  } finally {
    api.close();
  }
  return uploaded;
}

test('Supabase’s CLI uploads one file and no import map per function, with the verify_jwt of config.toml', async () => {
  const uploaded = await deploy(dir);
  expect([...uploaded.keys()].toSorted()).toEqual(functionNames);
  for (const [name, form] of uploaded) {
    const file = `supabase/functions/${name}/index.ts`;
    expect(form.getAll('file').map((part) => (part as File).name)).toEqual([file]);
    expect(await (form.get('file') as File).text()).toBe(readFileSync(path.join(dir, file), 'utf8'));
    const settings = { entrypoint_path: file, import_map_path: '', verify_jwt: false, name };
    expect(JSON.parse(String(form.get('metadata')))).toMatchObject(settings);
  }
}, 60_000);
