import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stop } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
