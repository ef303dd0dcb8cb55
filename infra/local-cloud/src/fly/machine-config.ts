/**
 * The `config` of a machine: what the platform refuses, and what it silently drops.
 *
 * Unknown field names are ignored, as a Go struct ignores them: a misspelt option has no effect here either.
 */
import { invalidArgument } from './api-error.ts';

export interface Guest {
  cpu_kind: string;
  cpus: number;
  memory_mb: number;
}

export interface ServicePort {
  port?: number;
  start_port?: number;
  end_port?: number;
  handlers?: string[];
}

export interface ServiceCheck {
  type: 'http' | 'tcp';
  port?: number;
  method?: string;
  path?: string;
  interval?: string | number;
  timeout?: string | number;
  grace_period?: string | number;
}

export interface Service {
  protocol: string;
  internal_port: number;
  ports?: ServicePort[];
  autostart?: boolean;
  concurrency?: { type?: string; soft_limit?: number; hard_limit?: number };
  checks?: ServiceCheck[];
  [other: string]: unknown;
}

export interface MachineConfig {
  image: string;
  env?: Record<string, string>;
  metadata?: Record<string, string>;
  auto_destroy?: boolean;
  restart?: { policy?: string; max_retries?: number };
  guest?: Guest;
  services?: Service[];
  stop_config?: { signal?: string; timeout?: string | number };
  init?: { exec?: string[]; entrypoint?: string[]; cmd?: string[] };
  [other: string]: unknown;
}

const CONFIG_FIELDS = new Set(
  (
    'image env metadata auto_destroy restart guest services stop_config init checks files processes containers volumes ' +
    'mounts statics metrics dns schedule standbys size rootfs cache_drive spot disable_machine_autostart'
  ).split(' '),
);
const SERVICE_FIELDS = new Set(
  (
    'protocol internal_port ports concurrency autostart autostop min_machines_running checks force_instance_key ' +
    'force_instance_description'
  ).split(' '),
);
const CPUS: Readonly<Record<string, { counts: number[]; minMbPerCpu: number; maxMbPerCpu: number }>> = {
  shared: { counts: [1, 2, 4, 6, 8], minMbPerCpu: 256, maxMbPerCpu: 2_048 },
  performance: { counts: [1, 2, 4, 6, 8, 10, 12, 14, 16], minMbPerCpu: 2_048, maxMbPerCpu: 8_192 },
};
const RESTART_POLICIES = new Set(['no', 'always', 'on-failure', 'spot-price']);
const PROTOCOLS = new Set(['tcp', 'udp']);
const HANDLERS = new Set(['http', 'tls', 'pg_tls', 'proxy_proto', 'edge_http']);
const DEFAULT_GUEST: Guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 256 };

const only = (value: object, fields: Set<string>) =>
  Object.fromEntries(Object.entries(value).filter(([name]) => fields.has(name)));

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @returns the configuration that the platform keeps. Throws the API's 400 for what it refuses. */
export function readMachineConfig(input: unknown): MachineConfig {
  if (!isRecord(input)) throw invalidArgument('config is required');
  if (typeof input.image !== 'string' || input.image === '') throw invalidArgument('config.image is required');
  const config = only(input, CONFIG_FIELDS) as MachineConfig;
  if (config.env !== undefined) checkEnv(config.env);
  checkStrings('metadata', config.metadata);
  checkRestart(config.restart);
  config.guest = readGuest(config.guest);
  if (config.services !== undefined) config.services = readServices(config.services);
  return config;
}

function checkStrings(field: string, value: unknown): void {
  if (value === undefined || value === null) return;
  if (!isRecord(value)) throw invalidArgument(`json: cannot unmarshal config.${field}`);
  for (const item of Object.values(value)) {
    if (typeof item === 'string') continue;
    const kind = typeof item === 'boolean' ? 'bool' : typeof item;
    throw invalidArgument(
      `json: cannot unmarshal ${kind} into Go struct field MachineConfig.config.${field} of type string`,
    );
  }
}

function checkEnv(env: unknown): void {
  checkStrings('env', env);
  const reserved = Object.keys(env as object).find((name) => name.startsWith('FLY_'));
  if (reserved !== undefined) throw invalidArgument(`environment variable ${reserved}: names must not start with FLY_`);
}

function checkRestart(restart: MachineConfig['restart']): void {
  if (restart?.policy !== undefined && !RESTART_POLICIES.has(restart.policy)) {
    throw invalidArgument(`invalid restart policy "${restart.policy}"`);
  }
}

function readGuest(input: Partial<Guest> | undefined): Guest {
  const guest = { ...DEFAULT_GUEST, ...input };
  const rule = CPUS[guest.cpu_kind];
  if (!rule) throw invalidArgument(`config.guest.cpu_kind: "${guest.cpu_kind}" is not one of shared, performance`);
  if (!rule.counts.includes(guest.cpus)) {
    throw invalidArgument(`config.guest.cpus: ${guest.cpus} is not valid for ${guest.cpu_kind}`);
  }
  if (input?.memory_mb === undefined) guest.memory_mb = rule.minMbPerCpu * guest.cpus;
  const [minMb, maxMb] = [rule.minMbPerCpu * guest.cpus, rule.maxMbPerCpu * guest.cpus];
  if (guest.memory_mb % 256 !== 0) throw invalidArgument('config.guest.memory_mb: must be a multiple of 256');
  if (guest.memory_mb < minMb || guest.memory_mb > maxMb) {
    throw invalidArgument(
      `config.guest.memory_mb: ${guest.memory_mb} is outside ${minMb}..${maxMb} for ${guest.cpu_kind}-${guest.cpus}x`,
    );
  }
  return guest;
}

function readServices(input: unknown): Service[] {
  if (!Array.isArray(input)) throw invalidArgument('json: cannot unmarshal config.services');
  return input.map((item: unknown) => {
    if (!isRecord(item) || !Number.isInteger(item.internal_port)) {
      throw invalidArgument('config.services: internal_port is required');
    }
    const service = only(item, SERVICE_FIELDS) as Service;
    checkService(service);
    // The API returns `autostop` in its older form.
    if (service.autostop === 'off') service.autostop = false;
    if (service.autostop === 'stop') service.autostop = true;
    return service;
  });
}

const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;

function checkService({ protocol, ports = [], concurrency, checks = [] }: Service): void {
  if (!PROTOCOLS.has(protocol)) throw invalidArgument(`config.services: protocol "${protocol}"`);
  for (const port of ports) checkPort(port);
  if (concurrency) {
    const { type = 'connections', soft_limit = 0, hard_limit = 0 } = concurrency;
    if (type !== 'connections' && type !== 'requests')
      throw invalidArgument(`config.services: concurrency type "${type}"`);
    if (!isCount(soft_limit) || !isCount(hard_limit)) throw invalidArgument('config.services: concurrency limits');
  }
  for (const check of checks) checkCheck(check);
}

function checkPort({ port, start_port, end_port, handlers = [] }: ServicePort): void {
  if (![port, start_port, end_port].every((one) => one === undefined || (isCount(one) && one <= 65_535)))
    throw invalidArgument('config.services: ports');
  if (!Array.isArray(handlers)) throw invalidArgument('json: cannot unmarshal config.services.ports.handlers');
  const unknown = handlers.find((name) => !HANDLERS.has(name));
  if (unknown !== undefined) throw invalidArgument(`config.services: unknown handler "${unknown}"`);
}

function checkCheck({ type, interval, timeout, grace_period }: ServiceCheck): void {
  if (type !== 'http' && type !== 'tcp') throw invalidArgument(`config.services: check type "${type}"`);
  const broken = [interval, timeout, grace_period].find(
    (value) => value !== undefined && durationMs(value) === undefined,
  );
  if (broken !== undefined) throw invalidArgument(`time: invalid duration "${String(broken)}"`);
}

/**
 * Parses a Go duration (`"90s"`, `"1m30s"`, `"500ms"`) or a number of seconds. @returns undefined when
 * invalid.
 */
export function durationMs(value: unknown): number | undefined {
  if (typeof value === 'number') return value * 1_000;
  if (typeof value !== 'string' || value === '') return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1_000;
  const unitMs: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  if (!/^(\d+(\.\d+)?(ms|h|m|s))+$/.test(value)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) {
    totalMs += Number(amount) * (unitMs[unit as string] ?? 0);
  }
  return totalMs;
}

/** The service with this public port, if any. */
export function serviceForPort(config: MachineConfig, publicPort: number): Service | undefined {
  const covers = (port: ServicePort) =>
    port.port === publicPort ||
    (port.start_port !== undefined &&
      port.start_port <= publicPort &&
      publicPort <= (port.end_port ?? port.start_port));
  return config.services?.find((service) => service.protocol !== 'udp' && service.ports?.some(covers));
}
