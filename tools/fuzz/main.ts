import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startStack } from '../stack/stack.ts';
import {
  candidateSocket,
  createRandom,
  type Door,
  platformApi,
  roughClients,
  webhookReceivers,
  workerApi,
} from './doors.ts';
import { startReceivers } from './receivers.ts';
import type { Said } from './watch.ts';

const usage = `npm run fuzz -- [--minutes N] [--seed N] [--profile] [--json]

Sends random requests and messages, valid and invalid, made from their published schemas, to the platform API, the worker API
and a candidate's socket of the local cloud. Beside them: clients that send what is no HTTP, hang up in the middle, do not read
or send one request several times at once, and receivers of webhooks that hang, redirect or answer garbage.

  --minutes N  how long, 0.1–600 (default 2)
  --seed N     what is sent (default 1)
  --profile    also say in which functions an event loop was held for over 40 ms (slower)
  --json       print one JSON line last

Exit 0 only when no answer was a 5xx, every error was a problem document with a documented status, and in the orchestrator and
in every worker no event loop was held over 100 ms and memory stayed flat.
`;
const maxHeldMs = 100;
/** Memory may grow by this while the process warms up, as a share of what it has after the first third. */
const maxGrowth = 1.25;

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string', default: '1' },
      profile: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes >= 0.1 && minutes <= 600)) throw new Error(`--minutes must be 0.1–600, not ${values.minutes}`);
  if (!Number.isInteger(seed)) throw new Error(`--seed must be a whole number, not ${values.seed}`);
  return { help: values.help, json: values.json, profile: values.profile, limitMs: minutes * 60_000, seed };
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** How much more memory there is in the last third than in the middle one. */
function growthOf(said: Said[]): number {
  const third = Math.floor(said.length / 3);
  const [middle, last] = [said.slice(third, 2 * third), said.slice(2 * third)].map((part) =>
    median(part.map(({ rssBytes }) => rssBytes)),
  );
  return middle === undefined || last === undefined || middle === 0 ? 1 : last / middle;
}

interface Session {
  session_id: string;
  join_token: string | null;
  websocket_url: string;
}

interface Watched {
  held_ms: number;
  memory_growth: number;
  held_in?: string[];
}

/** What was said of the orchestrator, and of the worst of the workers. */
function watched(said: Said[]): Record<string, Watched> {
  return Object.fromEntries(
    [...Map.groupBy(said, ({ of }) => of)].map(([of, all]) => {
      const [worst] = all.toSorted((a, b) => b.heldMs - a.heldMs) as [Said];
      const processes = [...Map.groupBy(all, ({ pid }) => pid).values()];
      // Growth compares the middle of a run with its end, so a process that lived only briefly does not count.
      const longest = Math.max(...processes.map((one) => one.length));
      const growths = processes.filter((one) => one.length * 2 > longest).map(growthOf);
      return [
        of,
        {
          held_ms: Math.round(worst.heldMs),
          memory_growth: Number(Math.max(...growths).toFixed(3)),
          ...(worst.heldIn ? { held_in: worst.heldIn } : {}),
        },
      ];
    }),
  );
}

async function run({ limitMs, seed, profile }: { limitMs: number; seed: number; profile: boolean }) {
  const said: Said[] = [];
  const watch = { FUZZ_PROFILE: profile ? '1' : '0' };
  const stack = await startStack({
    orchestrators: 0,
    flyLimits: false,
    workerEnvironment: { ...watch, FUZZ_WATCH: 'worker' },
    workerArguments: [`--import=${path.join(import.meta.dirname, 'watch.ts')}`],
    voice: { turns: 200, paceMs: 1_000 },
    log: (_part, line) => {
      // Fly's log names the machine before each line.
      const at = line.indexOf('{"fuzz"');
      if (at >= 0) said.push((JSON.parse(line.slice(at)) as { fuzz: Said }).fuzz);
    },
  });
  const outside = await startReceivers();
  const db = new pg.Pool({ connectionString: stack.cloud.supabase.adminDbUrl, max: 2 });
  try {
    const { url } = await stack.addOrchestrator(
      { ...watch, FUZZ_WATCH: 'orchestrator' },
      path.join(import.meta.dirname, 'server.ts'),
    );
    const headers = { authorization: `Bearer ${stack.tenant.apiKey}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ candidate: { name: 'Fuzz' }, position: { title: 'Fuzz' }, region: 'fra' });
    const statuses: Record<string, Record<string, number>> = {};
    const made: Record<string, number> = {};
    statuses['new sessions'] = made;
    const create = async (key = stack.tenant.apiKey): Promise<Session> => {
      const own = { ...headers, authorization: `Bearer ${key}`, prefer: 'wait=30' };
      const sent = { method: 'POST', headers: own, body };
      const answer = await fetch(`${url}/api/sessions`, sent);
      made[answer.status] = (made[answer.status] ?? 0) + 1;
      const text = await answer.text();
      if (answer.status !== 201) throw new Error(`no session was made: ${answer.status} ${text}`);
      return JSON.parse(text) as Session;
    };
    /** The session whose socket is tried, and the one whose worker token is. What is sent may end them: then others are made. */
    const sessions = [await create(), await create()] as [Session, Session];
    const isOver = async ({ session_id }: Session) =>
      (await db.query('select 1 from public.interview_sessions where id = $1 and completed_at is null', [session_id]))
        .rowCount === 0;
    const renew = async () => {
      for (const [n, session] of sessions.entries()) if (await isOver(session)) sessions[n] = await create();
    };
    const ids = () => [stack.tenant.id, ...sessions.map(({ session_id }) => session_id), crypto.randomUUID()];
    const neighbour = await stack.addTenant('neighbour', 'Neighbour');
    const keys = [
      stack.tenant.apiKey,
      stack.tenant.apiKey,
      stack.operatorToken,
      undefined,
      `gr_live_${'x'.repeat(43)}`,
    ];
    const neighbours = await create(neighbour.apiKey);
    const claims = async () => {
      const { session_id } = sessions[1];
      const { rows } = await db.query(
        'select tenant_id, machine_id, epoch from public.interview_sessions where id = $1',
        [session_id],
      );
      return { ...rows[0], session_id };
    };
    const doors: Door[] = [
      await platformApi(url, keys, ids),
      workerApi(stack, url, claims),
      // A tenant of their own: what is sent to the platform API may take the other one's places and webhooks.
      roughClients(url, neighbour.apiKey, () => neighbours.session_id),
      webhookReceivers(url, neighbour.apiKey, outside.url),
      candidateSocket(async () => {
        const answer = await fetch(`${url}/api/sessions/${sessions[0].session_id}`, { headers });
        const { join_token: token, websocket_url } = (await answer.json()) as Session;
        return token === null ? undefined : { url: websocket_url, token };
      }),
    ];
    said.length = 0;
    const endMs = performance.now() + limitMs;
    const faults: string[] = [];
    const lane = async (door: Door, number: number): Promise<void> => {
      const random = createRandom(seed * 100 + number);
      const counts = statuses[door.name] ?? {};
      statuses[door.name] = counts;
      while (performance.now() < endMs) {
        const { status, fault } = await door.knock(random).catch((error: Error) => ({
          status: 'no answer',
          fault: `no answer: ${error.message} ${(error.cause as Error | undefined)?.message ?? ''}`,
        }));
        counts[status] = (counts[status] ?? 0) + 1;
        if (fault !== undefined) faults.push(`${door.name}: ${fault}`);
      }
    };
    const renewing = setInterval(() => void renew().catch(() => undefined), 2_000);
    await Promise.all(doors.flatMap((door) => Array.from({ length: door.lanes }, (_, n) => lane(door, n + 1))));
    clearInterval(renewing);
    const failed = faults.length;
    const processes = watched(said);
    if (!processes.worker || !processes.orchestrator)
      throw new Error(`only these said how they were: ${Object.keys(processes)}`);
    const all = Object.values(processes);
    const heldMs = Math.max(...all.map((one) => one.held_ms));
    const growth = Math.max(...all.map((one) => one.memory_growth));
    const ok = failed === 0 && heldMs <= maxHeldMs && growth <= maxGrowth;
    const shown = [...new Set(faults)].slice(0, 20);
    return { ok, seed, failed, held_ms: heldMs, memory_growth: growth, processes, statuses, faults: shown };
  } finally {
    outside.stop();
    await db.end().catch(() => undefined);
    await stack.stop();
  }
}

async function main(): Promise<number> {
  const { help, json, ...options } = readOptions();
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const report = await run(options);
  process.stderr.write(
    `${report.ok ? 'clean' : 'NOT clean'}: ${report.failed} wrong answers, event loop held ${report.held_ms} ms\n`,
  );
  for (const fault of report.faults) process.stderr.write(`  ${fault}\n`);
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 2;
}
