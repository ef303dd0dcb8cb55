import { readdirSync, readFileSync } from 'node:fs';

/** A running process and its parent. */
interface ProcessEntry {
  pid: number;
  parent: number;
  command: string;
}

function readProcess(pid: number): ProcessEntry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command is in parentheses and may contain any character. State and parent follow the last parenthesis.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z') return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid, parent: Number(parent), command };
  } catch {
    return undefined;
  }
}

const allProcesses = (): ProcessEntry[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);

/** Descendants of this process, and processes with `marker` in their command line or environment. */
export function processesLeft(marker: string): ProcessEntry[] {
  const all = allProcesses();
  const ours = new Set([process.pid]);
  for (let grown = true; grown; ) {
    const before = ours.size;
    for (const entry of all) if (ours.has(entry.parent)) ours.add(entry.pid);
    grown = ours.size > before;
  }
  const carries = (pid: number) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(marker);
    } catch {
      return false;
    }
  };
  return all.filter((p) => p.pid !== process.pid && (ours.has(p.pid) || p.command.includes(marker) || carries(p.pid)));
}

/** The same, but waits up to `limitMs` for processes that are exiting. */
export async function processesLeftAfter(marker: string, limitMs = 2_000): Promise<ProcessEntry[]> {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    const left = processesLeft(marker);
    if (left.length === 0 || performance.now() > deadlineMs) return left;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Loopback ports on which this process or its children listen. */
export function listeningPorts(): number[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
      const inode = /^ino:\s+(\d+)/m.exec(target)?.[1];
      if (inode) inodes.add(inode);
    } catch {
      // The descriptor was closed while we looked.
    }
  }
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === '0A' && inodes.has(columns[9] ?? ''))
    .map((columns) => Number.parseInt(columns[1]?.split(':')[1] ?? '0', 16));
}
