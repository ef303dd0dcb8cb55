import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { rehearse } from './rehearse.ts';

/**
 * Bundles the worker into one file, which is what the image runs, and the tracing library into another.
 *
 * The format is CommonJS because Node parses and starts it faster than ES modules. Modules behind
 * `await import()` are not evaluated until they are imported. V8 still scans the whole file at every boot;
 * the compile cache that rehearse.ts produces avoids that. docs/adr/0009 has the figures.
 */
export interface BuiltWorker {
  /** Absolute path of the bundle. */
  file: string;
  /** `sha256:…` of its content. */
  digest: string;
}

const options: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  // ws looks for these optional native helpers; they are not installed.
  external: ['bufferutil', 'utf-8-validate'],
};

/** The tracing library is a file of its own beside the bundle: a worker that needs none does not read it. */
const tracingApart: Plugin = {
  name: 'tracing-apart',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/open-telemetry\.ts$/ }, () => ({ path: './tracing.cjs', external: true })),
};

export async function buildWorker(outdir: string): Promise<BuiltWorker> {
  await mkdir(outdir, { recursive: true });
  const file = path.join(path.resolve(outdir), 'worker.cjs');
  const source = (name: string) => path.join(import.meta.dirname, 'src', name);
  await build({ ...options, entryPoints: [source('main.ts')], outfile: file, plugins: [tracingApart] });
  await build({
    ...options,
    entryPoints: [source('outside/open-telemetry.ts')],
    outfile: path.join(path.resolve(outdir), 'tracing.cjs'),
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
  // The image build runs rehearse.ts itself, with the Node and the user that will run the worker.
  if (!process.argv.includes('--no-rehearsal')) {
    const { NODE_COMPILE_CACHE } = await rehearse(file);
    process.stdout.write(`NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE}\n`);
  }
}
