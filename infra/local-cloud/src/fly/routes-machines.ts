/**
 * `/v1/apps/{app}/machines…`.
 *
 * Special faults of `machines.create`: `stuck_in_created` (value: ms, default for ever) · `launch_failed` ·
 * `invisible` (reads answer 404 for `value` ms, default 1,000). Of `machines.list`: `empty_list` ·
 * `partial_list` (without the `value` newest, default 1).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { apiError, invalidArgument } from './api-error.ts';
import type { Answer, Special } from './door.ts';
import type { StopRequest } from './exit-rules.ts';
import { createMachineCalls } from './machine-calls.ts';
import { durationMs, readMachineConfig } from './machine-config.ts';
import { placeMachine } from './placement.ts';
import { bodyOf, flag, one, paramOf, queryOf } from './request.ts';
import type { App, Machine } from './state.ts';
import { latestEvents, renderMachine, summaryView } from './views.ts';
import { readWait, waitForState } from './waits.ts';

const STOP_SIGNALS = new Set(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGTERM']);
const ANY_SIGNALS = new Set([
  ...STOP_SIGNALS,
  ...['SIGABRT', 'SIGALRM', 'SIGFPE', 'SIGILL', 'SIGPIPE', 'SIGSEGV', 'SIGTRAP'],
]);
const MAX_EVENTS = 50;
const DEFAULT_EVENTS = 20;
const ROOT = '/v1/apps/:app/machines';

const ok: Answer = { status: 200, body: { ok: true } };

export function readSignal(value: unknown, allowed: ReadonlySet<string>): NodeJS.Signals | undefined {
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string' && allowed.has(value)) return value as NodeJS.Signals;
  if (value === 9) return 'SIGKILL';
  throw invalidArgument(`invalid signal: ${String(value)}`);
}

export function readStop(fields: Record<string, unknown>): StopRequest {
  const signal = readSignal(fields.signal, STOP_SIGNALS);
  const timeoutMs = durationMs(fields.timeout);
  if (fields.timeout !== undefined && timeoutMs === undefined) {
    throw apiError(400, `time: invalid duration "${String(fields.timeout)}"`);
  }
  return { ...(signal ? { signal } : {}), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** True for the machines that match every given filter. */
function filterOf(query: ReturnType<typeof queryOf>): (machine: Machine) => boolean {
  const states = one(query.state)?.split(',');
  const region = one(query.region);
  const metadata = Object.entries(query)
    .filter(([name]) => name.startsWith('metadata.'))
    .map(([name, value]) => [name.slice('metadata.'.length), one(value)] as const);
  return (machine) =>
    (states === undefined || states.includes(machine.state)) &&
    (region === undefined || region === machine.region) &&
    metadata.every(([name, value]) => machine.config.metadata?.[name] === value);
}

function createFaults(special: Special | undefined) {
  const value = typeof special?.value === 'number' ? special.value : undefined;
  return {
    launch: {
      ...(special?.name === 'stuck_in_created' ? { stuckMs: value ?? Infinity } : {}),
      ...(special?.name === 'launch_failed' ? { launchFails: true } : {}),
    },
    hiddenMs: special?.name === 'invisible' ? (value ?? 1_000) : 0,
  };
}

export function registerMachineRoutes(server: FastifyInstance, deps: ApiDeps): void {
  const { state, door, lifecycle, leases, clock, latency } = deps;
  const { appOf, hidden, onMachine, onOwnMachine } = createMachineCalls(deps);

  registerCreateAndList();
  registerLife();

  function create(app: App, body: Record<string, unknown>, special: Special | undefined): Answer {
    const machine = placeMachine(app, body, deps);
    const fault = createFaults(special);
    if (fault.hiddenMs > 0) machine.hiddenUntilMs = clock.now() + fault.hiddenMs;
    machine.cordoned = body.skip_service_registration === true;
    const ttlS = typeof body.lease_ttl === 'number' && body.lease_ttl > 0 ? body.lease_ttl : undefined;
    const nonce = ttlS === undefined ? undefined : leases.acquire(machine, { ttlS }, undefined).nonce;
    const text = renderMachine(machine);
    lifecycle.launch(machine, { skipLaunch: body.skip_launch === true, ...fault.launch });
    return { status: 200, body: nonce === undefined ? text : `${text.slice(0, -1)},"nonce":${JSON.stringify(nonce)}}` };
  }

  function registerCreateAndList(): void {
    server.post(ROOT, (request, reply) => {
      const appName = paramOf(request, 'app');
      const body = bodyOf(request, 'main.createMachineRequest');
      const attributes = { app: appName, region: String(body.region ?? ''), name: String(body.name ?? '') };
      return door(request, reply, { point: 'machines.create', limitedBy: appName, attributes }, async (special) => {
        const answer = create(appOf(request), body, special);
        await clock.sleep(latency().createAnswerMs());
        return answer;
      });
    });

    server.get(ROOT, (request, reply) => {
      const appName = paramOf(request, 'app');
      const call = { point: 'machines.list', limitedBy: appName, attributes: { app: appName } };
      return door(request, reply, call, (special) => ({ status: 200, body: list(appOf(request), request, special) }));
    });
  }

  /** JSON text, joined from the cached text of each machine (state.ts). */
  function list(app: App, request: FastifyRequest, special: Special | undefined): string {
    if (special?.name === 'empty_list') return '[]';
    const query = queryOf(request);
    const keep = filterOf(query);
    const all = flag(query.include_deleted) ? [...app.live.values(), ...app.gone.values()] : [...app.live.values()];
    let machines = all.filter((machine) => keep(machine) && !hidden(machine));
    if (special?.name === 'partial_list') machines = machines.slice(0, -Number(special.value ?? 1));
    if (flag(query.summary)) return JSON.stringify(machines.map(summaryView));
    return `[${machines.map(renderMachine).join(',')}]`;
  }

  function registerLife(): void {
    const path = `${ROOT}/:id`;
    server.get(
      path,
      onMachine('machines.get', (machine) => ({ status: 200, body: renderMachine(machine) })),
    );
    server.post(path, onOwnMachine('machines.update', update));
    server.delete(
      path,
      onOwnMachine('machines.destroy', (machine, _special, request) => {
        const query = queryOf(request);
        lifecycle.destroy(machine, flag(query.force) || flag(query.kill));
        return ok;
      }),
    );
    server.post(
      `${path}/start`,
      onOwnMachine('machines.start', (machine) => {
        const previous = machine.state;
        lifecycle.start(machine);
        return { status: 200, body: { previous_state: previous, migrated: false, new_host: '' } };
      }),
    );
    server.post(
      `${path}/stop`,
      onOwnMachine('machines.stop', (machine, _special, request) => {
        lifecycle.stop(machine, readStop(bodyOf(request, 'main.stopRequest')));
        return ok;
      }),
    );
    server.post(
      `${path}/restart`,
      onOwnMachine('machines.restart', (machine, _special, request) => {
        lifecycle.restart(machine, readStop(queryOf(request)));
        return ok;
      }),
    );
    server.post(`${path}/signal`, onOwnMachine('machines.signal', signal));
    server.post(
      `${path}/suspend`,
      onOwnMachine('machines.suspend', () => {
        throw apiError(400, 'failed_precondition: machine does not support suspend in the local cloud');
      }),
    );
    server.get(`${path}/wait`, waitRoute);
    server.get(`${path}/events`, onMachine('machines.events', events));
    server.get(
      `${path}/versions`,
      onMachine('machines.versions', (machine) => ({
        status: 200,
        body: [{ version: machine.instanceId, user_config: machine.config }],
      })),
    );
    for (const [verb, cordoned] of [
      ['cordon', true],
      ['uncordon', false],
    ] as const) {
      server.post(
        `${path}/${verb}`,
        onOwnMachine(`machines.${verb}`, (machine) => {
          machine.cordoned = cordoned;
          state.touch(machine);
          return ok;
        }),
      );
    }
  }

  function signal(machine: Machine, _special: Special | undefined, request: FastifyRequest): Answer {
    const wanted = readSignal(bodyOf(request, 'main.signalRequest').signal, ANY_SIGNALS);
    if (!wanted) throw invalidArgument('signal is required');
    lifecycle.signal(machine, wanted);
    return ok;
  }

  function update(machine: Machine, _special: Special | undefined, request: FastifyRequest): Answer {
    const body = bodyOf(request, 'main.updateMachineRequest');
    const current = body.current_version;
    if (typeof current === 'string' && current !== '' && current !== machine.instanceId) {
      throw apiError(409, 'aborted: machine update failed due to concurrent update');
    }
    const config = readMachineConfig(body.config);
    lifecycle.update(machine, config, deps.images.resolve(config.image), body.skip_launch === true);
    return { status: 200, body: renderMachine(machine) };
  }

  function events(machine: Machine, _special: Special | undefined, request: FastifyRequest): Answer {
    const asked = Number(one(queryOf(request).limit) ?? DEFAULT_EVENTS);
    const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, MAX_EVENTS) : DEFAULT_EVENTS;
    return { status: 200, body: latestEvents(machine, limit) };
  }

  function waitRoute(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const abandoned = new AbortController();
    reply.raw.once('close', () => abandoned.abort());
    return onMachine('machines.wait', async (machine) => ({
      status: 200,
      body: await waitForState(machine, readWait(queryOf(request)), clock, abandoned.signal),
    }))(request, reply);
  }
}
