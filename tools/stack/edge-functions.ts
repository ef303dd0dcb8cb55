import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { endProcess, spawnTied } from '@greenroom/local-cloud/process.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import type { Supabase } from '@greenroom/local-cloud/supabase/supabase.ts';

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

/** What the hosted runtime of a new project sets, and nothing else: there are no legacy keys. */
const hostedEnvironment = ({ url, publishableKey, secretKey }: Supabase): Record<string, string> => ({
  SUPABASE_URL: url,
  SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: publishableKey }),
  SUPABASE_SECRET_KEYS: JSON.stringify({ default: secretKey }),
});

/** `verify_jwt` of a function in supabase/config.toml. @throws when the file does not name the function */
export function verifiesJwt(name: string): boolean {
  const config = readFileSync(path.join(root, 'supabase/config.toml'), 'utf8');
  const section = config.split(/^(?=\[)/m).find((part) => part.startsWith(`[functions.${name}]`));
  if (section === undefined) throw new Error(`supabase/config.toml has no [functions.${name}]`);
  return !/^verify_jwt *= *false *$/m.test(section);
}

/**
 * Serves one function on loopback, and by its name at the project's gateway; it may reach nothing else.
 * @param environment its secrets. Names that begin with SUPABASE_ cannot be set, as on hosted projects.
 */
export async function serveFunction(
  name: string,
  supabase: Supabase,
  environment: Record<string, string>,
): Promise<ServedFunction> {
  const reserved = Object.keys(environment).find((variable) => variable.startsWith('SUPABASE_'));
  if (reserved) throw new Error(`${reserved}: names that begin with SUPABASE_ cannot be set`);
  const verifyJwt = verifiesJwt(name);
  const port = await freePort();
  const permissions = ['--allow-net=127.0.0.1', '--allow-env', `--allow-read=${root}`];
  const child = spawnTied(denoBinary, ['run', ...offlineDeno, ...permissions, `${name}/index.ts`], {
    cwd: functionsDir,
    env: denoEnvironment({
      ...hostedEnvironment(supabase),
      ...environment,
      DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}`,
    }),
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
  supabase.routeFunction(name, { port, verifyJwt });
  return { url: `${supabase.url}/functions/v1/${name}`, port, stop: () => endProcess(child) };
}
