/**
 * The platform's state: apps, machines, their events, leases and indexes.
 *
 * - A machine's state changes only through `move`, which allows what `NEXT` lists and records the event.
 * - A name belongs to at most one live machine of an app. Reaching `destroyed` frees it in the same step.
 * - A destroyed machine stays readable. Above `GONE_KEPT` the oldest ones are dropped.
 * - Rendered JSON is cached until the next change, so that listing 10,000 machines only joins strings.
 * - `byRevision` is ordered by last change: a Map keeps insertion order, and every change inserts again.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newMachineId, ulid } from './ids.ts';
import type { Image } from './images.ts';
import type { MachineConfig } from './machine-config.ts';
import type { RunningGuest } from './runtime.ts';

export type MachineState =
  | 'created'
  | 'starting'
  | 'started'
  | 'stopping'
  | 'stopped'
  | 'restarting'
  | 'replacing'
  | 'failed'
  | 'launch_failed'
  | 'destroying'
  | 'destroyed';

/** The states that may follow each state. */
const NEXT: Readonly<Record<MachineState, readonly MachineState[]>> = {
  created: ['starting', 'stopped', 'replacing', 'launch_failed', 'destroying'],
  starting: ['started', 'stopping', 'stopped', 'replacing', 'failed', 'launch_failed', 'destroying'],
  started: ['stopping', 'stopped', 'restarting', 'replacing', 'starting', 'destroying'],
  stopping: ['stopped', 'destroying'],
  stopped: ['starting', 'replacing', 'destroying'],
  restarting: ['starting', 'stopped', 'destroying'],
  replacing: ['created', 'starting', 'stopped', 'destroying'],
  failed: ['starting', 'replacing', 'destroying'],
  launch_failed: ['destroying'],
  destroying: ['destroyed'],
  destroyed: [],
};

const TRANSIENT: ReadonlySet<MachineState> = new Set([
  'starting',
  'stopping',
  'restarting',
  'replacing',
  'launch_failed',
  'destroying',
]);

/** The last result of one check of a machine. */
export interface CheckState {
  name: string;
  status: 'passing' | 'critical';
  output: string;
  updatedAtMs: number;
}

export interface MachineEvent {
  id: string;
  type: string;
  status: string;
  source: 'user' | 'flyd';
  timestamp: number;
  request: unknown;
}

export interface Lease {
  nonce: string;
  owner: string;
  description: string;
  expiresAtMs: number;
  version: string;
}

export interface App {
  readonly id: string;
  readonly numericId: number;
  readonly name: string;
  readonly network: string;
  readonly createdAtMs: number;
  readonly live: Map<string, Machine>;
  readonly gone: Map<string, Machine>;
  readonly names: Map<string, Machine>;
  readonly secrets: Map<string, { value: string; digest: string; createdAtMs: number; updatedAtMs: number }>;
  secretsVersion: number;
  readonly ips: Array<{ ip: string; region: string; shared: boolean; service_name: string; created_at: string }>;
  readonly policies: Map<string, Record<string, unknown>>;
  /** Its deletion has been accepted and is not finished. */
  deleting: boolean;
}

export interface Machine {
  readonly id: string;
  readonly app: App;
  readonly name: string;
  readonly region: string;
  readonly createdAtMs: number;
  state: MachineState;
  /** The version: a new one for every configuration. */
  instanceId: string;
  config: MachineConfig;
  image: Image;
  /** Loopback address that stands for the machine's own network. */
  address: string;
  updatedAtMs: number;
  readonly events: MachineEvent[];
  lease: Lease | undefined;
  cordoned: boolean;
  hostStatus: 'ok' | 'unreachable';
  /** In `created` and not able to start yet: the image is still being pulled. */
  preparing: boolean;
  everStarted: boolean;
  stoppedAtMs: number | undefined;
  restarts: number;
  guest: RunningGuest | undefined;
  /** Checks of its services, while it runs. */
  checks: CheckState[];
  /** From when the proxies know of its start (monotonic clock). */
  routableAtMs: number;
  /** Cancels the current preparation or boot. */
  boot: AbortController | undefined;
  /** True while a requested stop is in progress. */
  stopRequested: boolean;
  /** Replaces the ordinary ending once the guest has exited (update, restart, migration). */
  afterExit: (() => void) | undefined;
  oomKilled: boolean;
  /** Until then reads answer 404: simulates the platform's eventual consistency. */
  hiddenUntilMs: number;
  rendered: string | undefined;
  readonly watchers: Set<() => void>;
}

const EVENTS_KEPT = 100;
const GONE_KEPT = 20_000;

export type NewMachine = Pick<Machine, 'app' | 'name' | 'region' | 'config' | 'image' | 'address'>;

export interface State {
  readonly apps: Map<string, App>;
  /** App names of other organisations: all customers share one namespace. */
  readonly foreignApps: Set<string>;
  readonly machines: Map<string, Machine>;
  /** Machines by last change. */
  readonly byRevision: Map<string, Machine>;
  addApp(name: string, network: string): App;
  /** Removes an app without machines. */
  removeApp(app: App): void;
  addMachine(fields: NewMachine): Machine;
  /** Throws when `NEXT` does not allow the move. */
  move(machine: Machine, to: MachineState, event?: Pick<MachineEvent, 'type' | 'source'> & { request?: unknown }): void;
  /** Records an event without a change of state. */
  record(machine: Machine, event: Omit<MachineEvent, 'id' | 'timestamp'>): void;
  /** Marks any other change. */
  touch(machine: Machine): void;
  newVersion(machine: Machine, config: MachineConfig, image: Image): void;
  liveIn(region: string): number;
}

export const isSettled = (state: MachineState): boolean => !TRANSIENT.has(state);

export function createState(clock: Clock): State {
  const apps = new Map<string, App>();
  const machines = new Map<string, Machine>();
  const byRevision = new Map<string, Machine>();
  const perRegion = new Map<string, number>();
  const gone: Machine[] = [];
  let appsMade = 0;

  const count = (region: string, by: number) => perRegion.set(region, (perRegion.get(region) ?? 0) + by);

  function forget(machine: Machine): void {
    machines.delete(machine.id);
    byRevision.delete(machine.id);
    machine.app.gone.delete(machine.id);
  }

  function touch(machine: Machine): void {
    machine.rendered = undefined;
    machine.updatedAtMs = clock.now();
    byRevision.delete(machine.id);
    byRevision.set(machine.id, machine);
    for (const watcher of [...machine.watchers]) watcher();
  }

  function record(machine: Machine, event: Omit<MachineEvent, 'id' | 'timestamp'>): void {
    machine.events.unshift({ id: ulid(clock.now()), timestamp: clock.now(), ...event });
    machine.events.length = Math.min(machine.events.length, EVENTS_KEPT);
    touch(machine);
  }

  /** Frees the name of a destroyed machine and keeps the machine readable. */
  function bury(machine: Machine): void {
    if (machine.app.names.get(machine.name) === machine) machine.app.names.delete(machine.name);
    machine.app.live.delete(machine.id);
    machine.app.gone.set(machine.id, machine);
    count(machine.region, -1);
    gone.push(machine);
    if (gone.length > GONE_KEPT) forget(gone.shift()!);
  }

  function addMachine(fields: NewMachine): Machine {
    const nowMs = clock.now();
    const machine: Machine = {
      ...fields,
      id: newMachineId(),
      state: 'created',
      instanceId: ulid(nowMs),
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      events: [],
      lease: undefined,
      cordoned: false,
      hostStatus: 'ok',
      preparing: true,
      everStarted: false,
      stoppedAtMs: undefined,
      restarts: 0,
      guest: undefined,
      checks: [],
      routableAtMs: 0,
      boot: undefined,
      stopRequested: false,
      afterExit: undefined,
      oomKilled: false,
      hiddenUntilMs: 0,
      rendered: undefined,
      watchers: new Set(),
    };
    machines.set(machine.id, machine);
    machine.app.live.set(machine.id, machine);
    machine.app.names.set(machine.name, machine);
    count(machine.region, 1);
    record(machine, { type: 'launch', status: 'created', source: 'user', request: null });
    return machine;
  }

  return {
    apps,
    foreignApps: new Set(),
    machines,
    byRevision,
    touch,
    record,
    addMachine,
    liveIn: (region) => perRegion.get(region) ?? 0,
    addApp: (name, network) => {
      appsMade += 1;
      const app: App = {
        id: `app${ulid(clock.now()).toLowerCase().slice(0, 13)}`,
        numericId: 1_000_000 + appsMade,
        name,
        network,
        createdAtMs: clock.now(),
        live: new Map(),
        gone: new Map(),
        names: new Map(),
        secrets: new Map(),
        secretsVersion: 0,
        ips: [],
        policies: new Map(),
        deleting: false,
      };
      apps.set(name, app);
      return app;
    },
    removeApp: (app) => {
      for (const machine of app.gone.values()) {
        machines.delete(machine.id);
        byRevision.delete(machine.id);
      }
      apps.delete(app.name);
    },
    move: (machine, to, event) => {
      if (!NEXT[machine.state].includes(to)) throw new Error(`machine ${machine.id}: ${machine.state} → ${to}`);
      machine.state = to;
      if (to === 'destroyed') bury(machine);
      if (to === 'stopped' && machine.everStarted) machine.stoppedAtMs = clock.monotonicMs();
      if (event)
        record(machine, { type: event.type, source: event.source, status: to, request: event.request ?? null });
      else touch(machine);
    },
    newVersion: (machine, config, image) => {
      machine.config = config;
      machine.image = image;
      machine.instanceId = ulid(clock.now());
      touch(machine);
    },
  };
}
