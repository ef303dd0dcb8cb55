import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { Register, Run } from '../command.ts';
import { CliError, type Console, type Finished, needed } from '../console.ts';
import { act, fleetOf, listed, type Row, rowsOf, segment, shown, tenantOption } from '../operators/fleet.ts';
import { follow } from '../operators/follow.ts';
import { actOptions, listOptions, oneOrMore } from '../operators/options.ts';
import { dollars, moment, seconds } from '../operators/table.ts';
import { createPlatform } from '../platform.ts';

/** `greenroom sessions`: interviews of all tenants. */
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
  const found = await fleetOf(console).get<Why>(`/sessions/${segment(id)}/why`);
  const blame = Object.entries(found.blame).map(([owner, ms]) => `${owner} ${seconds(ms)}`);
  return {
    document: found,
    lines: [found.sentence, '', ...waterfall(found.segments), '', `Verdict ${found.verdict}. ${blame.join(', ')}.`],
  };
}

export const sessionColumns = [
  { title: 'session', of: ({ session_id }: Row) => session_id },
  { title: 'tenant', of: ({ tenant }: Row) => tenant },
  { title: 'status', of: ({ status }: Row) => status },
  { title: 'reason', of: ({ reason }: Row) => reason },
  { title: 'region', of: ({ region }: Row) => region },
  { title: 'path', of: (row: Row) => row.path },
  { title: 'start', of: ({ start_ms }: Row) => seconds(start_ms) },
  { title: 'verdict', of: ({ verdict }: Row) => verdict },
  { title: 'cost', of: ({ cost_usd }: Row) => dollars(cost_usd) },
  { title: 'created (UTC)', of: ({ created_at }: Row) => moment(created_at) },
];

interface ListOptions {
  tenant?: string;
  live?: true;
  status?: string[];
  reason?: string[];
  region?: string;
  path?: string;
  slowMs?: string;
  from?: string;
  until?: string;
  sort?: string;
  limit?: string;
  all?: true;
}

async function list(options: ListOptions, console: Console): Promise<Finished> {
  const fleet = fleetOf(console);
  const { tenant, slowMs, live, status, reason, region, path: way, from, until, sort, ...paging } = options;
  const filters = {
    ...{ live, status, reason, region, path: way, from, until, sort, slow_ms: slowMs },
    tenant: await tenantOption(fleet, tenant),
  };
  const { rows, more } = await rowsOf(fleet, '/sessions', filters, paging);
  return listed(rows, sessionColumns, console, more);
}

const endings = new Set([
  'session.completed',
  'session.cancelled',
  'session.failed',
  'session.disconnected',
  'session.expired',
]);

/** Prints the events of a session until it has ended. */
async function tail(id: string, json: boolean, console: Console): Promise<Finished> {
  await fleetOf(console).get(`/sessions/${segment(id)}`);
  let last = '';
  await follow(console, { topics: 'events', session: id }, 0, (name, event) => {
    if (name !== 'event') return undefined;
    last = event.type;
    console.print(
      json ? JSON.stringify(event) : `${moment(event.created_at)}  ${event.type}  ${JSON.stringify(event.data)}`,
    );
    return endings.has(event.type) ? 'enough' : undefined;
  });
  return { document: { session_id: id, last }, lines: [] };
}

/** Creates a session through the platform's API, with the key of a tenant. */
async function start(file: string, home: Console): Promise<Finished> {
  const key = needed(home, 'GREENROOM_API_KEY', 'an API key of the tenant (scope sessions:write).');
  const { public_url } = await fleetOf(home).get<{ public_url: string }>('/me');
  let body: object;
  try {
    body = JSON.parse(readFileSync(path.resolve(home.cwd, file), 'utf8')) as object;
  } catch (error) {
    throw new CliError('usage', 'body', `${file} is not a readable JSON file.`, { cause: error });
  }
  const made = await createPlatform(public_url, key, 'PUBLIC_URL').call<Row>('POST', '/api/sessions', body);
  return shown(made);
}

function readers(sessions: Command, run: Run): void {
  listOptions(sessions.command('ls').description('List sessions, newest first.'))
    .option('--live', 'only those that have not ended')
    .option('--status <status>', 'only this status; may be repeated', oneOrMore)
    .option('--reason <reason>', 'only this reason; may be repeated', oneOrMore)
    .option('--tenant <tenant>', 'slug or id')
    .option('--region <code>', 'only this region')
    .option('--path <path>', 'hot, standby or cold')
    .option('--slow-ms <ms>', 'only those whose start took at least this long, ms')
    .option('--from <time>', 'created at or after this time (ISO 8601)')
    .option('--until <time>', 'created before this time')
    .option('--sort <order>', 'created or start (slowest first)')
    .action(run(list));
  sessions
    .command('show <id>')
    .description('Show everything about one session, without names and spoken text.')
    .action(
      run(async ({ args: [id = ''] }: { args: string[] }, console) =>
        shown(await fleetOf(console).get(`/sessions/${segment(id)}`)),
      ),
    );
  sessions
    .command('why <id>')
    .description('Say why a session started slowly, and who owned each second until the first words.')
    .action(run(({ args: [id = ''] }: { args: string[] }, console) => why(id, console)));
  sessions
    .command('tail <id>')
    .description('Print the events of a session until it has ended; with --json one line each.')
    .action(
      run(({ args: [id = ''], json = false }: { args: string[]; json?: boolean }, console) => tail(id, json, console)),
    );
}

export const sessionsCommand: Register = (program, run) => {
  const sessions = program.command('sessions').description('Sessions (interviews) of all tenants.');
  readers(sessions, run);
  sessions
    .command('start')
    .description('Create a session with the key of a tenant (GREENROOM_API_KEY).')
    .requiredOption('--file <file>', 'the body of POST /api/sessions, JSON')
    .action(run(({ file }: { file: string }, console) => start(file, console)));
  actOptions(
    sessions.command('end <id>').description('End a session: its outcome is cancelled, its reason operator_stopped.'),
  ).action(
    run(({ args: [id = ''], ...options }: { args: string[]; why?: string }, console) =>
      act(console, ['POST', `/sessions/${segment(id)}/end`, {}], options),
    ),
  );
};
