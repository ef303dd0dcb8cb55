import { parseArgs } from 'node:util';
import { allocate } from './allocate.ts';
import { burst } from './burst.ts';
import { dashboards } from './dashboards.ts';
import { distance } from './distance.ts';
import { edge } from './edge.ts';
import { type Benchmark, meets, table } from './figures.ts';
import { fleet } from './fleet.ts';
import { growth } from './growth.ts';
import { ingest } from './ingest.ts';
import { join } from './join.ts';
import { neighbours } from './neighbours.ts';
import { reconcile } from './reconcile.ts';
import { room } from './room.ts';
import { soak } from './soak.ts';
import { start } from './start.ts';
import { worker } from './worker.ts';

/** `npm run bench -- NAME --json`: runs a benchmark. The last line is one JSON object. Exit code 0 unless it could not measure. */
const benchmarks: Record<string, Benchmark> = {
  worker,
  start,
  allocate,
  edge,
  fleet,
  growth,
  reconcile,
  burst,
  ingest,
  join,
  neighbours,
  distance,
  dashboards,
  room,
  soak,
};

export const benchmarkNames = Object.keys(benchmarks);

const usage = `npm run bench -- NAME [--json] [--rows SHARE] [--minutes N]

  NAME          ${Object.keys(benchmarks).join(', ')}
  --json        print one JSON line last
  --rows SHARE  of growth and fleet: the share of a million ended sessions, 0–1 (default 0.1)
  --minutes N   of soak: for how long, 2–1440 (default 10)
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      rows: { type: 'string', default: '0.1' },
      minutes: { type: 'string', default: '10' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const name = positionals[0] ?? '';
  const benchmark = benchmarks[name];
  if (!benchmark) {
    process.stderr.write(`${name === '' ? 'Name a benchmark.' : `There is no benchmark ${name}.`}\n\n${usage}`);
    return 2;
  }
  const rows = Number(values.rows);
  if (!(rows > 0 && rows <= 1)) {
    process.stderr.write(`--rows must be more than 0 and at most 1, not ${values.rows}.\n\n${usage}`);
    return 2;
  }
  const minutes = Number(values.minutes);
  if (!(minutes >= 2 && minutes <= 1_440)) {
    process.stderr.write(`--minutes must be 2–1440, not ${values.minutes}.\n\n${usage}`);
    return 2;
  }
  const figures = await benchmark((line) => process.stdout.write(`  ${line}\n`), { rows, minutes });
  process.stdout.write(`\n${table(figures)}\n`);
  if (values.json) process.stdout.write(`${JSON.stringify({ name, ok: figures.every(meets), figures })}\n`);
  return 0;
}

if (import.meta.main) process.exit(await main());
