/** `GET …/wait`: blocks until a machine has one of the requested states or is gone, or the time is up. */
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { apiError, invalidArgument, machineNotFound } from './api-error.ts';
import { isSettled, type Machine } from './state.ts';

const WAITABLE = new Set(['started', 'stopped', 'suspended', 'destroyed', 'failed', 'settled']);
const MAX_WAIT_MS = 60_000;

export interface WaitRequest {
  states: string[];
  timeoutMs: number;
  version: string | undefined;
  fromEventId: string | undefined;
}

const list = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).flatMap((v) => String(v).split(','));

function readTimeoutMs(value: unknown): number {
  if (value === undefined) return MAX_WAIT_MS;
  const match = /^(\d+(?:\.\d+)?)(s|m|m0s)?$/.exec(String(value));
  const timeoutMs = match ? Number(match[1]) * (match[2]?.startsWith('m') ? 60_000 : 1_000) : Number.NaN;
  if (timeoutMs >= 1_000 && timeoutMs <= MAX_WAIT_MS) return timeoutMs;
  throw invalidArgument('invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]');
}

/** Throws the API's 400. */
export function readWait(query: Record<string, unknown>): WaitRequest {
  const states = list(query.state ?? 'started');
  const unknown = states.find((state) => !WAITABLE.has(state));
  if (unknown !== undefined) throw invalidArgument(`invalid WaitMachineRequest.State: "${unknown}"`);
  const version = query.version ?? query.instance_id;
  return {
    states,
    timeoutMs: readTimeoutMs(query.timeout),
    version: typeof version === 'string' ? version : undefined,
    fromEventId: typeof query.from_event_id === 'string' ? query.from_event_id : undefined,
  };
}

function reached(machine: Machine, request: WaitRequest): boolean {
  if (request.version !== undefined && request.version !== machine.instanceId) return false;
  if (request.fromEventId !== undefined && machine.events[0]?.id === request.fromEventId) return false;
  return request.states.some((state) => (state === 'settled' ? isSettled(machine.state) : state === machine.state));
}

const view = (machine: Machine) => ({
  ok: true,
  state: machine.state,
  version: machine.instanceId,
  event_id: machine.events[0]?.id,
});

/**
 * @param abandoned aborts when the caller has disconnected.
 * Throws 408 when the time is up, and 404 when the machine is destroyed and another state was waited for.
 */
export async function waitForState(machine: Machine, request: WaitRequest, clock: Clock, abandoned: AbortSignal) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (reached(machine, request) || machine.state === 'destroyed' || abandoned.aborted) resolve();
  };
  const timer = clock.setTimer(resolve, request.timeoutMs);
  machine.watchers.add(look);
  abandoned.addEventListener('abort', look, { once: true });
  look();
  try {
    await promise;
  } finally {
    machine.watchers.delete(look);
    timer.cancel();
  }
  if (reached(machine, request)) return view(machine);
  if (machine.state === 'destroyed') throw machineNotFound();
  throw apiError(408, `machine failed to reach desired state, ${request.states.join(',')}, currently ${machine.state}`);
}
