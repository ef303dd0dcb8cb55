import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { endProcess, spawnTied } from '@greenroom/local-cloud/process.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';

/**
 * Serves `supabase/functions` with the npm deno binary. Packages come from this repository's node_modules, so nothing is
 * fetched; the versions are those that `deno.json` pins for the hosted runtime.
 */
const root = path.resolve(import.meta.dirname, '../..');
export const denoBinary = path.join(root, 'node_modules/.bin/deno');
export const functionsDir = path.join(root, 'supabase/functions');
export const offlineDeno = ['--node-modules-dir=manual', '--cached-only', '--no-lock'];

/** What deno is started with; nothing of ours is inherited but PATH. */
export const denoEnvironment = (extra: Record<string, string> = {}): Record<string, string> => {
  const cache = path.join(root, '.greenroom/deno');
  mkdirSync(cache, { recursive: true });
  return { PATH: process.env.PATH ?? '', DENO_DIR: cache, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1', ...extra };
};

export interface ServedFunction {
  url: string;
  port: number;
  stop(): Promise<unknown>;
}

/** Serves one function on loopback; it may reach nothing else. */
export async function serveFunction(name: string, environment: Record<string, string>): Promise<ServedFunction> {
  const port = await freePort();
  const permissions = ['--allow-net=127.0.0.1', '--allow-env', `--allow-read=${root}`];
  const child = spawnTied(denoBinary, ['run', ...offlineDeno, ...permissions, `${name}/index.ts`], {
    cwd: functionsDir,
    env: denoEnvironment({ ...environment, DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` }),
  });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        output += chunk;
        if (/Listening on/.test(output)) resolve();
      });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the function ended with ${code}: ${output}`)));
  });
  return { url: `http://127.0.0.1:${port}/`, port, stop: () => endProcess(child) };
}
