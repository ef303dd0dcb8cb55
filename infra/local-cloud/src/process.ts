import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

/**
 * Child processes that end with their parent, even if the parent is killed with SIGKILL.
 *
 * - A small `sh` process, the reaper, reads a pipe that only this process can write to. End of file on the pipe means that this
 *   process is gone. The reaper then ends every child that is still tied.
 * - Tied children and the reaper have their own process groups. Ctrl-C therefore reaches only the parent, which stops its
 *   children in order, and a kill of the parent's group does not kill the reaper.
 * - A child is untied when it exits, so that the reaper never signals a process id that was given to another process.
 * - The reaper exits with the last tied child: a parent that stopped everything leaves no process behind.
 */
export interface TiedOptions extends SpawnOptions {
  /** What the reaper sends first. Default SIGTERM. */
  endSignal?: NodeJS.Signals;
}

/** How long the reaper waits between its first signal and SIGKILL: 50 looks, 0.1 s apart. */
const reaperScript = `
trap '' INT TERM HUP
ties=
while read -r verb pid signal; do
  case $verb in
    tie) ties="$ties $pid:$signal" ;;
    untie)
      left=
      for tie in $ties; do [ "\${tie%%:*}" = "$pid" ] || left="$left $tie"; done
      ties=$left ;;
  esac
done
for tie in $ties; do kill -s "\${tie#*:}" "\${tie%%:*}" 2>/dev/null; done
looks=0
while [ $looks -lt 50 ] && [ -n "$ties" ]; do
  sleep 0.1
  looks=$((looks + 1))
  left=
  for tie in $ties; do kill -s 0 "\${tie%%:*}" 2>/dev/null && left="$left $tie"; done
  ties=$left
done
for tie in $ties; do kill -s KILL "\${tie%%:*}" 2>/dev/null; done
`;

/** The PATH of children, so that they do not depend on the shell that started this process. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

let reaper: ChildProcess | undefined;
let tied = 0;

function tellReaper(line: string): void {
  if (!reaper || reaper.exitCode !== null || reaper.signalCode !== null) {
    reaper = spawn('sh', ['-c', reaperScript], { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' });
    reaper.on('error', () => undefined);
    reaper.stdin?.on('error', () => undefined);
    // Neither the reaper nor its pipe keeps this process alive.
    reaper.unref();
    (reaper.stdin as { unref?: () => void } | null)?.unref?.();
  }
  reaper.stdin?.write(`${line}\n`);
}

/**
 * Like `spawn`, but the child ends when this process is gone, and runs in its own process group.
 * A command that cannot be started is reported by the child's `error` event, as `spawn` does.
 */
export function spawnTied(command: string, args: readonly string[], options: TiedOptions = {}): ChildProcess {
  const { endSignal = 'SIGTERM', ...spawnOptions } = options;
  const child = spawn(command, args, { ...spawnOptions, detached: true });
  const { pid } = child;
  if (pid === undefined) return child;
  tied += 1;
  tellReaper(`tie ${pid} ${endSignal.replace(/^SIG/, '')}`);
  child.once('exit', () => untie(pid));
  return child;
}

function untie(pid: number): void {
  tied -= 1;
  tellReaper(`untie ${pid}`);
  if (tied > 0) return;
  reaper?.stdin?.end();
  reaper = undefined;
}

export const hasExited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/**
 * Sends `signal` (default SIGTERM), waits for the exit, and sends SIGKILL after `limitMs` (default 5,000).
 * Returns how it ended; `gone`: it had exited before.
 */
export async function endProcess(
  child: ChildProcess,
  { signal = 'SIGTERM', limitMs = 5_000 }: { signal?: NodeJS.Signals; limitMs?: number } = {},
): Promise<'gone' | 'ended' | 'killed'> {
  if (child.pid === undefined || hasExited(child)) return 'gone';
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let killed = false;
  const timer = setTimeout(() => {
    killed = child.kill('SIGKILL');
  }, limitMs);
  child.kill(signal);
  await exited;
  clearTimeout(timer);
  return killed ? 'killed' : 'ended';
}
