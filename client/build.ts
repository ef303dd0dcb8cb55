import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { build } from 'esbuild';

/**
 * Builds the candidate's page into a folder: `index.html`, and script and style under names that change with their content,
 * so that a browser may keep them for ever. Each file lies there as `.br` and `.gz` too: nothing is compressed while serving.
 * The components are written for React and built on preact/compat, which is a third of its weight.
 *
 *   node client/build.ts [FOLDER]   default: client/dist
 */
const alias = {
  react: 'preact/compat',
  'react-dom/client': 'preact/compat/client',
  'react/jsx-runtime': 'preact/jsx-runtime',
};

async function write(outdir: string, name: string, content: Uint8Array): Promise<void> {
  await Promise.all([
    writeFile(path.join(outdir, name), content),
    promisify(brotliCompress)(content).then((small) => writeFile(path.join(outdir, `${name}.br`), small)),
    promisify(gzip)(content, { level: 9 }).then((small) => writeFile(path.join(outdir, `${name}.gz`), small)),
  ]);
}

/**
 * @param script the page's script. Default: the room
 * @param style Default: the room's
 */
export async function buildClient(
  outdir: string,
  script = 'page/page.tsx',
  style = 'page/room.css',
): Promise<{ dir: string }> {
  const page = path.join(import.meta.dirname, 'page');
  await mkdir(outdir, { recursive: true });
  const { outputFiles } = await build({
    entryPoints: { room: path.join(import.meta.dirname, script), style: path.join(import.meta.dirname, style) },
    entryNames: '[name]-[hash]',
    outdir,
    bundle: true,
    // What is imported when it is needed has a file of its own.
    splitting: true,
    chunkNames: '[name]-[hash]',
    write: false,
    format: 'esm',
    target: ['es2022', 'chrome120', 'firefox121', 'safari17'],
    jsx: 'automatic',
    alias,
    define: { 'process.env.NODE_ENV': '"production"' },
    minify: true,
    logLevel: 'silent',
  });
  let html = await readFile(path.join(page, 'index.html'), 'utf8');
  for (const { path: file, contents } of outputFiles) {
    const name = path.basename(file);
    if (name.startsWith('room-')) html = html.replaceAll('/join-assets/room.js', `/join-assets/${name}`);
    if (name.startsWith('style-')) html = html.replaceAll('/join-assets/room.css', `/join-assets/${name}`);
    await write(outdir, name, contents);
  }
  await write(outdir, 'index.html', Buffer.from(html));
  return { dir: outdir };
}

if (process.argv[1] === import.meta.filename)
  await buildClient(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));
