import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root, run } from '../gate/command.ts';
import { type BusyFleet, startFleet } from './fleet.ts';
import { type MetricsStore, type Monitoring, startMonitoring } from './monitoring.ts';
import { missingPackages } from './packages.ts';
import { until } from './wait.ts';

/**
 * `npm run alerts -- [--json] [--logs]`: the shipped monitoring (infra/prometheus) with real programs.
 *
 * promtool runs a firing and a silent test of each alert. Then Prometheus and VictoriaMetrics scrape a busy fleet on the local cloud.
 * Faults of that fleet must raise the same alerts in Prometheus and in vmalert, and Alertmanager must send them to the right
 * receiver.
 *
 * Exit 1 if a check failed, 2 if a Debian package is missing, else 0.
 */
const inPrometheus = path.join(root, 'infra/prometheus');

interface Check {
  name: string;
  run(): Promise<unknown>;
}

const command = (program: string, args: string[]) => async () => {
  const { code, stdout, stderr } = await run(program, args, { cwd: inPrometheus });
  if (code !== 0) throw new Error(`${stdout}${stderr}`);
};

const routed = (severity: string, receiver: string): Check => ({
  name: `an alert of severity ${severity} goes to ${receiver}`,
  run: command('amtool', [
    ...['config', 'routes', 'test', '--config.file=alertmanager.yml'],
    ...[`--verify.receivers=${receiver}`, `severity=${severity}`],
  ]),
});

const shippedFiles: Check[] = [
  { name: 'promtool accepts the rules', run: command('promtool', ['check', 'rules', 'rules/greenroom.yml']) },
  { name: 'promtool accepts prometheus.yml', run: command('promtool', ['check', 'config', 'prometheus.yml']) },
  { name: 'amtool accepts alertmanager.yml', run: command('amtool', ['check-config', 'alertmanager.yml']) },
  {
    name: 'each alert fires in one test of promtool and is silent in another',
    run: command('promtool', ['test', 'rules', 'tests/greenroom.yml']),
  },
  routed('page', 'pager'),
  routed('ticket', 'tickets'),
];

const firing = (store: MetricsStore, alerts: string[], limitMs = 240_000): Check => ({
  name: `${store.name} fires ${alerts.join(', ')}`,
  run: async () => {
    let states = await store.alerts();
    const fire = async () => {
      states = await store.alerts();
      return alerts.every((alert) => states.firing.includes(alert));
    };
    await until(`${store.name} fires ${alerts.join(', ')}`, fire, limitMs).catch((error: Error) => {
      const [firing, pending] = [states.firing, states.pending].map((names) => names.join(', ') || 'none');
      throw new Error(`${error.message}; firing: ${firing}; pending: ${pending}`);
    });
  },
});

const hasScraped = (store: MetricsStore, instances: number): Check => ({
  name: `${store.name} has scraped ${instances} orchestrators`,
  run: () =>
    until(`${instances} instances in ${store.name}`, async () => {
      const [count = 0] = await store.query('count(greenroom_build_info)');
      return count === instances;
    }),
});

/** Alerts that a fault of the fleet raises, beside those whose conditions last too long for this run. */
const fromFaults = ['EntriesLost', 'OrphanMachine'];
const whenAllAreGone = ['MetricsMissing', 'DutyWithoutHolder'];

function ofTheFleet(
  fleet: BusyFleet,
  { prometheus, victoria, received }: Monitoring,
  print: (line: string) => void,
): Check[] {
  const stores = [prometheus, victoria];
  const say = (line: string) => print(`     ${line}`);
  const states = async (state: 'pending' | 'firing') =>
    (await Promise.all(stores.map((store) => store.alerts()))).map((alerts) => alerts[state].toSorted().join(', '));
  return [
    ...stores.map((store) => hasScraped(store, fleet.targets.length)),
    { name: 'the fleet is busy', run: () => fleet.work(say) },
    {
      name: `before the faults neither fires ${fromFaults.join(', ')}`,
      run: async () => {
        for (const alerts of await states('firing'))
          if (fromFaults.some((alert) => alerts.includes(alert))) throw new Error(`firing: ${alerts}`);
      },
    },
    { name: 'the faults are made', run: fleet.breakIt },
    ...stores.map((store) => firing(store, fromFaults)),
    {
      name: 'WorkDead waits in both for its 10 minutes',
      run: () =>
        until('WorkDead is pending', async () =>
          (await states('pending')).every((names) => names.includes('WorkDead')),
        ),
    },
    {
      name: 'Prometheus and vmalert fire the same alerts',
      run: async () => {
        let seen: string[] = [];
        await until('the same alerts fire', async () => {
          seen = await states('firing');
          return seen[0] === seen[1];
        }).catch((error: Error) => {
          throw new Error(`${error.message}; Prometheus: ${seen[0]}; vmalert: ${seen[1]}`);
        });
        say(`firing: ${seen[0]}`);
      },
    },
    {
      name: `the pager received ${fromFaults.join(', ')}`,
      run: () => until('the pages arrive', () => fromFaults.every((alert) => received('pager').includes(alert))),
    },
    {
      name: 'no page went to the tickets',
      run: async () => {
        const strays = received('tickets').filter((alert) => received('pager').includes(alert));
        if (strays.length > 0) throw new Error(strays.join(', '));
      },
    },
    {
      name: 'all orchestrators are killed',
      run: () => Promise.all(fleet.stack.orchestrators.splice(0).map((orchestrator) => orchestrator.kill())),
    },
    ...stores.map((store) => firing(store, whenAllAreGone)),
    {
      name: 'the pager received MetricsMissing, which silences DutyWithoutHolder',
      run: async () => {
        await until('the page arrives', () => received('pager').includes('MetricsMissing'));
        if (received('pager').includes('DutyWithoutHolder'))
          throw new Error('the pager received DutyWithoutHolder too');
      },
    },
  ];
}

interface Report {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs the checks in order. After a failed check the rest still runs, because most of them do not depend on it. */
async function runChecks(checks: Check[], print: (line: string) => void): Promise<Report> {
  const report: Report = { passed: 0, failed: 0, skipped: 0 };
  for (const check of checks) {
    const wrong = await check.run().then(
      () => undefined,
      (error: Error) => error.message,
    );
    report[wrong === undefined ? 'passed' : 'failed'] += 1;
    print(`${wrong === undefined ? 'ok  ' : 'FAIL'} ${check.name}${wrong === undefined ? '' : `: ${wrong}`}`);
  }
  return report;
}

async function checkFleet(print: (line: string) => void, logs: boolean): Promise<Report> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-alerts-'));
  const fleet = await startFleet();
  try {
    const log = logs ? (program: string, line: string) => print(`[${program}] ${line}`) : undefined;
    const monitoring = await startMonitoring(dir, fleet.targets, log);
    try {
      return await runChecks(ofTheFleet(fleet, monitoring, print), print);
    } finally {
      await monitoring.stop();
    }
  } finally {
    await fleet.stop();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, logs: { type: 'boolean', default: false } },
  });
  const print = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  const missing = missingPackages();
  const reports: Report[] = [];
  if (missing.length > 0) {
    print(
      `skipped: install Debian's ${missing.join(', ')} (sudo apt-get install --no-install-recommends ${missing.join(' ')})`,
    );
    reports.push({ passed: 0, failed: 0, skipped: 1 });
  } else {
    reports.push(await runChecks(shippedFiles, print), await checkFleet(print, values.logs));
  }
  const sum = (what: keyof Report) => reports.reduce((total, report) => total + report[what], 0);
  const report: Report = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
  print(`\n${report.passed} passed, ${report.failed} failed, ${report.skipped} skipped`);
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  if (report.failed > 0) return 1;
  return report.skipped > 0 ? 2 : 0;
}

process.exit(await main());
