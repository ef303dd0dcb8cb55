import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startStack } from '../stack/stack.ts';
import { candidateSocket, createRandom, type Door, platformApi, workerApi } from './doors.ts';

const usage = `npm run fuzz -- [--minutes N] [--seed N] [--json]

Sends random requests and messages, made from their published schemas, to the platform API, the worker API and a candidate's
socket of the local cloud.

  --minutes N  how long, 0.1–600 (default 2)
  --seed N     what is sent (default 1)
  --json       print one JSON line last

Exit 0 only when no answer was a 5xx, no event loop was held over 100 ms and memory stayed flat.
`;
const maxHeldMs = 100;
/** Memory may grow by this while the process warms up, as a share of what it has after the first third. */
const maxGrowth = 1.25;

interface Said {
  heldMs: number;
  rssBytes: number;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes >= 0.1 && minutes <= 600)) throw new Error(`--minutes must be 0.1–600, not ${values.minutes}`);
  if (!Number.isInteger(seed)) throw new Error(`--seed must be a whole number, not ${values.seed}`);
  return { help: values.help, json: values.json, limitMs: minutes * 60_000, seed };
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

async function run({ limitMs, seed }: { limitMs: number; seed: number }) {
  const said: Said[] = [];
  const stack = await startStack({
    orchestrators: 0,
    flyLimits: false,
    voice: { turns: 200, paceMs: 1_000 },
    log: (_part, line) => {
      if (line.startsWith('{"fuzz"')) said.push((JSON.parse(line) as { fuzz: Said }).fuzz);
    },
  });
  const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
  try {
    const { url } = await stack.addOrchestrator({}, path.join(import.meta.dirname, 'server.ts'));
    await db.connect();
    const headers = { authorization: `Bearer ${stack.tenant.apiKey}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ candidate: { name: 'Fuzz' }, position: { title: 'Fuzz' }, region: 'fra' });
    const create = async () =>
      (await (
        await fetch(`${url}/api/sessions`, { method: 'POST', headers: { ...headers, prefer: 'wait=30' }, body })
      ).json()) as {
        session_id: string;
        join_token: string | null;
        websocket_url: string;
      };
    const [spoken, served] = [await create(), await create()];
    const { rows } = await db.query(
      'select tenant_id, machine_id, epoch from public.interview_sessions where id = $1',
      [served.session_id],
    );
    const ids = [stack.tenant.id, spoken.session_id, crypto.randomUUID()];
    const keys = [
      stack.tenant.apiKey,
      stack.tenant.apiKey,
      stack.operatorToken,
      undefined,
      `gr_live_${'x'.repeat(43)}`,
    ];
    const doors: Door[] = [
      await platformApi(url, keys, ids),
      await workerApi(stack, url, { ...rows[0], session_id: served.session_id }),
      candidateSocket(async () => {
        const answer = await fetch(`${url}/api/sessions/${spoken.session_id}`, { headers });
        const { join_token: token, websocket_url } = (await answer.json()) as typeof spoken;
        return token === null ? undefined : { url: websocket_url, token };
      }),
    ];
    said.length = 0;
    const endMs = performance.now() + limitMs;
    const statuses: Record<string, Record<string, number>> = {};
    const lane = async (door: Door, lanes: number): Promise<void> => {
      const random = createRandom(seed * 100 + lanes);
      const counts = statuses[door.name] ?? {};
      statuses[door.name] = counts;
      while (performance.now() < endMs) {
        const status = await door.knock(random).catch(() => 'no answer');
        counts[status] = (counts[status] ?? 0) + 1;
      }
    };
    await Promise.all(
      doors.flatMap((door) => [lane(door, 1), ...(door.name === "candidate's socket" ? [] : [lane(door, 2)])]),
    );
    const failed = Object.values(statuses)
      .flatMap((counts) => Object.entries(counts))
      .reduce((sum, [status, count]) => (Number(status) >= 500 || status === 'no answer' ? sum + count : sum), 0);
    const heldMs = Math.max(0, ...said.map((one) => one.heldMs));
    const growth = growthOf(said);
    const ok = failed === 0 && heldMs <= maxHeldMs && growth <= maxGrowth;
    return { ok, seed, failed, held_ms: Math.round(heldMs), memory_growth: Number(growth.toFixed(3)), statuses };
  } finally {
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
    `${report.ok ? 'clean' : 'NOT clean'}: ${report.failed} answers of 5xx, event loop held ${report.held_ms} ms\n`,
  );
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 2;
}
