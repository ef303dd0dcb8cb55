import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FleetGauges, FleetTotals } from '../../database/gauge-store.ts';
import type { FlyClient } from '../../fly/client.ts';
import { createFleetGauges, namedTenants } from './fleet-gauges.ts';
import { createMetricsListener } from './listener.ts';
import { measuredFly } from './measured.ts';
import { createMetrics } from './metrics.ts';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const check = (text: string) => spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });

const none: FleetGauges = {
  ...{ sessions: [], queued: [], replaced: 0, machines: [], work: [], duties_without_holder: 0, orchestrators: 1 },
  ...{ unsaved_entries: 0, worker_memory_bytes: 0, unwanted: 0, present: 0, due: [] },
  ...{ creates_per_second: 1, create_backlog_s: 0 },
};
const noTotals: FleetTotals = { bounds: {}, totals: [] };
const liveOf = (tenant: string, count = 1) => ({ tenant, status: 'active', region: 'fra', count });

/** Gauges that are read from `answer`, by an orchestrator that holds the duty while `holds` is true. */
function makeGauges() {
  const metrics = createMetrics('1.2.3');
  const state = { answer: none, holds: true, totals: noTotals };
  const gauges = createFleetGauges({
    metrics,
    duties: { held: () => (state.holds ? [{ name: 'housekeeping', fence: 1 }] : []) },
    read: async () => state.answer,
    readTotals: async () => state.totals,
    levels: () => [
      { region: 'fra', hot: false, ready: 2, building: 1, target: 4 },
      { region: 'fra', hot: true, ready: 3, building: 0, target: 5 },
    ],
    clock: createFakeClock(),
  });
  const lines = async (name: string) =>
    (await metrics.registry.getSingleMetricAsString(name)).split('\n').filter((line) => !line.startsWith('#'));
  return { metrics, state, gauges, lines };
}

describe('the gauges of the fleet', () => {
  test('the series of a tenant disappears when the tenant has nothing left', async () => {
    const { state, gauges, lines } = makeGauges();
    state.answer = { ...none, sessions: [liveOf('acme', 3), liveOf('globex')] };
    await gauges.run();
    expect(await lines('greenroom_sessions')).toEqual([
      'greenroom_sessions{tenant="acme",status="active",region="fra"} 3',
      'greenroom_sessions{tenant="globex",status="active",region="fra"} 1',
    ]);
    state.answer = { ...none, sessions: [liveOf('globex')] };
    await gauges.run();
    expect(await lines('greenroom_sessions')).toEqual([
      'greenroom_sessions{tenant="globex",status="active",region="fra"} 1',
    ]);
  });

  test('tenants beyond the largest ones share one series', async () => {
    const { state, gauges, lines } = makeGauges();
    const many = Array.from({ length: namedTenants + 7 }, (_, n) => liveOf(`tenant-${n}`, n < 7 ? 1 : 2));
    state.answer = { ...none, sessions: many };
    await gauges.run();
    const found = await lines('greenroom_sessions');
    expect(found).toHaveLength(namedTenants + 1);
    expect(found).toContain('greenroom_sessions{tenant="other",status="active",region="fra"} 7');
  });

  test('an orchestrator that lost the duty exports no gauge of the fleet at the next scrape', async () => {
    const { metrics, state, gauges, lines } = makeGauges();
    state.answer = { ...none, sessions: [liveOf('acme')], machines: [{ state: 'claimed', region: 'fra', count: 1 }] };
    await gauges.run();
    expect(await lines('greenroom_standby_target')).toEqual(['greenroom_standby_target{region="fra"} 4']);
    expect(await lines('greenroom_hot_target')).toEqual(['greenroom_hot_target{region="fra"} 5']);
    expect(await lines('greenroom_orchestrators')).toEqual(['greenroom_orchestrators 1']);
    state.holds = false;
    gauges.dropOutdated();
    for (const gauge of await Promise.all(Object.values(metrics.fleet).map((one) => one.get())))
      expect(gauge).toMatchObject({ values: [] });
  });

  test('a histogram of the database has cumulative buckets, a sum and a count', async () => {
    const { state, gauges, lines } = makeGauges();
    const row = { name: 'failover_seconds', tenant: null, labels: {} };
    state.totals = {
      bounds: { failover_seconds: [1, 5] },
      totals: [
        { ...row, bucket: 0, count: 2, sum: 1.5 },
        { ...row, bucket: 2, count: 1, sum: 9 },
      ],
    };
    await gauges.run();
    expect(await lines('greenroom_failover_seconds')).toEqual([
      'greenroom_failover_seconds_bucket{le="1"} 2',
      'greenroom_failover_seconds_bucket{le="5"} 2',
      'greenroom_failover_seconds_bucket{le="+Inf"} 3',
      'greenroom_failover_seconds_sum 10.5',
      'greenroom_failover_seconds_count 3',
    ]);
    state.holds = false;
    gauges.dropOutdated();
    expect(await lines('greenroom_failover_seconds')).toEqual([]);
  });

  test('an orchestrator that never held the duty exports none, not even a zero', async () => {
    const { state, gauges, lines } = makeGauges();
    state.holds = false;
    await gauges.run();
    gauges.dropOutdated();
    expect(await lines('greenroom_duties_without_holder')).toEqual([]);
  });
});

test('every request to Fly is counted by action and class of answer', async () => {
  const metrics = createMetrics('1.2.3');
  const client = { get: async () => ({ kind: 'unclear', evidence: 'HTTP 502' }) } as unknown as FlyClient;
  const fly = measuredFly(client, metrics, createFakeClock());
  expect(await fly.get('app', 'id')).toEqual({ kind: 'unclear', evidence: 'HTTP 502' });
  await fly.get('app', 'id');
  expect((await metrics.fly.requests.get()).values).toMatchObject([
    { labels: { action: 'get', class: 'unclear' }, value: 2 },
  ]);
});

test('a refused create is counted for its region; a machine that was created is not', async () => {
  const metrics = createMetrics('1.2.3');
  const answers = [{ kind: 'noCapacity' }, { kind: 'noCapacity' }, { kind: 'quota' }, { kind: 'created' }];
  const client = { create: async () => answers.shift() } as unknown as FlyClient;
  const fly = measuredFly(client, metrics, createFakeClock());
  for (const _ of [...answers]) await fly.create('app', { region: 'fra' });
  const { values } = await metrics.fly.refusals.get();
  expect(values.map(({ labels, value }) => [labels, value])).toEqual([
    [{ region: 'fra', class: 'noCapacity' }, 2],
    [{ region: 'fra', class: 'quota' }, 1],
  ]);
});

describe('the listener', () => {
  const start = async () => {
    const metrics = createMetrics('1.2.3');
    const listener = createMetricsListener({ metrics, logger: silentLogger(), onScrape: () => undefined });
    const url = `http://127.0.0.1:${await listener.listen('127.0.0.1', 0)}`;
    onTestFinished(() => listener.close());
    return url;
  };

  test('serves the metrics in the text format of Prometheus', async () => {
    const answer = await fetch(`${await start()}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    expect(await answer.text()).toContain('greenroom_build_info{version="1.2.3"} 1');
  });

  test.each<[string, string, number]>([
    ['GET', '/', 404],
    ['GET', '/metrics/', 404],
    ['GET', '//', 404],
    ['POST', '/metrics', 405],
  ])('answers %s %s with %i', async (method, where, status) => {
    expect((await fetch(`${await start()}${where}`, { method })).status).toBe(status);
  });
});

describe('the names', () => {
  test.skipIf(!hasPromtool)('promtool has no complaint (skipped where promtool is not installed)', async () => {
    const { metrics, state, gauges } = makeGauges();
    state.answer = { ...none, sessions: [liveOf('acme')] };
    await gauges.run();
    const { status, stdout, stderr } = check(await metrics.registry.metrics());
    expect({ status, complaints: `${stdout}${stderr}` }).toEqual({ status: 0, complaints: '' });
  });

  test.skipIf(!hasPromtool)('control: promtool complains about a gauge named like a counter', () => {
    expect(check('# HELP sessions_total Sessions.\n# TYPE sessions_total gauge\nsessions_total 1\n').status).not.toBe(
      0,
    );
  });

  test('docs/metrics.md lists exactly the metrics that are exported, with type, labels and meaning', async () => {
    const { registry } = createMetrics('1.2.3');
    const exported = registry.getMetricsAsArray().map(async (metric) => {
      const { name, help, labelNames = [] } = metric as unknown as { name: string; help: string; labelNames: string[] };
      const { type } = await (metric as unknown as { get(): Promise<{ type: string }> }).get();
      return `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help} |`;
    });
    const page = readFileSync(path.resolve(import.meta.dirname, '../../../../docs/metrics.md'), 'utf8');
    const documented = page.split('\n').filter((line) => line.startsWith('| `'));
    expect(documented.toSorted()).toEqual((await Promise.all(exported)).toSorted());
  });
});
