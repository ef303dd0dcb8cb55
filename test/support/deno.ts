import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../infra/local-cloud/src/supabase/ports.ts';

/**
 * The npm deno binary on `supabase/functions`. Packages come from this repository's node_modules, so nothing is fetched;
 * the versions are those that `deno.json` pins for the hosted runtime.
 */
const root = path.resolve(import.meta.dirname, '../..');
const binary = path.join(root, 'node_modules/.bin/deno');
export const functionsDir = path.join(root, 'supabase/functions');
const offline = ['--node-modules-dir=manual', '--cached-only', '--no-lock'];

const environmentOf = (extra: Record<string, string>): Record<string, string> => {
  const cache = path.join(root, '.greenroom/deno');
  mkdirSync(cache, { recursive: true });
  return { PATH: process.env.PATH ?? '', DENO_DIR: cache, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1', ...extra };
};

export interface Ran {
  code: number;
  output: string;
}

/** Runs `deno <command> …` in the functions' folder, without any traffic. */
export function runDeno(command: string, args: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = command === 'lint' ? [] : offline;
    const child = spawn(binary, [command, ...options, ...args], { cwd: functionsDir, env: environmentOf({}) });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += chunk;
      });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

export interface ServedFunction {
  url: string;
  stop(): Promise<void>;
}

/** Serves one function on loopback; it may reach nothing else. */
export async function serveFunction(name: string, environment: Record<string, string>): Promise<ServedFunction> {
  const port = await freePort();
  const permissions = ['--allow-net=127.0.0.1', '--allow-env', `--allow-read=${root}`];
  const child = spawn(binary, ['run', ...offline, ...permissions, `${name}/index.ts`], {
    cwd: functionsDir,
    env: environmentOf({ ...environment, DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` }),
  });
  let output = '';
  const listening = new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += chunk;
        if (/Listening on/.test(output)) resolve();
      });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the function ended with ${code}: ${output}`)));
  });
  await listening;
  return {
    url: `http://127.0.0.1:${port}/`,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}
