import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { afterAll, describe, expect, test } from 'vitest';
import { createBody } from '../../src/fleet/machine-config.ts';
import { createMetricsListener } from '../../src/ops/metrics/listener.ts';
import { createMetrics } from '../../src/ops/metrics/metrics.ts';
import { makeIntent } from '../../src/testing.ts';
import { durationMs, machineConfigOf, readFlyToml } from './fly-toml.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const orchestrator = readFlyToml(path.join(root, 'fly.orchestrator.toml'));
const worker = readFlyToml(path.join(root, 'fly.worker.toml'));
const dir = mkdtempSync(path.join(tmpdir(), 'fly-toml-'));
afterAll(() => rmSync(dir, { recursive: true }));

function written(text: string): string {
  const file = path.join(dir, 'fly.toml');
  writeFileSync(file, text);
  return file;
}

describe('fly.orchestrator.toml', () => {
  test('Fly stops no orchestrator by itself and keeps at least two', () => {
    expect(orchestrator.http_service).toMatchObject({ auto_stop_machines: 'off', min_machines_running: 2 });
  });
  test('its check is of liveness, which depends on no other service', () => {
    expect(orchestrator.http_service?.checks?.map((check) => check.path)).toEqual(['/healthz']);
  });
  test('every deployment migrates the database first, and replaces one orchestrator after the other', () => {
    expect(orchestrator.deploy).toMatchObject({ strategy: 'rolling', max_unavailable: 1 });
    expect(orchestrator.deploy?.release_command).toContain('greenroom.mjs migrate');
  });
  test('the machine is reachable at 443 and 80, and 80 leads to https', () => {
    expect(machineConfigOf(orchestrator).services).toMatchObject([
      {
        internal_port: 8080,
        autostop: 'off',
        ports: [
          { port: 80, handlers: ['http'], force_https: true },
          { port: 443, handlers: ['http', 'tls'] },
        ],
        checks: [{ type: 'http', path: '/healthz' }],
      },
    ]);
  });
  test("the metrics are served where Fly's Prometheus asks for them, and not on the public port", () => {
    const { metrics } = machineConfigOf(orchestrator);
    expect(metrics).toEqual({ port: Number(orchestrator.env?.OPS_PORT), path: '/metrics' });
    expect(orchestrator.env?.OPS_HOST).toBe('0.0.0.0');
    expect(orchestrator.http_service?.internal_port).toBe(Number(orchestrator.env?.PORT));
  });
  test('the listener of the metrics answers at the path that the file names', async () => {
    const listener = createMetricsListener({
      metrics: createMetrics('test'),
      logger: silentLogger(),
      onScrape: () => undefined,
    });
    const port = await listener.listen('127.0.0.1', 0);
    const path = orchestrator.metrics?.[0]?.path;
    const { status } = await fetch(`http://127.0.0.1:${port}${path}`);
    await listener.close();
    expect([path, status]).toEqual(['/metrics', 200]);
  });
});

test.each([
  ['orchestrator', orchestrator.http_service?.internal_port],
  ['worker', worker.services?.[0]?.internal_port],
])('the image of the %s exposes the port of its service', (name, port) => {
  const dockerfile = readFileSync(path.join(root, `infra/docker/${name}.Dockerfile`), 'utf8');
  expect(/^EXPOSE (\d+)$/m.exec(dockerfile)?.[1]).toBe(String(port));
});

describe('fly.worker.toml', () => {
  test('a worker has longer to end than its teardown takes, as in its machines', () => {
    expect(durationMs(worker.kill_timeout)).toBeGreaterThanOrEqual(defaultDeadlines.teardownMs);
    expect(durationMs(worker.kill_timeout)).toBe(defaultDeadlines.stopTimeoutMs);
  });
  test('its service is the one that the orchestrator gives every worker, with a liveness check', () => {
    const template = {
      deploymentId: 'test',
      guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
      env: {},
      stopTimeoutMs: 1,
    };
    const { config } = createBody(makeIntent(), template) as { config: { services: object[] } };
    const [{ checks, ...service }] = machineConfigOf(worker).services as [{ checks: object[] }];
    expect([service]).toEqual(config.services);
    expect(checks).toMatchObject([{ path: '/livez' }]);
  });
});

describe('a file that is wrong', () => {
  test.each<[what: string, text: string, complaint: string]>([
    ['no TOML', 'app = ', 'cannot be read'],
    ['without an app', 'primary_region = "fra"', 'app: '],
    ['a key that flyctl does not know', 'auto_stop = true', 'Unrecognized key: "auto_stop"'],
    [
      'a boolean where flyctl wants a word',
      '[http_service]\ninternal_port = 1\nauto_stop_machines = false',
      'http_service.auto_stop_machines',
    ],
    ['a number of seconds without unit', 'kill_timeout = "90"', 'kill_timeout: must be a duration'],
  ])('%s is refused by name', (_what, text, complaint) => {
    expect(() => readFlyToml(written(text))).toThrow(complaint);
  });

  const real = readFileSync(path.join(root, 'fly.orchestrator.toml'), 'utf8');
  test.each<[what: string, from: string, to: string, complaint: string]>([
    ['metrics on another port than the listener', 'port = 9091', 'port = 9092', 'metrics.0.port: must be env.OPS_PORT'],
    ['a listener on another port', 'OPS_PORT = "9091"', 'OPS_PORT = "9092"', 'which is 9092'],
    ['a listener on loopback', 'OPS_HOST = "0.0.0.0"', 'OPS_HOST = "127.0.0.1"', 'env.OPS_HOST: must be 0.0.0.0'],
    [
      'a service on another port than the process',
      'PORT = "8080"',
      'PORT = "8081"',
      'http_service.internal_port: must be 8081',
    ],
    [
      'metrics on the public port',
      'internal_port = 8080',
      'internal_port = 9091',
      'metrics.0.port: must be in no service',
    ],
  ])('%s is refused by name', (_what, from, to, complaint) => {
    expect(real).toContain(from);
    expect(() => readFlyToml(written(real.replace(from, to)))).toThrow(complaint);
  });
});
