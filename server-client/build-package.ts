import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';

/** Builds what is published of `@greenroom/server` into a folder: one ES module that imports nothing, and its types. */
const root = import.meta.dirname;

/** @returns what the module imports, for a test */
export async function buildPackage(outdir: string): Promise<{ imports: string[] }> {
  await mkdir(outdir, { recursive: true });
  const { metafile } = await build({
    entryPoints: [path.join(root, 'src/index.ts')],
    outfile: path.join(outdir, 'index.js'),
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    metafile: true,
    logLevel: 'silent',
  });
  const tsc = path.join(root, '../node_modules/.bin/tsc');
  await promisify(execFile)(tsc, ['-p', path.join(root, 'tsconfig.package.json'), '--outDir', outdir]);
  for (const name of await readdir(outdir)) {
    if (!name.endsWith('.d.ts')) continue;
    const file = path.join(outdir, name);
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll(/(from ["']\.\/[\w-]+)\.ts(["'])/g, '$1.js$2'));
  }
  const {
    private: _,
    devDependencies: __,
    ...published
  } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  // In the workspace the entry is the source; whoever installs the package gets what is built from it.
  published.exports = { '.': { types: './index.d.ts', default: './index.js' } };
  await writeFile(path.join(outdir, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  await cp(path.join(root, 'README.md'), path.join(outdir, 'README.md'));
  return { imports: Object.values(metafile.outputs).flatMap(({ imports }) => imports.map((one) => one.path)) };
}
