import { parseArgs } from 'node:util';
import { type CampaignReport, isClean, runCampaign } from './campaign.ts';

const usage = `npm run chaos -- [--seed N] [--seeds N] [--sessions M] [--seconds S] [--json]

Runs interviews on the local cloud while faults are injected: orchestrators and workers are killed, hosts are lost,
Postgres is restarted, Fly answers late, wrongly or not at all. Then the faults are removed and the system must recover.

  --seed N       seed of the fault schedule (default 1)
  --seeds N      run N campaigns, with seed N, N+1, …
  --sessions M   interviews per campaign, 1–200 (default 10)
  --seconds S    how long faults are injected, 1–3600 (default 25)
  --json         print one JSON line per campaign, then one line with the sums

Exit 0 only if no invariant was violated.
`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      sessions: { type: 'string', default: '10' },
      seconds: { type: 'string', default: '25' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const whole = (name: 'seed' | 'seeds' | 'sessions' | 'seconds', min: number, max: number): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new Error(`--${name} must be a whole number from ${min} to ${max}, not ${values[name]}`);
    return value;
  };
  return {
    help: values.help,
    json: values.json,
    seed: whole('seed', 0, 4_294_967_295),
    seeds: whole('seeds', 1, 1_000),
    sessions: whole('sessions', 1, 200),
    durationMs: whole('seconds', 1, 3_600) * 1_000,
  };
}

function sum(reports: CampaignReport[]): CampaignReport {
  const [first] = reports as [CampaignReport];
  const add = (name: 'faults' | 'outcomes') => {
    const total: Record<string, number> = {};
    for (const report of reports)
      for (const [key, count] of Object.entries(report[name])) total[key] = (total[key] ?? 0) + count;
    return total;
  };
  const count = (name: 'sessions' | 'duplicates' | 'orphans' | 'stuck' | 'unpaid' | 'lost_entries') =>
    reports.reduce((total, report) => total + report[name], 0);
  return {
    ...{ seed: first.seed, sessions: count('sessions'), faults: add('faults') },
    violations: reports.flatMap(({ seed, violations }) => violations.map((violation) => `seed ${seed}: ${violation}`)),
    ...{ duplicates: count('duplicates'), orphans: count('orphans'), stuck: count('stuck') },
    ...{ unpaid: count('unpaid') },
    ...{ lost_entries: count('lost_entries'), outcomes: add('outcomes') },
  };
}

async function main(): Promise<number> {
  const { help, json, seed, seeds, ...options } = readOptions();
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const reports: CampaignReport[] = [];
  for (let n = 0; n < seeds; n += 1) {
    const report = await runCampaign({ ...options, seed: seed + n, log: (line) => process.stderr.write(`${line}\n`) });
    reports.push(report);
    if (json && seeds > 1) process.stdout.write(`${JSON.stringify(report)}\n`);
    else process.stderr.write(`seed ${report.seed}: ${isClean(report) ? 'clean' : report.violations.join('; ')}\n`);
  }
  const total = sum(reports);
  if (json) process.stdout.write(`${JSON.stringify(total)}\n`);
  return isClean(total) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 2;
}
