import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

/**
 * Bundles what the orchestrator's image holds, a file per program: `orchestrator.mjs`, and `greenroom.mjs`, whose `migrate` is the
 * release command. ES modules, because some of their libraries are.
 *
 *   node orchestrator/build.ts [FOLDER]   default: orchestrator/dist
 *
 * @returns the absolute path of the orchestrator's bundle.
 */
export async function buildOrchestrator(outdir: string): Promise<string> {
  await mkdir(outdir, { recursive: true });
  const outfile = path.join(path.resolve(outdir), 'orchestrator.mjs');
  await build({
    entryPoints: {
      orchestrator: path.join(import.meta.dirname, 'src/main.ts'),
      greenroom: path.join(import.meta.dirname, 'cli/main.ts'),
    },
    outdir,
    outExtension: { '.js': '.mjs' },
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
    // ws and pg look for these optional native helpers; they are not installed.
    external: ['bufferutil', 'utf-8-validate', 'pg-native'],
  });
  return outfile;
}

if (process.argv[1] === import.meta.filename) {
  const outfile = await buildOrchestrator(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));
  process.stdout.write(`${outfile}\n`);
}
