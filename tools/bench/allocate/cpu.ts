import { readdirSync, readFileSync } from 'node:fs';

/** CPU time per part, ms: shows the cost of a session even on a busy machine. */
export type CpuTimes = Record<'orchestrator' | 'postgrest' | 'postgres', number>;

const msPerTick = 10;

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Fields of /proc/PID/stat after the command, which may contain any character. */
function statOf(pid: string): string[] {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function cpuMsOf(pid: string): number {
  const fields = statOf(pid);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * msPerTick;
}

const pidsOf = (command: string): string[] =>
  readdirSync('/proc').filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/comm`).trim() === command);

/** CPU time of the processes of the stack whose folder is `marker`. */
export function cpuTimes(marker: string, orchestratorPid: number): CpuTimes {
  const carries = (pid: string) => `${read(`/proc/${pid}/cmdline`)}${read(`/proc/${pid}/environ`)}`.includes(marker);
  const postgres = pidsOf('postgres');
  // Postgres server processes overwrite both. They are recognised by their parent.
  const parents = new Set(postgres.filter(carries));
  const sum = (pids: string[]) => pids.reduce((total, pid) => total + cpuMsOf(pid), 0);
  return {
    orchestrator: cpuMsOf(String(orchestratorPid)),
    postgrest: sum(pidsOf('postgrest').filter(carries)),
    postgres: sum(postgres.filter((pid) => parents.has(pid) || parents.has(statOf(pid)[1] ?? ''))),
  };
}
