/**
 * Where the proxy can send a request: the instances of the public app, or the machine that a replay names.
 *
 * - A machine is a target only through a service with the public port; this proxy's port counts as 443.
 * - A cordoned machine is never a target. A machine that is named but not started stays a target, because it
 *   may start.
 * - A machine accepts a connection only when the proxies know that it has started, every check of the service
 *   passes, and it is below the service's hard limit.
 * - The instances of the public app are the given base URLs and its machines.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { isApiError } from './api-error.ts';
import { serviceForPort } from './machine-config.ts';
import type { Replay } from './replay-header.ts';
import type { App, Machine, State } from './state.ts';

export interface TargetsDeps {
  state: State;
  publicApp: string;
  orchestrators: () => string[];
  edgeRegion: string;
  startMachine: (machine: Machine) => void;
  crossNetwork: () => boolean;
  clock: Pick<Clock, 'monotonicMs'>;
  /** Number of the proxy's open connections to a machine. */
  connections: (machineId: string) => number;
}

/** Where a request can be sent: an instance of the public app, or a machine. */
export interface Target {
  instance: string;
  region: string;
  network: string;
  app: string;
  host: string;
  port: number;
  machine: Machine | undefined;
}

export interface Targets {
  /** The instances of the public app, starting with the next one each time. */
  originsInTurn(): Target[];
  /** The targets of a replay from `source`, best first. */
  ofReplay(replay: Replay, source: Target): Target[] | 'unknown_app' | 'unauthorized';
  /**
   * Whether a machine can accept a connection now. A stopped one with `autostart` is started for the next
   * try.
   */
  connectable(machine: Machine): boolean;
}

const PUBLIC_PORT = 443;

/** An id in the format of a machine id, for an instance that is not a machine. */
export const instanceIdOf = (url: string): string => createHash('sha256').update(url).digest('hex').slice(0, 14);

export function createTargets(deps: TargetsDeps): Targets {
  const { state, publicApp } = deps;
  let turn = 0;

  const publicNetwork = () => state.apps.get(publicApp)?.network ?? 'default';

  function originTarget(url: string): Target {
    const { hostname, port } = new URL(url);
    return {
      instance: instanceIdOf(url),
      region: deps.edgeRegion,
      network: publicNetwork(),
      app: publicApp,
      host: hostname,
      port: Number(port || 80),
      machine: undefined,
    };
  }

  /** The machine as a target; undefined when it has no service with the public port. */
  function machineTarget(machine: Machine): Target | undefined {
    const service = serviceForPort(machine.config, PUBLIC_PORT);
    if (!service) return undefined;
    return {
      instance: machine.id,
      region: machine.region,
      network: machine.app.network,
      app: machine.app.name,
      host: machine.address,
      port: service.internal_port,
      machine,
    };
  }

  /** Base URLs and machines of the public app, starting with the next one each time. */
  function originsInTurn(): Target[] {
    const machines = [...(state.apps.get(publicApp)?.live.values() ?? [])];
    const deployed = machines
      .filter((machine) => routable(machine) && connectable(machine))
      .flatMap((m) => machineTarget(m) ?? []);
    const origins = [...deps.orchestrators().map(originTarget), ...deployed];
    turn += 1;
    return origins.map((_, index) => origins[(index + turn) % origins.length]!);
  }

  const routable = (machine: Machine) =>
    !machine.cordoned && machine.hostStatus === 'ok' && machine.state !== 'destroying' && machine.state !== 'destroyed';

  /** The machines that could take a replay, best first. */
  function candidates(app: App, replay: Replay, source: Target): Machine[] {
    const named = replay.instance ?? replay.preferInstance;
    if (replay.instance !== undefined) {
      const machine = app.live.get(replay.instance);
      return machine && !machine.cordoned ? [machine] : [];
    }
    const all = [...app.live.values()].filter((machine) => routable(machine) && machine.state === 'started');
    const rank = (machine: Machine) =>
      (machine.id === named ? -100 : 0) + ((replay.regions.indexOf(machine.region) + 100) % 100);
    const free = replay.regions.length === 0 || replay.regions.includes('any');
    return all
      .filter((machine) => free || replay.regions.includes(machine.region) || machine.id === named)
      .filter((machine) => !(replay.elsewhere && machine.id === source.instance))
      .sort((a, b) => rank(a) - rank(b));
  }

  function ofReplay(replay: Replay, source: Target): Target[] | 'unknown_app' | 'unauthorized' {
    const appName = replay.app ?? source.app;
    if (appName === publicApp) {
      return originsInTurn().filter(
        ({ instance }) =>
          !(replay.elsewhere && instance === source.instance) && (replay.instance ?? instance) === instance,
      );
    }
    const app = state.apps.get(appName);
    if (!app) return 'unknown_app';
    if (app.network !== source.network && !deps.crossNetwork()) return 'unauthorized';
    return candidates(app, replay, source).flatMap((machine) => machineTarget(machine) ?? []);
  }

  /** A refusal ("machine still active") is normal: the replay's next try starts the machine again. */
  function tryStart(machine: Machine): void {
    try {
      deps.startMachine(machine);
    } catch (error) {
      if (!isApiError(error)) throw error;
    }
  }

  function connectable(machine: Machine): boolean {
    const service = serviceForPort(machine.config, PUBLIC_PORT);
    if (machine.state === 'stopped' && service?.autostart === true) tryStart(machine);
    if (machine.state !== 'started' || machine.hostStatus !== 'ok') return false;
    const isKnown = deps.clock.monotonicMs() >= machine.routableAtMs;
    const hardLimit = service?.concurrency?.hard_limit || Number.POSITIVE_INFINITY;
    const passes = machine.checks.every(({ status }) => status === 'passing');
    return isKnown && passes && deps.connections(machine.id) < hardLimit;
  }

  return { originsInTurn, ofReplay, connectable };
}
