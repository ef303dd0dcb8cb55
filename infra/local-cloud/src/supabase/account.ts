import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import type { PostgresBinaries } from './binaries.ts';

/**
 * Chooses the account that runs Postgres, because Postgres refuses to run as root. The kinds, in the order they are tried:
 *
 * - `self`: an ordinary user runs it under their own account.
 * - `nobody`: root runs it as `nobody`, if that account can reach the binaries and the state folder.
 * - `namespace`: in a user namespace that maps root to `nobody`. Used when `nobody` cannot reach the files (a checkout under
 *   /root), and for a user id without an entry in /etc/passwd, which initdb refuses.
 * - `copy`: where namespaces are forbidden (many containers), binaries and data go to the system's temporary folder.
 */
export interface Account {
  kind: 'self' | 'nobody' | 'namespace' | 'copy';
  binDir: string;
  /** Where data and sockets go; owned by the account. */
  stateDir: string;
  /** What to run instead of `command args`, with these options for spawn. */
  wrap(command: string, args: readonly string[]): Command;
  /** Gives a file or folder (and all below it) to the account. */
  own(file: string): void;
}

export interface Command {
  command: string;
  args: string[];
  ids: { uid?: number; gid?: number };
}

const nobodyId = 65534;

function nobody(): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('nobody:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  return { uid: Number(uid ?? nobodyId), gid: Number(gid ?? nobodyId) };
}

function chownAll(file: string, uid: number, gid: number): void {
  lchownSync(file, uid, gid);
  if (!statSync(file).isDirectory()) return;
  for (const name of readdirSync(file, { recursive: true, encoding: 'utf8' }))
    lchownSync(path.join(file, name), uid, gid);
}

const plain = (command: string, args: readonly string[]): Command => ({ command, args: [...args], ids: {} });

const inNamespace = (command: string, args: readonly string[]): Command => ({
  command: 'unshare',
  args: ['--user', `--map-user=${nobodyId}`, `--map-group=${nobodyId}`, command, ...args],
  ids: {},
});

const asNobody = (command: string, args: readonly string[]): Command => ({ command, args: [...args], ids: nobody() });

function ownerOf(uid: number, gid: number): (file: string) => void {
  return (file) => {
    if (statSync(file).uid !== uid) chownAll(file, uid, gid);
  };
}

/** Whether the account can enter the state folder and run the binaries. Changes nothing. */
function works({ wrap, binDir, stateDir }: Account): boolean {
  const script = 'cd "$1" && "$2" --version';
  const { command, args, ids } = wrap('/bin/sh', ['-c', script, 'sh', stateDir, path.join(binDir, 'initdb')]);
  return spawnSync(command, args, { ...ids, cwd: '/', stdio: 'ignore' }).status === 0;
}

/** For kind `copy`. One copy per version of the binaries; it is renamed into place when it is complete. */
function copyBinaries({ home, binDir }: PostgresBinaries): string {
  if (home === undefined) return binDir;
  const { mtimeMs, size } = statSync(path.join(binDir, 'postgres'));
  const place = path.join(tmpdir(), `greenroom-postgres-${Math.round(mtimeMs)}-${size}`);
  if (!existsSync(place)) {
    const unfinished = `${place}.${process.pid}`;
    cpSync(home, unfinished, { recursive: true, verbatimSymlinks: true });
    chmodSync(unfinished, 0o755);
    try {
      renameSync(unfinished, place);
    } catch {
      rmSync(unfinished, { recursive: true, force: true }); // Another process made it first.
    }
  }
  mustBeOurs(place, 0);
  return path.join(place, 'bin');
}

/** Throws unless we own the folder: in a folder that everybody may write to, another user may have taken its name. */
function mustBeOurs(folder: string, ...owners: number[]): void {
  const { uid } = lstatSync(folder);
  if (!lstatSync(folder).isDirectory() || !owners.includes(uid)) {
    throw new Error(`${folder} was made by user ${uid}, not by us: remove it`);
  }
}

function copiedAccount(binaries: PostgresBinaries, stateDir: string): Account {
  const { uid, gid } = nobody();
  const name = createHash('sha256').update(stateDir).digest('hex').slice(0, 12);
  const elsewhere = path.join(tmpdir(), `greenroom-state-${name}`);
  mkdirSync(elsewhere, { recursive: true, mode: 0o700 });
  mustBeOurs(elsewhere, 0, uid);
  lchownSync(elsewhere, uid, gid);
  return { kind: 'copy', binDir: copyBinaries(binaries), stateDir: elsewhere, wrap: asNobody, own: ownerOf(uid, gid) };
}

function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

/**
 * Chooses the first kind of account that works on this machine.
 *
 * @param stateDir an existing folder of ours. The folder and everything in it are given to the account.
 */
export function chooseAccount(binaries: PostgresBinaries, stateDir: string): Account {
  const { uid, gid } = { uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 };
  const common = { binDir: binaries.binDir, stateDir };
  if (uid !== 0) {
    const self: Account = { ...common, kind: 'self', wrap: plain, own: () => undefined };
    return hasName() ? self : { ...self, kind: 'namespace', wrap: inNamespace };
  }
  const other = nobody();
  const candidates: Array<() => Account> = [
    () => ({ ...common, kind: 'nobody', wrap: asNobody, own: ownerOf(other.uid, other.gid) }),
    () => ({ ...common, kind: 'namespace', wrap: inNamespace, own: ownerOf(uid, gid) }),
    () => copiedAccount(binaries, stateDir),
  ];
  for (const candidate of candidates) {
    const account = candidate();
    if (!works(account)) continue;
    account.own(account.stateDir);
    return account;
  }
  throw new Error(
    `Postgres does not run here as root: ${binaries.binDir} and ${stateDir} are closed to the account nobody, user ` +
      `namespaces are forbidden, and a copy in ${tmpdir()} does not run either. Run as an ordinary user instead.`,
  );
}
