import { durationMs, type MachineConfig } from './machine-config.ts';
import type { GuestExit } from './runtime.ts';
import type { Machine } from './state.ts';

/** Pure rules for stopping a guest and for what its exit means, as the platform documents them. */
export interface StopRequest {
  signal?: NodeJS.Signals;
  timeoutMs?: number;
}

const DEFAULT_STOP_TIMEOUT_MS = 5_000;
const MAX_STOP_TIMEOUT_MS = 300_000;
const DEFAULT_MAX_RETRIES = 10;

/**
 * The stop signal and the time until SIGKILL. The request takes precedence over the machine's configuration.
 */
export function stopPlan(config: MachineConfig, request: StopRequest) {
  const configured = durationMs(config.stop_config?.timeout);
  return {
    signal: request.signal ?? (config.stop_config?.signal as NodeJS.Signals | undefined) ?? 'SIGINT',
    timeoutMs: Math.min(request.timeoutMs ?? configured ?? DEFAULT_STOP_TIMEOUT_MS, MAX_STOP_TIMEOUT_MS),
  };
}

/** The `request` field of an exit event, in the platform's format. */
export function exitRequest(machine: Machine, exit: GuestExit, restarting: boolean, nowMs: number) {
  return {
    exit_event: {
      exit_code: exit.exitCode,
      guest_exit_code: exit.exitCode,
      guest_signal: exit.signal,
      guest_error: '',
      signal: -1,
      error: '',
      oom_killed: machine.oomKilled,
      requested_stop: machine.stopRequested,
      restarting,
      exited_at: new Date(nowMs).toISOString(),
    },
    restart_count: machine.restarts,
  };
}

/** Whether the restart policy restarts the machine after this exit. A requested stop is never restarted. */
export function shouldRestart(machine: Machine, exit: GuestExit): boolean {
  if (machine.stopRequested || machine.state === 'destroying') return false;
  const policy = machine.config.restart?.policy ?? 'on-failure';
  if (policy === 'no' || (policy === 'on-failure' && exit.exitCode === 0)) return false;
  return policy === 'always' || machine.restarts < (machine.config.restart?.max_retries ?? DEFAULT_MAX_RETRIES);
}
