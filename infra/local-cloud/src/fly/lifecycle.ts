/**
 * The life of a machine between the API and its guest: preparing, booting, stopping, replacing, ending.
 *
 * - One boot at a time: any other operation on a machine aborts its current boot (`machine.boot`).
 * - After each wait the state is checked again. An aborted boot ends without touching the machine, and the
 *   exit of a guest that no longer belongs to the machine is ignored.
 * - Every exit is recorded first. Then the restart policy and `auto_destroy` are applied, in this order.
 * - A machine created with `skip_launch` is `stopped` once it is prepared, which flyctl's release machines
 *   wait for, or stays `created`, which others have seen (`resting`). It has not run, so `auto_destroy` does
 *   not apply to it.
 * - While its host is lost, the platform learns nothing about a machine: the exit of its guest and a destroy
 *   through the API take effect when the host is back.
 */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Faults } from '../faults.ts';
import { apiError, failedPrecondition } from './api-error.ts';
import type { Checks } from './checks.ts';
import { exitRequest, type StopRequest, shouldRestart, stopPlan } from './exit-rules.ts';
import type { GuestHost } from './guest-host.ts';
import type { Image } from './images.ts';
import type { Latency } from './latency.ts';
import type { MachineConfig } from './machine-config.ts';
import type { GuestExit, RunningGuest } from './runtime.ts';
import type { Machine, State } from './state.ts';

export interface LifecycleDeps {
  state: State;
  clock: Clock;
  faults: Faults;
  guests: GuestHost;
  checks: Checks;
  latency: () => Latency;
  /** The state of a prepared machine that was created with `skip_launch`. */
  resting: () => 'created' | 'stopped';
  newAddress: () => string;
}

export interface LaunchOptions {
  skipLaunch: boolean;
  /** Fault: stays in `created` for this long, or for ever. */
  stuckMs?: number;
  /** Fault: the boot fails. */
  launchFails?: boolean;
}

export interface Lifecycle {
  /** Prepares a new machine, then boots it unless `skipLaunch`. */
  launch(machine: Machine, options: LaunchOptions): void;
  /** Throws 412 when the state does not allow it. Does nothing for a started machine. */
  start(machine: Machine): void;
  stop(machine: Machine, request: StopRequest): void;
  restart(machine: Machine, request: StopRequest): void;
  signal(machine: Machine, signal: NodeJS.Signals): void;
  /** Throws 412 when the machine runs and `force` is false. */
  destroy(machine: Machine, force: boolean): void;
  update(machine: Machine, config: MachineConfig, image: Image, skipLaunch: boolean): void;
  /**
   * Sends the stop signal, then starts the same machine at another address. Resolves when it has started
   * again.
   */
  migrate(machine: Machine): Promise<void>;
  loseHost(machine: Machine): void;
  /** The host answers again: what happened or was requested meanwhile takes effect now. */
  restoreHost(machine: Machine): void;
  /** The platform gives up the host: the machine is destroyed, whatever its guest was doing. */
  writeOff(machine: Machine): void;
}

const RESTART_DELAY_MS = 1_000;

const STARTABLE = new Set(['created', 'stopped', 'failed']);
const DESTROYABLE = new Set(['created', 'stopped', 'failed']);

export function createLifecycle(deps: LifecycleDeps): Lifecycle {
  const { state, clock, faults, guests, checks, latency, resting, newAddress } = deps;
  const exitsUnseen = new Map<Machine, GuestExit>();
  const destroysWaiting = new Set<Machine>();

  /** Replaces the current operation. An abort ends the steps silently; any other error is a defect. */
  function sequence(machine: Machine, steps: (signal: AbortSignal) => Promise<void>): void {
    machine.boot?.abort();
    const controller = new AbortController();
    machine.boot = controller;
    steps(controller.signal)
      .finally(() => {
        if (machine.boot === controller) machine.boot = undefined;
      })
      .catch((error: unknown) => {
        if (!controller.signal.aborted) failBoot(machine, error);
      });
  }

  /** `failed` is a final state of the real platform too; the event contains the reason. */
  function failBoot(machine: Machine, error: unknown): void {
    if (machine.state !== 'starting') throw error;
    const request = { error: error instanceof Error ? error.message : String(error) };
    state.move(machine, 'failed', { type: 'start', source: 'flyd', request });
  }

  function cancelBoot(machine: Machine): void {
    machine.boot?.abort();
    machine.boot = undefined;
  }

  const never = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

  async function prepare(machine: Machine, options: LaunchOptions, signal: AbortSignal): Promise<void> {
    if (options.stuckMs === Infinity) await never(signal);
    await clock.sleep(latency().prepareMs() + (options.stuckMs ?? 0), signal);
    machine.preparing = false;
    state.touch(machine);
  }

  async function boot(machine: Machine, bootMs: number, signal: AbortSignal, fails = false): Promise<void> {
    state.move(machine, 'starting', { type: 'start', source: 'flyd' });
    const fault = faults.take('machines.boot', { app: machine.app.name, region: machine.region, name: machine.name });
    const extraMs = fault?.kind === 'delay' ? fault.delayMs : 0;
    await clock.sleep(bootMs + extraMs, signal);
    if (fault?.kind === 'hang') await never(signal);
    if (fails || fault?.kind === 'special') return failLaunch(machine);
    await run(machine, signal);
  }

  async function run(machine: Machine, signal: AbortSignal): Promise<void> {
    const guest = await guests.start(machine);
    if (signal.aborted) return discard(machine, guest);
    machine.guest = guest;
    machine.everStarted = true;
    machine.stopRequested = false;
    machine.oomKilled = false;
    state.move(machine, 'started', { type: 'start', source: 'flyd' });
    checks.begin(machine);
    void guest.exited.then((exit) => {
      if (machine.guest === guest) onExit(machine, exit);
    });
  }

  function discard(machine: Machine, guest: RunningGuest): void {
    guest.kill();
    if (!machine.boot) guests.ended(machine);
  }

  function failLaunch(machine: Machine): void {
    state.move(machine, 'launch_failed', { type: 'launch', source: 'flyd' });
    finishDestroy(machine);
  }

  /** Records the exit and applies what follows from it, unless the host is lost. */
  function onExit(machine: Machine, exit: GuestExit): void {
    if (machine.hostStatus !== 'ok') return void exitsUnseen.set(machine, exit);
    machine.guest = undefined;
    guests.ended(machine);
    checks.end(machine);
    const afterExit = machine.afterExit;
    machine.afterExit = undefined;
    const restarting = afterExit === undefined && shouldRestart(machine, exit);
    const request = exitRequest(machine, exit, restarting, clock.now());
    state.record(machine, { type: 'exit', status: restarting ? 'starting' : 'stopped', source: 'flyd', request });
    if (machine.state === 'destroying') {
      finishDestroy(machine);
      return;
    }
    if (afterExit) {
      afterExit();
      return;
    }
    if (restarting) {
      again(machine);
      return;
    }
    state.move(machine, 'stopped');
    if (machine.config.auto_destroy === true) finishDestroy(machine);
  }

  function again(machine: Machine): void {
    machine.restarts += 1;
    const delayMs = latency().name === 'zero' ? 0 : RESTART_DELAY_MS;
    sequence(machine, (signal) => boot(machine, delayMs, signal));
  }

  function finishDestroy(machine: Machine): void {
    if (machine.state !== 'destroying') state.move(machine, 'destroying', { type: 'destroy', source: 'flyd' });
    cancelBoot(machine);
    const finish = () => {
      // Two operations may destroy the same machine (a destroy call and the stand-in's own stop).
      if (machine.state === 'destroying') state.move(machine, 'destroyed', { type: 'destroy', source: 'flyd' });
    };
    const waitMs = latency().destroyMs();
    if (waitMs === 0) finish();
    else clock.setTimer(finish, waitMs);
  }

  /** Sends the signal now and SIGKILL after the timeout. The caller sets `afterExit` for what follows. */
  function endGuest(machine: Machine, request: StopRequest): void {
    const guest = machine.guest;
    if (!guest) return;
    machine.stopRequested = true;
    const { signal, timeoutMs } = stopPlan(machine.config, request);
    guest.signal(signal);
    const timer = clock.setTimer(() => guest.kill(), timeoutMs);
    void guest.exited.then(() => timer.cancel());
  }

  function replaceGuest(machine: Machine, request: StopRequest, next: () => void): void {
    machine.afterExit = next;
    endGuest(machine, request);
  }

  function bootSoon(machine: Machine): void {
    const firstStart = !machine.everStarted;
    sequence(machine, (signal) => boot(machine, firstStart ? latency().firstStartMs() : latency().bootMs(), signal));
  }

  function refuseStart(machine: Machine): void {
    if (!STARTABLE.has(machine.state) || machine.preparing) {
      throw failedPrecondition(`unable to start machine from current state: '${machine.state}'`);
    }
    const stoppedForMs = clock.monotonicMs() - (machine.stoppedAtMs ?? -Infinity);
    if (stoppedForMs < latency().stillActiveMs()) {
      throw failedPrecondition('machine still active, refusing to start');
    }
  }

  function stopBeforeGuest(machine: Machine): void {
    cancelBoot(machine);
    machine.stopRequested = true;
    state.move(machine, 'stopped', { type: 'stop', source: 'user' });
    if (machine.config.auto_destroy === true) finishDestroy(machine);
  }

  function requireHost(machine: Machine): void {
    if (machine.hostStatus !== 'ok') throw apiError(503, "unavailable: the machine's host is unreachable");
  }

  function stop(machine: Machine, request: StopRequest): void {
    requireHost(machine);
    if (machine.state === 'stopping') {
      endGuest(machine, request);
      return;
    }
    if (machine.state === 'started' && machine.guest) {
      state.move(machine, 'stopping', { type: 'stop', source: 'user' });
      endGuest(machine, request);
      return;
    }
    if (machine.state === 'starting') {
      stopBeforeGuest(machine);
      return;
    }
    if (machine.state === 'created') throw failedPrecondition("unable to stop machine from current state: 'created'");
  }

  function destroy(machine: Machine, force: boolean): void {
    if (machine.state === 'destroyed' || machine.state === 'destroying') return;
    if (!force && !DESTROYABLE.has(machine.state)) {
      throw failedPrecondition('unable to destroy machine, not currently stopped or suspended');
    }
    state.move(machine, 'destroying', { type: 'destroy', source: 'user' });
    if (machine.hostStatus !== 'ok') return void destroysWaiting.add(machine);
    machine.afterExit = undefined;
    machine.stopRequested = true;
    cancelBoot(machine);
    if (machine.guest) machine.guest.kill();
    else finishDestroy(machine);
  }

  function refuseUpdate(machine: Machine): void {
    if (['stopping', 'restarting', 'replacing'].includes(machine.state)) {
      throw apiError(409, 'aborted: machine update failed due to concurrent update');
    }
    if (machine.preparing || !['created', 'starting', 'started', 'stopped', 'failed'].includes(machine.state)) {
      throw failedPrecondition(`unable to update machine from current state: '${machine.state}'`);
    }
  }

  function update(machine: Machine, config: MachineConfig, image: Image, skipLaunch: boolean): void {
    requireHost(machine);
    refuseUpdate(machine);
    const wasRunning = machine.state === 'started' || machine.state === 'starting';
    const resting = machine.state === 'created' ? 'created' : 'stopped';
    cancelBoot(machine);
    state.move(machine, 'replacing', { type: 'update', source: 'user' });
    const next = () => {
      state.newVersion(machine, config, image);
      if (wasRunning && !skipLaunch) bootSoon(machine);
      else state.move(machine, resting, { type: 'update', source: 'flyd' });
    };
    if (machine.guest) replaceGuest(machine, {}, next);
    else next();
  }

  function migrate(machine: Machine): Promise<void> {
    if (!machine.guest) throw new Error(`machine ${machine.id} is ${machine.state}: nothing to migrate`);
    return new Promise((resolve) => {
      state.move(machine, 'replacing', { type: 'migrate', source: 'flyd' });
      const watch = () => {
        if (machine.state === 'started' || machine.state === 'destroyed') {
          machine.watchers.delete(watch);
          resolve();
        }
      };
      machine.watchers.add(watch);
      replaceGuest(machine, {}, () => {
        machine.address = newAddress();
        bootSoon(machine);
      });
    });
  }

  function restoreHost(machine: Machine): void {
    machine.hostStatus = 'ok';
    state.touch(machine);
    const exit = exitsUnseen.get(machine);
    exitsUnseen.delete(machine);
    if (exit) onExit(machine, exit);
    if (destroysWaiting.delete(machine) && machine.state === 'destroying') {
      machine.stopRequested = true;
      if (machine.guest) machine.guest.kill();
      else finishDestroy(machine);
    }
  }

  function writeOff(machine: Machine): void {
    exitsUnseen.delete(machine);
    destroysWaiting.delete(machine);
    machine.guest?.kill();
    machine.guest = undefined;
    guests.ended(machine);
    checks.end(machine);
    if (machine.state !== 'destroyed') finishDestroy(machine);
  }

  return {
    writeOff,
    stop,
    destroy,
    update,
    migrate,
    restoreHost,
    launch: (machine, options) =>
      sequence(machine, async (signal) => {
        await prepare(machine, options, signal);
        if (!options.skipLaunch) await boot(machine, latency().bootMs(), signal, options.launchFails);
        else if (resting() === 'stopped') state.move(machine, 'stopped', { type: 'launch', source: 'flyd' });
      }),
    start: (machine) => {
      if (machine.state === 'started' || machine.state === 'starting') return;
      requireHost(machine);
      refuseStart(machine);
      bootSoon(machine);
    },
    restart: (machine, request) => {
      if (!machine.guest || machine.state !== 'started') {
        throw failedPrecondition(`unable to restart machine from current state: '${machine.state}'`);
      }
      state.move(machine, 'restarting', { type: 'restart', source: 'user' });
      replaceGuest(machine, request, () => bootSoon(machine));
    },
    signal: (machine, signal) => {
      if (!machine.guest) throw failedPrecondition('machine is not running');
      machine.guest.signal(signal);
    },
    loseHost: (machine) => {
      machine.hostStatus = 'unreachable';
      cancelBoot(machine);
      state.touch(machine);
    },
  };
}
