import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { type BuildOptions, build } from 'esbuild';

/**
 * Builds what is published of `@greenroom/client` into a folder: one ES module and its types an entry, and no package besides.
 * The types name no type of another package but React's.
 */
const root = import.meta.dirname;
const entryPoints = {
  index: path.join(root, 'src/index.ts'),
  react: path.join(root, 'react/index.ts'),
  recording: path.join(root, 'src/recording.ts'),
};
/** Where each declaration goes: everything the two entries name, beside them. */
const declared = {
  'src/types': 'types',
  'src/problems': 'problems',
  'src/recording-types': 'recording-types',
  'src/recording': 'recording',
  'react/index': 'react',
  'react/hooks': 'react-hooks',
  'react/parts': 'react-parts',
  'react/room': 'react-room',
  'react/camera': 'react-camera',
  'react/player': 'react-player',
  'react/review': 'react-review',
  'react/review-messages': 'react-review-messages',
  'react/review-types': 'react-review-types',
  'react/sound-check': 'react-sound-check',
  'react/platform': 'react-platform',
  'react/messages': 'react-messages',
  'react/en': 'react-en',
  'react/de': 'react-de',
} as const;

/** The same imports, from where the declarations lie in the package. */
function relocated(text: string, from: string): string {
  return text.replaceAll(/(from |import\()(['"])(\.{1,2}\/[\w./-]+?)\.tsx?\2/g, (_whole, word, quote, to: string) => {
    const target = path.posix.join(path.posix.dirname(from), to) as keyof typeof declared;
    if (!declared[target]) throw new Error(`${from} names types of ${target}, which is not published`);
    return `${word}${quote}./${declared[target]}.js${quote}`;
  });
}

async function declarations(outdir: string): Promise<void> {
  const tsc = path.join(root, '../node_modules/.bin/tsc');
  const work = path.join(outdir, 'declarations');
  await promisify(execFile)(tsc, ['-p', path.join(root, 'tsconfig.package.json'), '--outDir', work]);
  for (const [from, to] of Object.entries(declared)) {
    const text = (await readFile(path.join(work, `${from}.d.ts`), 'utf8'))
      .replaceAll('from "', "from '")
      .replaceAll('";', "';");
    if (text.includes('@greenroom/')) throw new Error(`${from}.d.ts names a type of another package`);
    await writeFile(path.join(outdir, `${to}.d.ts`), relocated(text, from));
  }
  await rm(work, { recursive: true });
  const index = await readFile(path.join(root, 'src/index.ts'), 'utf8');
  const functions = `import type { Interview, InterviewOptions } from './types.js';
/** No effect until \`look()\` or \`join()\`. */
export declare function createInterview(options: InterviewOptions): Interview;
/** Creates an interview and joins it. Resolves when it is live; rejects with an \`InterviewError\`. */
export declare function joinInterview(options: InterviewOptions): Promise<Interview>;
`;
  const others = index.replace("export { createInterview, joinInterview } from './interview.ts';\n", '');
  await writeFile(path.join(outdir, 'index.d.ts'), functions + relocated(others, 'src/index'));
}

/** @returns the bytes of the minified bundle of each entry, for whoever measures it */
export async function buildPackage(outdir: string): Promise<{ minified: Record<string, Uint8Array> }> {
  await mkdir(outdir, { recursive: true });
  const options: BuildOptions = {
    entryPoints,
    outdir,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    external: ['react', 'react/jsx-runtime'],
    logLevel: 'silent',
  };
  await build({ ...options, splitting: true, chunkNames: 'shared-[hash]' });
  const minified = Object.fromEntries(
    await Promise.all(Object.entries(entryPoints).map(async ([name, from]) => [name, await firstLoad(options, from)])),
  );
  await declarations(outdir);
  const description = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const { private: _private, devDependencies: _dev, ...published } = description;
  // In the workspace the entries are the sources; whoever installs the package gets what is built from them.
  published.exports = {
    '.': { types: './index.d.ts', default: './index.js' },
    './react': { types: './react.d.ts', default: './react.js' },
    './review.css': './review.css',
    './recording': { types: './recording.d.ts', default: './recording.js' },
  };
  await writeFile(path.join(outdir, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  await cp(path.join(root, 'README.md'), path.join(outdir, 'README.md'));
  await cp(path.join(root, 'react/review.css'), path.join(outdir, 'review.css'));
  return { minified };
}

/** What an import of this entry loads at once, minified: without the modules that it imports when they are needed. */
async function firstLoad(options: BuildOptions, from: string): Promise<Uint8Array> {
  const only = { ...options, entryPoints: [from], splitting: true, minify: true };
  const { outputFiles, metafile } = await build({ ...only, write: false, metafile: true });
  const loaded = new Set<string>();
  const load = (file: string) => {
    if (loaded.has(file)) return;
    loaded.add(file);
    for (const { path: to, kind, external } of metafile.outputs[file]?.imports ?? [])
      if (kind === 'import-statement' && !external) load(to);
  };
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs))
    if (entryPoint && path.resolve(entryPoint) === from) load(file);
  const contentOf = (file: string) => outputFiles.find((output) => output.path === path.resolve(file))?.contents ?? [];
  return Buffer.concat([...loaded].map((file) => Buffer.from(contentOf(file))));
}
