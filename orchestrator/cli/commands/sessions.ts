import type { Register } from '../command.ts';
import { type Console, type Finished, needed } from '../console.ts';
import { createPlatform } from '../platform.ts';

/** `greenroom sessions why ID`: says why an interview began slowly, with one line for each step of its start and first call. */
interface Segment {
  step: string;
  owner: string;
  from: number;
  until: number;
  ms: number;
}
interface Why {
  verdict: string;
  sentence: string;
  segments: Segment[];
  blame: Record<string, number>;
}

const barWidth = 40;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** One line per step: name, owner, duration, and a bar where the step lies in the whole time. */
function waterfall(segments: Segment[]): string[] {
  const [first, last] = [segments[0], segments.at(-1)];
  if (first === undefined || last === undefined) return [];
  const wholeMs = Math.max(1, last.until - first.from);
  const column = (at: number): number => Math.round(((at - first.from) / wholeMs) * barWidth);
  return segments.map(({ step, owner, from, until, ms }) => {
    const start = Math.min(column(from), barWidth - 1);
    const bar = `${' '.repeat(start)}${'█'.repeat(Math.max(1, column(until) - start))}`;
    return `${step.padEnd(11)}${owner.padEnd(10)}${seconds(ms).padStart(10)}  ${bar}`;
  });
}

async function why(id: string, console: Console): Promise<Finished> {
  const url = needed(console, 'GREENROOM_URL', "the address of the operators' API (OPS_HOST and OPS_PORT).");
  const token = needed(console, 'GREENROOM_TOKEN', "an operator's token (its hash is in OPERATOR_TOKENS).");
  const path = `/ops/api/sessions/${encodeURIComponent(id)}/why`;
  const found = await createPlatform(url, token).call<Why>('GET', path);
  const blame = Object.entries(found.blame).map(([owner, ms]) => `${owner} ${seconds(ms)}`);
  return {
    document: found,
    lines: [found.sentence, '', ...waterfall(found.segments), '', `Verdict ${found.verdict}. ${blame.join(', ')}.`],
  };
}

export const sessionsCommand: Register = (program, run) => {
  const sessions = program.command('sessions').description('Look at interviews of all tenants.');
  sessions
    .command('why <id>')
    .description('Say why an interview began slowly, and who owned each second until the first words.')
    .action(run(({ args: [id = ''] }: { args: string[] }, console) => why(id, console)));
};
