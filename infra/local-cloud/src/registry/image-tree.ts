import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { PushedImage } from './registry.ts';

/**
 * The file tree of an image on this machine, and how a machine's command runs in it.
 *
 * Root runs the command in a chroot as the image's user, where only the image's files and /proc (which Fly's
 * init mounts too) are visible. Without root there is no chroot: paths in the command and in the image's
 * variables that exist in the tree are mapped into it, and the rest of this machine stays visible.
 */
export interface ImageTree {
  root: string;
  /** @param command with paths inside the image */
  commandIn(command: readonly string[]): string[];
  /** The image's own variables. */
  env: Record<string, string>;
  /** Translates a path inside the image to the path that the command sees. */
  pathIn(inside: string): string;
}

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

/** An empty file named `.wh.<name>` deletes that file of a lower layer. */
function applyWhiteouts(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.name.startsWith('.wh.')) continue;
    rmSync(path.join(entry.parentPath, entry.name), { force: true });
    rmSync(path.join(entry.parentPath, entry.name.slice('.wh.'.length)), { recursive: true, force: true });
  }
}

/** Unpacks the layers below `dir`, once per digest. */
async function unpack({ layers, digest }: PushedImage, dir: string): Promise<string> {
  const root = path.join(dir, digest.slice('sha256:'.length, 'sha256:'.length + 12));
  if (existsSync(root)) return root;
  const partial = `${root}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  for (const layer of layers) {
    await run('tar', ['-xf', layer, '-C', partial, '--no-same-owner', '-p']);
    applyWhiteouts(partial);
  }
  chmodSync(partial, 0o755);
  for (const folder of ['.fly', 'proc']) mkdirSync(path.join(partial, folder), { recursive: true });
  await run('mv', [partial, root]);
  return root;
}

/** Runs in its own mount namespace, so that its mounts are invisible outside and vanish with it. `exec`: signals reach the command. */
const enter = 'mount --bind /proc "$0/proc" && user=$1 && shift && exec chroot --userspec="$user" "$0" "$@"';

const variablesOf = (env: string[]): Record<string, string> =>
  Object.fromEntries(env.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));

/** @param dir where trees are unpacked, one per digest */
export async function openImageTree(image: PushedImage, dir: string): Promise<ImageTree> {
  const root = await unpack(image, dir);
  const mapped = (value: string) =>
    value.startsWith('/') && existsSync(path.join(root, value)) ? path.join(root, value) : value;
  const env = variablesOf(image.env);
  if (!isRoot)
    return {
      root,
      commandIn: (command) => command.map(mapped),
      env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, mapped(value)])),
      pathIn: (inside) => path.join(root, inside),
    };
  const [user = '0', group = user] = (image.user || '0').split(':');
  return {
    root,
    commandIn: (command) => ['unshare', '--mount', 'sh', '-c', enter, root, `${user}:${group}`, ...command],
    env,
    pathIn: (inside) => inside,
  };
}
