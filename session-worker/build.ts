import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { rehearse } from './rehearse.ts';

/**
 * Bundles the worker into one file, the tracing library into another, and writes the file that runs the bundle (start.ts).
 *
 * The format is CommonJS because Node parses and starts it faster than ES modules. Modules behind `await import()` are not
 * evaluated until they are imported; in the bundle that is a `require`, which saves the start of Node's loader for ES modules.
 * V8 would still scan the whole file at every boot and compile each function at its first call; what the rehearsal
 * (rehearse.ts) keeps avoids that. docs/adr/0023 has the figures.
 */
export interface BuiltWorker {
  /** Absolute path of what the image runs. */
  file: string;
  /** Absolute path of the bundle. */
  bundle: string;
  /** `sha256:…` of the bundle. */
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
  supported: { 'dynamic-import': false },
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
  const dir = path.resolve(outdir);
  await mkdir(dir, { recursive: true });
  const source = (name: string) => path.join(import.meta.dirname, name);
  const { outputFiles } = await build({
    ...options,
    entryPoints: [source('src/main.ts')],
    plugins: [tracingApart],
    // start.ts calls the bundle as a function; esbuild writes ASCII only, so the file may be read as Latin-1.
    banner: { js: '(function(require){"use strict";var module={exports:{}},exports=module.exports;' },
    footer: { js: '})' },
    write: false,
  });
  const content = outputFiles[0]?.contents ?? new Uint8Array();
  const hex = createHash('sha256').update(content).digest('hex');
  const bundleName = `bundle-${hex.slice(0, 16)}`;
  await writeFile(path.join(dir, `${bundleName}.cjs`), content);
  await build({
    ...options,
    entryPoints: [source('src/outside/open-telemetry.ts')],
    outfile: path.join(dir, 'tracing.cjs'),
  });
  const file = path.join(dir, 'worker.cjs');
  await build({
    ...{ entryPoints: [source('start.ts')], outfile: file, platform: 'node', format: 'cjs', logLevel: 'warning' },
    define: { bundleName: JSON.stringify(bundleName) },
  });
  return { file, bundle: path.join(dir, `${bundleName}.cjs`), digest: `sha256:${hex}` };
}

if (process.argv[1] === import.meta.filename) {
  const { file, digest } = await buildWorker(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));
  process.stdout.write(`${file} ${digest}\n`);
  // The image build runs rehearse.ts itself, with the Node and the user that will run the worker.
  if (!process.argv.includes('--no-rehearsal')) await rehearse(file);
}
