/** `…/machines/{id}/lease` and `…/metadata`: data of a machine that does not concern its guest. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { apiError, invalidArgument } from './api-error.ts';
import type { Answer } from './door.ts';
import { leaseView } from './leases.ts';
import { createMachineCalls, nonceOf } from './machine-calls.ts';
import { bodyOf, paramOf } from './request.ts';
import type { Machine } from './state.ts';

const ROOT = '/v1/apps/:app/machines';

export function registerMachineDataRoutes(server: FastifyInstance, deps: ApiDeps): void {
  const { state, leases } = deps;
  const { onMachine, onOwnMachine } = createMachineCalls(deps);

  registerLeases();
  registerMetadata();

  function registerLeases(): void {
    const path = `${ROOT}/:id/lease`;
    const answer = (status: number, data: unknown): Answer => ({ status, body: { status: 'success', data } });
    server.get(
      path,
      onMachine('machines.lease', (machine) => {
        const lease = leases.current(machine);
        if (!lease) throw apiError(404, 'lease not found');
        return answer(200, { ...leaseView(lease), nonce: undefined });
      }),
    );
    server.post(
      path,
      onMachine('machines.lease', (machine, _special, request) => {
        const { ttl, description } = bodyOf(request, 'main.leaseRequest');
        const wanted = {
          ...(typeof ttl === 'number' ? { ttlS: ttl } : {}),
          ...(typeof description === 'string' ? { description } : {}),
        };
        return answer(201, leaseView(leases.acquire(machine, wanted, nonceOf(request))));
      }),
    );
    server.delete(
      path,
      onMachine('machines.lease', (machine, _special, request) => {
        leases.release(machine, nonceOf(request));
        return { status: 200, body: { ok: true, status: 'success' } };
      }),
    );
  }

  /** Metadata does not make a new version: the configuration is replaced and the instance id stays. */
  function writeMetadata(machine: Machine, metadata: Record<string, string>): Answer {
    machine.config = { ...machine.config, metadata };
    state.touch(machine);
    return { status: 204 };
  }

  function readMetadata(machine: Machine, request: FastifyRequest): Record<string, string | null> {
    const body = bodyOf(request, 'main.updateMetadataRequest');
    const { machine_version: version, metadata } = body;
    if (typeof version === 'string' && version !== '' && version !== machine.instanceId) {
      throw apiError(412, `failed_precondition: machine version ${version} is not current`);
    }
    if (typeof metadata !== 'object' || metadata === null) throw invalidArgument('metadata is required');
    if (Object.values(metadata).some((value) => value !== null && typeof value !== 'string')) {
      throw invalidArgument('metadata values must be strings');
    }
    return metadata as Record<string, string | null>;
  }

  const withoutNulls = (metadata: Record<string, string | null>): Record<string, string> =>
    Object.fromEntries(Object.entries(metadata).filter((entry): entry is [string, string] => entry[1] !== null));

  function registerMetadata(): void {
    const path = `${ROOT}/:id/metadata`;
    const current = (machine: Machine) => machine.config.metadata ?? {};
    server.get(
      path,
      onMachine('machines.metadata', (machine) => ({ status: 200, body: current(machine) })),
    );
    server.put(
      path,
      onOwnMachine('machines.metadata.write', (machine, _special, request) =>
        writeMetadata(machine, withoutNulls(readMetadata(machine, request))),
      ),
    );
    server.patch(
      path,
      onOwnMachine('machines.metadata.write', (machine, _special, request) =>
        writeMetadata(machine, withoutNulls({ ...current(machine), ...readMetadata(machine, request) })),
      ),
    );
    server.get(
      `${path}/:key`,
      onMachine('machines.metadata', (machine, _special, request) => {
        const value = current(machine)[paramOf(request, 'key')];
        if (value === undefined) throw apiError(404, 'metadata key not found');
        return { status: 200, body: { value } };
      }),
    );
    server.post(
      `${path}/:key`,
      onOwnMachine('machines.metadata.write', (machine, _special, request) => {
        const { value } = bodyOf(request, 'main.upsertMetadataKeyRequest');
        if (typeof value !== 'string') throw invalidArgument('value is required');
        return writeMetadata(machine, { ...current(machine), [paramOf(request, 'key')]: value });
      }),
    );
    server.delete(
      `${path}/:key`,
      onOwnMachine('machines.metadata.write', (machine, _special, request) => {
        const { [paramOf(request, 'key')]: _removed, ...rest } = current(machine);
        return writeMetadata(machine, rest);
      }),
    );
  }
}
