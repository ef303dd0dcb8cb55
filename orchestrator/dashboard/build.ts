import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { build } from 'vite';

/**
 * Builds the operators' dashboard into a folder: `index.html`, and under `assets/` scripts and style whose names change with their
 * content. Each file is also stored compressed, as `.br` and `.gz`.
 *
 *   node orchestrator/dashboard/build.ts [FOLDER]   default: orchestrator/dashboard/dist
 */
async function compress(file: string): Promise<void> {
  const content = await readFile(file);
  await Promise.all([
    promisify(brotliCompress)(content).then((small) => writeFile(`${file}.br`, small)),
    promisify(gzip)(content, { level: 9 }).then((small) => writeFile(`${file}.gz`, small)),
  ]);
}

export async function buildDashboard(outdir: string): Promise<{ dir: string }> {
  const dir = path.resolve(outdir);
  await mkdir(dir, { recursive: true });
  await build({
    root: import.meta.dirname,
    configFile: false,
    envFile: false,
    logLevel: 'error',
    // Independent of NODE_ENV: React's development build is three times as large.
    define: { 'process.env.NODE_ENV': '"production"' },
    oxc: { jsx: { runtime: 'automatic', development: false } },
    build: {
      outDir: dir,
      emptyOutDir: true,
      target: ['es2022', 'chrome120', 'firefox121', 'safari17'],
      modulePreload: { polyfill: false },
      // One style sheet for all views: the content security policy allows no inline style.
      cssCodeSplit: false,
      assetsInlineLimit: 0,
      rolldownOptions: { output: { hashCharacters: 'base36' } },
    },
  });
  const names = await readdir(dir, { recursive: true });
  await Promise.all(
    names.filter((name) => /\.(?:js|css|html)$/.test(name)).map((name) => compress(path.join(dir, name))),
  );
  return { dir };
}

if (process.argv[1] === import.meta.filename)
  await buildDashboard(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));
