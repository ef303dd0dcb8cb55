import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { buildah, run } from './commands.ts';

/**
 * The two base images, built from Debian's packages and npm's `node`, for machines that cannot reach an image registry. They
 * replace the official images: same distribution and same Node, without documentation and translations. Package lists and
 * the order of layers differ; nothing here depends on them. A build with Docker uses the official images.
 */
export const nodeImage = 'docker.io/library/node:24-bookworm-slim';
export const debianImage = 'docker.io/library/debian:bookworm-slim';

const modules = path.resolve(import.meta.dirname, '../../node_modules');
const leftOut = ['doc', 'man', 'locale', 'info'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);

/** A Debian root as a tar file, made once per store. */
function debianRoot(storeDir: string): string {
  const file = path.join(storeDir, 'bookworm.tar');
  if (existsSync(file)) return file;
  const sources = ['/etc/apt/sources.list', '/etc/apt/sources.list.d/debian.sources'].filter(existsSync);
  const clean = '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin';
  run('mmdebstrap', [
    ...['--variant=essential', '--include=ca-certificates,apt', '--quiet', ...leftOut, clean],
    ...['bookworm', file, ...sources],
  ]);
  return file;
}

/** The npm of this machine: the one that installed the repository. */
const npmFolder = (): string => {
  const program = (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, 'npm'))
    .find(existsSync);
  if (program === undefined) throw new Error('no npm on the PATH');
  return path.resolve(realpathSync(program), '../..');
};

function commitFrom(storeDir: string, image: string, add: Array<[from: string, to: string]>, links: string[][]): void {
  const on = (...args: string[]) => buildah(storeDir, args).trim();
  const container = on('from', 'scratch');
  for (const [from, to] of add) on('add', container, from, to);
  for (const [target, name] of links) on('run', container, '--', 'ln', '-s', target!, name!);
  on('config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', container);
  on('commit', '--quiet', container, image);
  on('rm', container);
}

/** Makes both base images in this store when they are not there yet. */
export function seedBases(storeDir: string): void {
  const present = buildah(storeDir, ['images', '--format', '{{.Name}}:{{.Tag}}']).split('\n');
  if (present.includes(nodeImage) && present.includes(debianImage)) return;
  const root = debianRoot(storeDir);
  commitFrom(storeDir, debianImage, [[root, '/']], []);
  const node: Array<[string, string]> = [
    [root, '/'],
    [path.join(modules, 'node/bin/node'), '/usr/local/bin/node'],
    [npmFolder(), '/usr/local/lib/node_modules/npm'],
  ];
  commitFrom(storeDir, nodeImage, node, [['../lib/node_modules/npm/bin/npm-cli.js', '/usr/local/bin/npm']]);
}
