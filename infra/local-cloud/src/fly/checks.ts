/**
 * Service checks, as the platform runs them: while a check fails, the proxy does not route to the machine.
 *
 * - A check is `critical` from the start of the machine until its first success. The first request is sent
 *   after the grace period, then one per interval. A failing check affects only routing; it never restarts a
 *   machine.
 * - `http` passes with a 2xx within the timeout, `tcp` with a connection.
 * - The proxies learn of a machine's start `routeMs` later than the API.
 */
import { connect } from 'node:net';
import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import { durationMs, type MachineConfig, type ServiceCheck } from './machine-config.ts';
import type { CheckState, Machine } from './state.ts';

export interface Checks {
  /** The machine's guest has just started. */
  begin(machine: Machine): void;
  /** The machine's guest has ended. */
  end(machine: Machine): void;
}

export interface ChecksDeps {
  clock: Clock;
  /** How much later than the API the proxies learn of a start. */
  routeMs: () => number;
  /** Marks the machine as changed. */
  touch: (machine: Machine) => void;
}

const DEFAULT_INTERVAL_MS = 15_000;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_GRACE_MS = 10_000;

interface Planned extends ServiceCheck {
  name: string;
  port: number;
}

/** Named as on the platform: `servicecheck-00-http-8080`. */
const plannedOf = (config: MachineConfig): Planned[] =>
  (config.services ?? []).flatMap(({ internal_port, checks = [] }, service) =>
    checks.map((check) => {
      const port = check.port ?? internal_port;
      return { ...check, port, name: `servicecheck-${String(service).padStart(2, '0')}-${check.type}-${port}` };
    }),
  );

async function httpPasses(url: string, method: string, timeoutMs: number): Promise<string | undefined> {
  const answer = await fetch(url, { method, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
  await answer.body?.cancel();
  return answer.ok ? undefined : `HTTP ${answer.status}`;
}

const tcpPasses = (host: string, port: number, timeoutMs: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (why: string | undefined) => {
      socket.destroy();
      resolve(why);
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () => end('timeout'));
    socket.once('error', ({ message }) => end(message));
  });

export function createChecks({ clock, routeMs, touch }: ChecksDeps): Checks {
  const timers = new Map<Machine, Set<Timer>>();

  /** @returns why the check fails, or undefined when it passes. */
  const probe = ({ type, port, path = '/', method = 'GET', timeout }: Planned, { address }: Machine) => {
    const timeoutMs = durationMs(timeout) ?? DEFAULT_TIMEOUT_MS;
    return type === 'tcp'
      ? tcpPasses(address, port, timeoutMs)
      : httpPasses(`http://${address}:${port}${path}`, method, timeoutMs).catch((error: Error) => error.message);
  };

  function end(machine: Machine): void {
    for (const timer of timers.get(machine) ?? []) timer.cancel();
    timers.delete(machine);
    machine.checks = [];
  }

  /** Repeats one check for as long as this guest lives. */
  function schedule(machine: Machine, check: Planned, state: CheckState): void {
    const guest = machine.guest;
    const mine = timers.get(machine) as Set<Timer>;
    const after = (ms: number) => {
      const timer = clock.setTimer(() => {
        mine.delete(timer);
        void look();
      }, ms);
      mine.add(timer);
    };
    const look = async () => {
      const why = await probe(check, machine);
      if (machine.guest !== guest || !machine.checks.includes(state)) return;
      const status = why === undefined ? 'passing' : 'critical';
      if (status !== state.status) Object.assign(state, { status, updatedAtMs: clock.now() });
      state.output = why ?? 'ok';
      touch(machine);
      after(durationMs(check.interval) ?? DEFAULT_INTERVAL_MS);
    };
    after(durationMs(check.grace_period) ?? DEFAULT_GRACE_MS);
  }

  return {
    end,
    begin: (machine) => {
      end(machine);
      machine.routableAtMs = clock.monotonicMs() + routeMs();
      timers.set(machine, new Set());
      for (const check of plannedOf(machine.config)) {
        const state: CheckState = {
          name: check.name,
          status: 'critical',
          output: 'waiting for status update',
          updatedAtMs: clock.now(),
        };
        machine.checks.push(state);
        schedule(machine, check, state);
      }
      touch(machine);
    },
  };
}
