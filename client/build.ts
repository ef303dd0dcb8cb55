import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

/** Builds the candidate's page into a folder: `index.html`, `room.css` and one `room.js`. */
export async function buildClient(outdir: string): Promise<{ dir: string }> {
  const source = path.join(import.meta.dirname, 'src/room');
  await mkdir(outdir, { recursive: true });
  await build({
    entryPoints: [path.join(source, 'room.ts')],
    outfile: path.join(outdir, 'room.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    logLevel: 'silent',
  });
  for (const file of ['index.html', 'room.css']) await cp(path.join(source, file), path.join(outdir, file));
  return { dir: outdir };
}
