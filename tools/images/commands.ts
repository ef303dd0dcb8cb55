import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** The programs that build images without Docker, and the Debian packages that bring them. */
const packages = { buildah: 'buildah', skopeo: 'skopeo', umoci: 'umoci', mmdebstrap: 'mmdebstrap' } as const;
type Program = keyof typeof packages;

const isOnPath = (program: string): boolean =>
  (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Why images cannot be built here, as a sentence that says what to do; undefined when they can. */
export function whyNotHere(): string | undefined {
  const missing = Object.entries(packages).filter(([program]) => !isOnPath(program));
  if (process.getuid?.() !== 0)
    return 'Building images without Docker needs root: run it as root, or use docker build.';
  if (missing.length === 0) return undefined;
  return `Missing programs. Install them: apt-get install ${missing.map(([, name]) => name).join(' ')}`;
}

/** Runs one of the programs; its standard output. Throws with its last lines of error output when it fails. */
export function run(program: Program | 'gzip', args: string[], storeDir?: string): string {
  const store = storeDir === undefined ? {} : { STORAGE_DRIVER: 'vfs', BUILDAH_ISOLATION: 'chroot' };
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...store },
    });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw new Error(`${program} ${args[0]} failed:\n${stderr.split('\n').slice(-12).join('\n')}`, { cause: error });
  }
}

/** buildah with a store of its own below `storeDir`, so that images of the machine are neither read nor changed. */
export const buildah = (storeDir: string, args: string[]): string =>
  run('buildah', ['--root', path.join(storeDir, 'root'), '--runroot', path.join(storeDir, 'run'), ...args], storeDir);
