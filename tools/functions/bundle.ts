import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

/**
 * Bundles each Edge Function into one file without imports, in a folder that `supabase functions deploy --workdir` takes.
 *
 * The sources import `../../shared`, outside of the functions' folder. Whether the CLI packs such files is not certain
 * (supabase/cli#3467). A bundle is complete: its deployment packs and fetches nothing else.
 */
const root = path.resolve(import.meta.dirname, '../..');
const supabaseDir = path.join(root, 'supabase');

export const functionNames = [
  ...readFileSync(path.join(supabaseDir, 'config.toml'), 'utf8').matchAll(/^\[functions\.([\w-]+)\]/gm),
].map(([, name]) => name as string);

/** @param outdir is emptied first; contains `supabase/` afterwards */
export async function bundleFunctions(outdir: string): Promise<void> {
  const target = path.join(outdir, 'supabase');
  rmSync(target, { recursive: true, force: true });
  for (const name of functionNames) {
    await build({
      entryPoints: [path.join(supabaseDir, 'functions', name, 'index.ts')],
      outfile: path.join(target, 'functions', name, 'index.ts'),
      bundle: true,
      format: 'esm',
      platform: 'browser',
      conditions: ['deno', 'worker', 'browser'],
      target: 'es2022',
      external: ['node:*'],
      alias: { '@greenroom/shared': path.join(root, 'shared/src') },
      legalComments: 'none',
      logLevel: 'warning',
      banner: { js: '// @ts-nocheck: bundled from supabase/functions by npm run bundle:functions' },
    });
  }
  const config = readFileSync(path.join(supabaseDir, 'config.toml'), 'utf8');
  // The bundles import nothing, so there is no import map.
  writeFileSync(path.join(target, 'config.toml'), config.replace(/^import_map = .*\n/gm, ''));
}
