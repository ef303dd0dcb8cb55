import { readdirSync, readFileSync } from 'node:fs';

/** CPU time by part, ms: a machine that is busy with other things too still tells what a session costs. */
export type CpuTimes = Record<'orchestrator' | 'postgrest' | 'postgres', number>;

const msPerTick = 10;

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Fields of a process' state, from its state on: the command before may contain any character. */
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

/** Of the processes of the stack whose folder is `marker`. */
export function cpuTimes(marker: string, orchestratorPid: number): CpuTimes {
  const carries = (pid: string) => `${read(`/proc/${pid}/cmdline`)}${read(`/proc/${pid}/environ`)}`.includes(marker);
  const postgres = pidsOf('postgres');
  // A server process of Postgres overwrites both; it is known by its parent.
  const parents = new Set(postgres.filter(carries));
  const sum = (pids: string[]) => pids.reduce((total, pid) => total + cpuMsOf(pid), 0);
  return {
    orchestrator: cpuMsOf(String(orchestratorPid)),
    postgrest: sum(pidsOf('postgrest').filter(carries)),
    postgres: sum(postgres.filter((pid) => parents.has(pid) || parents.has(statOf(pid)[1] ?? ''))),
  };
}
