import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type Plugin } from 'esbuild';

/**
 * Bundles the worker into one file, as the image runs it.
 *
 * CommonJS, because Node parses and starts it faster than ES modules; modules behind `await import()` stay unevaluated
 * until they are asked for, but V8 still scans the whole file at every boot, so what is never used is left out: zod's
 * translations, and all of undici but its pools. With `NODE_COMPILE_CACHE` set to a folder that the image fills by one
 * start of the bundle, even that scan is saved.
 */
export interface BuiltWorker {
  /** Absolute path of the bundle. */
  file: string;
  /** `sha256:…` of its content. */
  digest: string;
}

const withoutZodLocales: Plugin = {
  name: 'without-zod-locales',
  setup: (pluginBuild) => {
    pluginBuild.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export {};', loader: 'js' }));
  },
};

const undiciCore: Plugin = {
  name: 'undici-core',
  setup: (pluginBuild) => {
    pluginBuild.onResolve({ filter: /^undici$/ }, () => ({ path: path.join(import.meta.dirname, 'undici-core.cjs') }));
  },
};

export async function buildWorker(outdir: string): Promise<BuiltWorker> {
  await mkdir(outdir, { recursive: true });
  const file = path.join(path.resolve(outdir), 'worker.cjs');
  await build({
    entryPoints: [path.join(import.meta.dirname, 'src/main.ts')],
    outfile: file,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [withoutZodLocales, undiciCore],
    // ws looks for these optional native helpers; they are not installed.
    external: ['bufferutil', 'utf-8-validate'],
  });
  return {
    file,
    digest: `sha256:${createHash('sha256')
      .update(await readFile(file))
      .digest('hex')}`,
  };
}

if (process.argv[1] === import.meta.filename) {
  const { file, digest } = await buildWorker(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));
  process.stdout.write(`${file} ${digest}\n`);
}
