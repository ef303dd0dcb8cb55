import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { CliError } from '../console.ts';

/**
 * Reads a `fly.toml` and turns it into the configuration of machines, as flyctl does.
 *
 * The keys are those of flyctl's configuration structs, reduced to what we use: superfly/flyctl@ad0172fa
 * `internal/appconfig/config.go` (Config, Deploy, Build, Compute, Restart, Metrics) and `service.go` (HTTPService, Service,
 * ServiceHTTPCheck), superfly/fly-go@22d6e518 `machine_types.go` (MachineGuest, MachineMetrics, MachinePort, HTTPOptions,
 * MachineServiceConcurrency, MachineAutostop) and `duration.go`. flyctl silently ignores an unknown key; here it is an error.
 */
const durationPattern = /^(\d+(\.\d+)?(ms|h|m|s))+$/;
const duration = z.string().regex(durationPattern, 'must be a duration such as "90s"');
const port = z.number().int().min(1).max(65_535);
const count = z.number().int().min(0);
const autostop = z.enum(['off', 'stop', 'suspend']);
const concurrency = z
  .strictObject({ type: z.enum(['connections', 'requests']), soft_limit: count, hard_limit: count })
  .refine(({ soft_limit, hard_limit }) => soft_limit <= hard_limit, 'soft_limit must not be above hard_limit');

const httpCheck = z.strictObject({
  interval: duration.optional(),
  timeout: duration.optional(),
  grace_period: duration.optional(),
  method: z.string().optional(),
  path: z.string().startsWith('/').optional(),
  protocol: z.enum(['http', 'https']).optional(),
  tls_skip_verify: z.boolean().optional(),
  headers: z.record(z.string(), z.string()).optional(),
});

const serviceCore = {
  internal_port: port,
  auto_stop_machines: autostop.optional(),
  auto_start_machines: z.boolean().optional(),
  min_machines_running: count.optional(),
  concurrency: concurrency.optional(),
};

const httpService = z.strictObject({
  ...serviceCore,
  force_https: z.boolean().optional(),
  http_options: z.strictObject({ compress: z.boolean().optional(), idle_timeout: count.optional() }).optional(),
  checks: z.array(httpCheck).optional(),
});

const service = z.strictObject({
  ...serviceCore,
  protocol: z.enum(['tcp', 'udp']),
  ports: z.array(
    z.strictObject({
      port: port.optional(),
      handlers: z.array(z.enum(['http', 'tls', 'pg_tls', 'proxy_proto', 'edge_http'])).optional(),
      force_https: z.boolean().optional(),
    }),
  ),
  http_checks: z.array(httpCheck).optional(),
});

const fields = z.strictObject({
  app: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$/, 'must be lowercase letters, digits and dashes'),
  primary_region: z.string().regex(/^[a-z]{3}$/, 'must be a region of Fly such as fra'),
  kill_signal: z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGKILL']),
  kill_timeout: duration,
  build: z.strictObject({ dockerfile: z.string().optional(), image: z.string().optional() }),
  deploy: z
    .strictObject({
      strategy: z.enum(['rolling', 'immediate', 'canary', 'bluegreen']),
      max_unavailable: z.number().positive().optional(),
      wait_timeout: duration,
      release_command: z.string().min(1),
      release_command_timeout: duration,
    })
    .optional(),
  env: z.record(z.string(), z.string()).optional(),
  http_service: httpService.optional(),
  services: z.array(service).optional(),
  metrics: z
    .array(z.strictObject({ port, path: z.string().startsWith('/'), https: z.boolean().optional() }))
    .optional(),
  vm: z.array(
    z.strictObject({
      cpu_kind: z.enum(['shared', 'performance']),
      cpus: z.number().int().min(1).max(16),
      memory_mb: z.number().int().multipleOf(256),
    }),
  ),
  restart: z.array(z.strictObject({ policy: z.enum(['always', 'never', 'on-failure']), retries: count.optional() })),
});
export type FlyToml = z.infer<typeof fields>;

/** Ports that two places of the file name: the process must listen where Fly's proxy, checks and Prometheus ask. */
function disagreements({
  env = {},
  http_service: http,
  services = [],
  metrics = [],
}: FlyToml): Array<[string[], string]> {
  const wrong: Array<[string[], string]> = [];
  if (http !== undefined && env.PORT !== undefined && env.PORT !== String(http.internal_port))
    wrong.push([['http_service', 'internal_port'], `must be ${env.PORT}, as env.PORT`]);
  const served = [http?.internal_port, ...services.map(({ internal_port: port }) => port)];
  for (const [index, { port }] of metrics.entries()) {
    const at = ['metrics', String(index), 'port'];
    if (env.OPS_PORT !== String(port)) wrong.push([at, `must be env.OPS_PORT, which is ${env.OPS_PORT ?? 'not set'}`]);
    if (served.includes(port)) wrong.push([at, 'must be in no service: the Internet reaches the ports of services']);
  }
  if (metrics.length > 0 && env.OPS_HOST !== '0.0.0.0')
    wrong.push([['env', 'OPS_HOST'], "must be 0.0.0.0: Fly's Prometheus asks at the machine's own address"]);
  return wrong;
}

export const flyToml = fields.superRefine((file, context) => {
  for (const [path, message] of disagreements(file)) context.addIssue({ code: 'custom', path, message });
});

/** @throws CliError naming every wrong key */
export function readFlyToml(file: string): FlyToml {
  let parsed: unknown;
  try {
    parsed = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError('configuration', 'fly_toml', `${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const checked = flyToml.safeParse(parsed);
  if (checked.success) return checked.data;
  const lines = checked.error.issues.map(
    ({ path, message }) => `  ${path.map(String).join('.') || 'file'}: ${message}`,
  );
  throw new CliError('configuration', 'fly_toml', `${file} is not usable:\n${lines.join('\n')}`);
}

/** Converts a duration that the schema has accepted to milliseconds. */
export function durationMs(text: string): number {
  const unitMs: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(?<![\d.])(\d+(?:\.\d+)?)(ms|h|m|s)/g))
    totalMs += Number(amount) * (unitMs[unit as string] ?? 0);
  return totalMs;
}

const checkOf = (check: z.infer<typeof httpCheck>) => ({ type: 'http', ...check });

/** The services of a machine (flyctl: `HTTPService.ToService`, `Service.toMachineService`). */
function servicesOf({ http_service: http, services = [] }: FlyToml): object[] {
  const own = services.map(
    ({ http_checks: checks = [], auto_stop_machines: stop, auto_start_machines: start, ...rest }) => ({
      ...rest,
      ...(stop === undefined ? {} : { autostop: stop }),
      ...(start === undefined ? {} : { autostart: start }),
      ...(checks.length === 0 ? {} : { checks: checks.map(checkOf) }),
    }),
  );
  if (http === undefined) return own;
  const { force_https = false, http_options, checks = [], auto_stop_machines, auto_start_machines, ...rest } = http;
  const options = http_options === undefined ? {} : { http_options };
  const ports = [
    { port: 80, handlers: ['http'], force_https, ...options },
    { port: 443, handlers: ['http', 'tls'], ...options },
  ];
  const auto = { autostop: auto_stop_machines ?? 'off', autostart: auto_start_machines ?? true };
  return [{ protocol: 'tcp', ...rest, ...auto, ports, checks: checks.map(checkOf) }, ...own];
}

/** Restart policies by their names in the file. flyctl's `never` is `no` in the Machines API. */
const restartOf = ({ restart: [first] }: FlyToml) => ({
  policy: first?.policy === 'never' ? 'no' : (first?.policy ?? 'always'),
  ...(first?.retries === undefined ? {} : { max_retries: first.retries }),
});

/** The part of a machine's configuration that the file defines. The caller adds image, variables and metadata. */
export function machineConfigOf(file: FlyToml) {
  const [metrics] = file.metrics ?? [];
  return {
    services: servicesOf(file),
    guest: file.vm[0],
    restart: restartOf(file),
    stop_config: { signal: file.kill_signal, timeout: file.kill_timeout },
    ...(metrics === undefined ? {} : { metrics }),
  };
}
