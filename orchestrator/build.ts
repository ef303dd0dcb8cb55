import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

/**
 * Bundles the orchestrator into one file, as its image runs it: an ES module, because some of its libraries are.
 *
 *   node orchestrator/build.ts [FOLDER]   writes orchestrator.mjs there; default: orchestrator/dist
 *
 * @returns the absolute path of the bundle.
 */
export async function buildOrchestrator(outdir: string): Promise<string> {
  await mkdir(outdir, { recursive: true });
  const outfile = path.join(path.resolve(outdir), 'orchestrator.mjs');
  await build({
    entryPoints: [path.join(import.meta.dirname, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    // Bundled CommonJS libraries call `require` for Node's own modules.
    banner: {
      js: "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);",
    },
    // ws looks for these optional native helpers; they are not installed.
    external: ['bufferutil', 'utf-8-validate'],
  });
  return outfile;
}

if (process.argv[1] === import.meta.filename) {
  const outfile = await buildOrchestrator(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));
  process.stdout.write(`${outfile}\n`);
}
