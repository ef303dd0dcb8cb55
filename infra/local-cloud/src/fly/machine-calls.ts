/** Calls about one machine: finds it, limits the rate by its id, checks its lease. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { apiError, appNotFound, machineNotFound } from './api-error.ts';
import type { Answer, Special } from './door.ts';
import { one, paramOf } from './request.ts';
import type { App, Machine } from './state.ts';

export type MachineWork = (
  machine: Machine,
  special: Special | undefined,
  request: FastifyRequest,
) => Answer | Promise<Answer>;

export const nonceOf = (request: FastifyRequest) => one(request.headers['fly-machine-lease-nonce']);

/** Each group of routes creates its own; it holds no state. */
export function createMachineCalls({ state, door, leases, clock, latency }: ApiDeps) {
  function appOf(request: FastifyRequest): App {
    if (state.foreignApps.has(paramOf(request, 'app'))) throw apiError(403, 'forbidden');
    const app = state.apps.get(paramOf(request, 'app'));
    if (!app) throw appNotFound(paramOf(request, 'app'));
    return app;
  }
  function machineOf(request: FastifyRequest): Machine {
    const machine = state.machines.get(paramOf(request, 'id'));
    if (!machine || machine.app.name !== paramOf(request, 'app')) throw machineNotFound();
    if (hidden(machine)) throw machineNotFound();
    return machine;
  }
  const hidden = (machine: Machine) => machine.hiddenUntilMs > clock.now();

  /** A call about one machine, with the rate limited by its id. */
  const onMachine = (point: string, work: MachineWork) => (request: FastifyRequest, reply: FastifyReply) => {
    const id = paramOf(request, 'id');
    const region = state.machines.get(id)?.region ?? '';
    const attributes = { app: paramOf(request, 'app'), machine: id, region };
    return door(request, reply, { point, limitedBy: id, attributes }, (special) =>
      work(machineOf(request), special, request),
    );
  };
  /**
   * The same for a call that changes the machine: it needs the lease if there is one, and has the platform's
   * latency.
   */
  const onOwnMachine = (point: string, work: MachineWork) =>
    onMachine(point, async (machine, special, request) => {
      leases.check(machine, nonceOf(request));
      const answer = await work(machine, special, request);
      await clock.sleep(latency().answerMs());
      return answer;
    });

  return { appOf, hidden, onMachine, onOwnMachine };
}
