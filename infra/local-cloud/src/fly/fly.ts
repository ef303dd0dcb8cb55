/**
 * Fly on one computer: the Machines API, machines that are real processes, their identity, and the proxy.
 *
 * - Everything listens on loopback. Each machine has its own address (addresses.ts), as a VM has.
 * - `stop` ends every machine and removes everything. If this process is killed, its machines end with it.
 */
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Clock, systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createShutdown, shutdownError } from '@greenroom/shared/runtime/shutdown.ts';
import { createFaults, type Faults } from '../faults.ts';
import { systemPath } from '../process.ts';
import { startRegistry } from '../registry/registry.ts';
import { reserveAddresses } from './addresses.ts';
import { type CapacityRow, createCapacity } from './capacity.ts';
import { createChecks } from './checks.ts';
import { createDoor } from './door.ts';
import { createGuestHost } from './guest-host.ts';
import { createIdentitySockets } from './identity-sockets.ts';
import { createImages, type ImageDefinition } from './images.ts';
import { createLatency, type LatencyName } from './latency.ts';
import { createLeases } from './leases.ts';
import { createLifecycle } from './lifecycle.ts';
import { createLimits } from './limits.ts';
import { createMachinesApi } from './machines-api.ts';
import { createOidc } from './oidc.ts';
import { type ProxyStats, type ProxyTls, startProxy } from './proxy.ts';
import { createState, type Machine, type MachineState } from './state.ts';
import { createTokens, type TokenFacts } from './tokens.ts';

export type { CapacityRow } from './capacity.ts';
export type { ImageDefinition } from './images.ts';
export type { LatencyName } from './latency.ts';
export type { InProcessGuest } from './runtime.ts';

export interface FlyOptions {
  /** Folder for the machines' API sockets; created when missing. */
  dir: string;
  /** The organisation's token. Every call needs it as `Bearer` or `FlyV1`. */
  token: string;
  /** Default `local`. */
  orgSlug?: string;
  /** The organisation's name in identity tokens. Default the slug; a personal organisation has another one. */
  orgName?: string;
  images?: Record<string, ImageDefinition>;
  /** Default `zero`. */
  latency?: LatencyName;
  /**
   * State of a machine that was created with `skip_launch` and is prepared. Default `stopped`, as flyctl
   * expects.
   */
  resting?: 'created' | 'stopped';
  /** The documented rate limits. Default true. */
  limits?: boolean;
  /** Extra environment of every machine; a machine's own `env` overrides it. */
  machineEnv?: Record<string, string>;
  /** The public app behind the proxy; created at the start. Default `{ name: 'greenroom-orchestrator', network: 'default' }`. */
  publicApp?: { name: string; network: string };
  /** Base URLs of the public app's instances. Default none. */
  orchestrators?: () => string[];
  /** Region of the API's and the proxy's edge. Default `fra`. */
  homeRegion?: string;
  /**
   * Whether the proxy removes `fly-replay-src` and `fly-replay-failed` from outside requests. Default false.
   */
  stripReplayHeaders?: boolean;
  /** Default 0: any free port. */
  registryPort?: number;
  apiPort?: number;
  proxyPort?: number;
  /** Key and certificate of the proxy. Default: it speaks http. */
  proxyTls?: ProxyTls;
  /** PATH of the machines. Default the system's. */
  path?: string;
  /** Receives each line that a machine writes. */
  log?: (line: string, machineId: string) => void;
  clock?: Clock;
  /** Random numbers in [0, 1); pass a seeded source to replay a campaign. */
  random?: () => number;
}

export interface MachineSnapshot {
  id: string;
  app: string;
  name: string;
  state: MachineState;
  region: string;
  address: string;
  instanceId: string;
  hostStatus: 'ok' | 'unreachable';
  /** Undefined for an in-process machine or one that is not running. */
  pid: number | undefined;
  metadata: Record<string, string>;
  createdAtMs: number;
}

export interface LoseHostOptions {
  /** What happens to the VM of the lost host. Default `kill`; `freeze` suspends it; `keep` lets it run. */
  process?: 'kill' | 'freeze' | 'keep';
  /** After this time the platform gives up the host and the machine is `destroyed`. Default never. */
  destroyedAfterMs?: number;
}

export interface LocalFly {
  /** Base URL, without `/v1`. */
  readonly apiUrl: string;
  readonly proxyUrl: string;
  /**
   * `127.0.0.1:PORT`: the registry that images are pushed to (with the organisation's token) and pulled from.
   */
  readonly registryHost: string;
  readonly faults: Faults;
  oidcIssuer(orgSlug?: string): string;
  registerImage(reference: string, definition: ImageDefinition): void;
  /** Live machines, with destroyed ones on request. */
  machines(options?: { includeDestroyed?: boolean }): MachineSnapshot[];
  machineLogs(machineId: string): string[];
  /**
   * @param signal `OOM` sends SIGKILL, and the exit event reports out of memory. Throws when the machine does
   * not run.
   */
  killMachineProcess(machineId: string, signal?: NodeJS.Signals | 'OOM'): void;
  loseHost(machineId: string, options?: LoseHostOptions): void;
  /**
   * The lost host answers again: a frozen VM continues, and a destroy that was requested meanwhile is done.
   */
  restoreHost(machineId: string): void;
  /**
   * Sends the stop signal, then starts the same machine at another address. Resolves when it has started
   * again.
   */
  migrateMachine(machineId: string): Promise<void>;
  crossNetworkReplay: { enable(): void; disable(): void };
  /** @param limit live machines allowed. @param row the refusal to answer, default `no_host`. */
  setCapacity(region: string, limit: number | 'none' | 'unlimited', row?: CapacityRow): void;
  setLatency(profile: LatencyName): void;
  setLimits(enabled: boolean): void;
  /** The organisation's token becomes another one with the same text. */
  changeToken(facts: Partial<TokenFacts>): void;
  /** The name of the organisation in identity tokens and in the path of their issuer, from now on. */
  renameOrganisation(name: string): void;
  /** Another organisation creates an app with this name. */
  takeAppName(name: string): void;
  /** Applies to machines created from now on. */
  setResting(state: 'created' | 'stopped'): void;
  /** Cuts open WebSockets in the proxy: all, or those to one machine. @returns the number of cut ones. */
  cutConnections(machineId?: string): number;
  readonly proxyStats: Readonly<ProxyStats>;
  health(): { ok: boolean; machines: number; started: number };
  /** Runs all phases; throws an AggregateError when one failed. */
  stop(): Promise<void>;
}

const view = (machine: Machine): MachineSnapshot => ({
  id: machine.id,
  app: machine.app.name,
  name: machine.name,
  state: machine.state,
  region: machine.region,
  address: machine.address,
  instanceId: machine.instanceId,
  hostStatus: machine.hostStatus,
  pid: machine.guest?.pid,
  metadata: machine.config.metadata ?? {},
  createdAtMs: machine.createdAtMs,
});

const DEFAULT_PUBLIC_APP = { name: 'greenroom-orchestrator', network: 'default' };

export async function startFly(options: FlyOptions): Promise<LocalFly> {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const orgSlug = options.orgSlug ?? 'local';
  const homeRegion = options.homeRegion ?? 'fra';
  const publicApp = options.publicApp ?? DEFAULT_PUBLIC_APP;
  await mkdir(options.dir, { recursive: true });

  const faults = createFaults(random);
  const state = createState(clock);
  const registry = await startRegistry({
    dir: join(options.dir, 'registry'),
    token: options.token,
    port: options.registryPort ?? 0,
    knows: (repository) => state.apps.has(repository),
  });
  const images = createImages(registry);
  const capacity = createCapacity(state.liveIn, orgSlug);
  const limits = createLimits(clock, options.limits ?? true);
  const addresses = await reserveAddresses(random);
  let resting = options.resting ?? 'stopped';
  let latency = createLatency(options.latency ?? 'zero', random);
  for (const [reference, definition] of Object.entries(options.images ?? {})) images.register(reference, definition);
  state.addApp(publicApp.name, publicApp.network);

  // The API serves the issuer, and its port is known only once it listens.
  let apiUrl = '';
  const issuerOf = (org: string) => `${apiUrl}/oidc/${org}`;
  let orgName = options.orgName ?? orgSlug;
  const oidc = await createOidc({ issuer: () => issuerOf(orgName), orgName: () => orgName, clock });
  const tokens = createTokens(options.token, orgSlug, clock);
  const sockets = await createIdentitySockets({ oidc, faults, clock, dir: options.dir });
  const guests = createGuestHost({
    sockets,
    path: options.path ?? systemPath,
    machineEnv: options.machineEnv ?? {},
    treesDir: join(options.dir, 'images'),
    log: options.log ?? (() => undefined),
  });
  const lifecycle = createLifecycle({
    state,
    clock,
    faults,
    guests,
    checks: createChecks({ clock, routeMs: () => latency.routeMs(), touch: state.touch }),
    latency: () => latency,
    resting: () => resting,
    newAddress: addresses.next,
  });
  const machines = ({ includeDestroyed = false } = {}) =>
    [...state.machines.values()].filter((m) => includeDestroyed || m.state !== 'destroyed').map(view);
  const api = createMachinesApi({
    state,
    clock,
    faults,
    door: createDoor({ limits, faults, clock }),
    lifecycle,
    leases: createLeases(state, clock),
    images,
    capacity,
    latency: () => latency,
    oidc,
    tokens,
    orgSlug,
    organisation: () => ({ name: orgName, crossNetworkReplay: proxy.crossNetworkReplay }),
    homeRegion,
    newAddress: addresses.next,
    snapshot: machines,
  });
  await api.listen({ host: '127.0.0.1', port: options.apiPort ?? 0 });
  apiUrl = `http://127.0.0.1:${(api.server.address() as AddressInfo).port}`;
  const proxy = await startProxy({
    state,
    clock,
    faults,
    publicApp: publicApp.name,
    orchestrators: options.orchestrators ?? (() => []),
    edgeRegion: homeRegion,
    stripReplayHeaders: options.stripReplayHeaders ?? false,
    port: options.proxyPort ?? 0,
    tls: options.proxyTls,
    startMachine: lifecycle.start,
  });

  function machine(machineId: string): Machine {
    const found = state.machines.get(machineId);
    if (!found) throw new Error(`no machine ${machineId}`);
    return found;
  }

  function killMachineProcess(machineId: string, signal: NodeJS.Signals | 'OOM' = 'SIGKILL'): void {
    const found = machine(machineId);
    if (!found.guest) throw new Error(`machine ${machineId} is ${found.state}: no process`);
    found.oomKilled = signal === 'OOM';
    if (signal === 'OOM' || signal === 'SIGKILL') found.guest.kill();
    else found.guest.signal(signal);
  }

  function loseHost(machineId: string, { process = 'kill', destroyedAfterMs }: LoseHostOptions = {}): void {
    const found = machine(machineId);
    lifecycle.loseHost(found);
    if (process === 'kill') found.guest?.kill();
    if (process === 'freeze') found.guest?.signal('SIGSTOP');
    if (destroyedAfterMs !== undefined) clock.setTimer(() => lifecycle.writeOff(found), destroyedAfterMs);
  }

  async function endMachines(): Promise<void> {
    const running = [...state.machines.values()].filter((found) => found.state !== 'destroyed');
    const guestsGone = running.flatMap((found) => found.guest?.exited ?? []);
    for (const found of running) lifecycle.writeOff(found);
    await Promise.all(guestsGone);
  }

  const shutdown = createShutdown([
    { name: 'proxy', limitMs: 5_000, run: () => proxy.stop() },
    { name: 'api', limitMs: 5_000, run: () => api.close() },
    { name: 'machines', limitMs: 10_000, run: endMachines },
    { name: 'registry', limitMs: 2_000, run: () => registry.stop() },
    { name: 'sockets', limitMs: 5_000, run: () => sockets.stop() },
    { name: 'addresses', limitMs: 1_000, run: () => addresses.release() },
  ]);

  return {
    apiUrl,
    proxyUrl: proxy.url,
    registryHost: registry.host,
    faults,
    machines,
    killMachineProcess,
    loseHost,
    oidcIssuer: (org = orgName) => issuerOf(org),
    registerImage: images.register,
    machineLogs: guests.logsOf,
    restoreHost: (machineId) => {
      const found = machine(machineId);
      found.guest?.signal('SIGCONT');
      lifecycle.restoreHost(found);
    },
    migrateMachine: (machineId) => lifecycle.migrate(machine(machineId)),
    crossNetworkReplay: {
      enable: () => proxy.allowCrossNetworkReplay(true),
      disable: () => proxy.allowCrossNetworkReplay(false),
    },
    setCapacity: capacity.set,
    setLatency: (profile) => {
      latency = createLatency(profile, random);
    },
    setLimits: limits.enable,
    changeToken: tokens.change,
    renameOrganisation: (name) => {
      orgName = name;
    },
    takeAppName: (name) => void state.foreignApps.add(name),
    setResting: (next) => {
      resting = next;
    },
    cutConnections: proxy.cut,
    proxyStats: proxy.stats,
    health: () => {
      const live = machines();
      return {
        ok: api.server.listening,
        machines: live.length,
        started: live.filter((m) => m.state === 'started').length,
      };
    },
    stop: async () => {
      const error = shutdownError(await shutdown.run());
      if (error) throw error;
    },
  };
}
