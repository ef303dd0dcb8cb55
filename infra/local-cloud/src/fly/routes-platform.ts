/**
 * Routes that are not about one app: regions, placement dry-runs, the organisation's machines, tokens, the
 * identity provider, and the local controls under `/_local` (faults and a snapshot for other processes,
 * without a token).
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { FaultRule } from '../faults.ts';
import type { ApiDeps } from './api-deps.ts';
import { apiError, invalidArgument } from './api-error.ts';
import { CAPACITY_ERRORS } from './capacity.ts';
import { readRegions } from './placement.ts';
import { regionRows } from './regions.ts';
import { bodyOf, flag, one, paramOf, queryOf } from './request.ts';
import type { Machine } from './state.ts';
import { orgMachineView } from './views.ts';

const MAX_PAGE = 1_000;
/** The organisation's limit per region when no capacity was set. */
const ORG_LIMIT_PER_REGION = 1_000;

export function registerPlatformRoutes(server: FastifyInstance, deps: ApiDeps): void {
  const { state, door, capacity, oidc, tokens, orgSlug, homeRegion, faults } = deps;

  server.get('/v1/platform/regions', (request, reply) =>
    door(request, reply, { point: 'platform.regions' }, () => ({
      status: 200,
      body: { nearest: homeRegion, regions: regionRows() },
    })),
  );

  function dryRun(body: Record<string, unknown>) {
    if (body.org_slug !== orgSlug && body.org_slug !== 'personal') throw apiError(404, 'organization not found');
    const count = typeof body.count === 'number' ? body.count : 0;
    const room = readRegions(body.region, homeRegion)
      .map((region) => ({ region, left: Math.min(capacity.left(region), ORG_LIMIT_PER_REGION) }))
      .filter(({ left }) => left > 0);
    let wanted = count === 0 ? Infinity : count;
    const regions = room.flatMap(({ region, left }) => {
      const here = count === 0 ? left : Math.min(left, wanted);
      wanted -= here;
      return here > 0 ? [{ region, count: here, concurrency: left }] : [];
    });
    if (regions.length === 0) throw CAPACITY_ERRORS.no_host();
    return { regions };
  }

  server.post('/v1/platform/placements', (request, reply) => {
    const body = bodyOf(request, 'main.getPlacementsRequest');
    return door(request, reply, { point: 'platform.placements' }, () => ({ status: 200, body: dryRun(body) }));
  });

  server.get('/v1/tokens/current', (request, reply) =>
    door(request, reply, { point: 'tokens.current' }, () => ({
      status: 200,
      body: { tokens: [tokens.describe(request.headers.authorization)] },
    })),
  );

  server.post('/v1/tokens/authenticate', (request, reply) =>
    door(request, reply, { point: 'tokens.authenticate' }, () => {
      const { header } = bodyOf(request, 'authenticateTokenRequest');
      return { status: 200, body: [{ header, caveats: tokens.caveats(String(header)) }] };
    }),
  );

  registerGraphql();
  registerOrgList();
  registerIdentityProvider();
  registerLocalControls();

  /** One page, ordered by last change. The cursor contains the last machine's revision time and id. */
  function page(query: ReturnType<typeof queryOf>) {
    const asked = Number(one(query.limit) ?? MAX_PAGE);
    if (!Number.isInteger(asked) || asked < 1) throw invalidArgument('limit');
    const limit = Math.min(asked, MAX_PAGE);
    const cursor = one(query.cursor);
    const after = cursor === undefined ? updatedAfter(one(query.updated_after)) : afterCursor(cursor);
    const states = one(query.state)?.split(',');
    const region = one(query.region);
    const keep = (machine: Machine) =>
      (flag(query.include_deleted) || machine.state !== 'destroyed') &&
      (states === undefined || states.includes(machine.state)) &&
      (region === undefined || region === machine.region);
    const found: Machine[] = [];
    for (const machine of state.byRevision.values()) {
      if (!after(machine) || !keep(machine)) continue;
      if (found.length === limit) return { found, more: true };
      found.push(machine);
    }
    return { found, more: false };
  }

  function updatedAfter(text: string | undefined): (machine: Machine) => boolean {
    if (text === undefined) return () => true;
    const atMs = Date.parse(text);
    if (Number.isNaN(atMs)) throw invalidArgument('updated_after must be in RFC 3339 format');
    return (machine) => machine.updatedAtMs > atMs;
  }

  /** A machine that changed after the cursor is returned again later, so none is missed. */
  function afterCursor(cursor: string): (machine: Machine) => boolean {
    const [ms, id] = Buffer.from(cursor, 'base64url').toString().split(' ');
    let passed = state.machines.get(id ?? '')?.updatedAtMs !== Number(ms);
    return (machine) => {
      if (machine.updatedAtMs < Number(ms)) return false;
      if (passed) return true;
      passed = machine.id === id;
      return false;
    };
  }

  function registerOrgList(): void {
    server.get('/v1/orgs/:org/machines', (request, reply) =>
      door(request, reply, { point: 'orgs.machines', limitedBy: paramOf(request, 'org') }, (special) => {
        if (paramOf(request, 'org') !== orgSlug) throw apiError(404, 'organization not found');
        const query = queryOf(request);
        const { found, more } = special?.name === 'empty_list' ? { found: [], more: false } : page(query);
        const last = found.at(-1);
        const next = last && more ? Buffer.from(`${last.updatedAtMs} ${last.id}`).toString('base64url') : '';
        const machines = found.map((machine) => orgMachineView(machine, flag(query.summary)));
        return {
          status: 200,
          body: {
            machines,
            next_cursor: next,
            last_machine_id: last?.id ?? '',
            last_updated_at: last ? new Date(last.updatedAtMs).toISOString() : '',
            error_regions: [],
          },
        };
      }),
    );
  }

  /** The GraphQL API's one question: an organisation and its settings. An unknown one is null with an error, as there. */
  function registerGraphql(): void {
    server.post('/graphql', (request, reply) =>
      door(request, reply, { point: 'graphql' }, () => {
        if (tokens.refuse(request.headers.authorization, undefined) !== undefined)
          return { status: 401, body: { errors: [{ message: 'You must be authenticated to view this.' }] } };
        const { variables } = bodyOf(request, 'GraphQL');
        const { slug } = (variables ?? {}) as { slug?: unknown };
        const { name, crossNetworkReplay } = deps.organisation();
        if (slug !== orgSlug && slug !== name) {
          const error = { message: 'Could not find Organization', path: ['organization'] };
          return { status: 200, body: { data: { organization: null }, errors: [error] } };
        }
        const organization = {
          id: 'local',
          slug: orgSlug,
          rawSlug: name,
          allowAllCrossNetworkReplays: crossNetworkReplay,
        };
        return { status: 200, body: { data: { organization } } };
      }),
    );
  }

  function registerIdentityProvider(): void {
    const own = (request: FastifyRequest): void => {
      if (paramOf(request, 'org') !== deps.organisation().name) throw apiError(404, 'organization not found');
    };
    const root = '/oidc/:org/.well-known';
    server.get(`${root}/openid-configuration`, (request, reply) =>
      door(request, reply, { point: 'oidc.discovery' }, () => {
        own(request);
        return { status: 200, body: oidc.discovery() };
      }),
    );
    server.get(`${root}/jwks`, (request, reply) =>
      door(request, reply, { point: 'oidc.jwks' }, () => {
        own(request);
        return { status: 200, body: oidc.jwks() };
      }),
    );
  }

  function registerLocalControls(): void {
    server.post('/_local/faults', (request, reply) => {
      // JSON has no Infinity: `times: null` means until cleared.
      const rule = bodyOf(request, 'FaultRule') as unknown as FaultRule & { times?: number | null };
      if (typeof rule.on !== 'string' || typeof rule.action?.kind !== 'string')
        throw invalidArgument('not a fault rule');
      faults.add({ ...rule, times: rule.times === null ? Infinity : (rule.times ?? 1) });
      return reply.code(201).send({ ok: true });
    });
    server.delete('/_local/faults', (request, reply) => {
      faults.clear(one(queryOf(request).on));
      return reply.code(204).send();
    });
    server.get('/_local/machines', (_request, reply) => reply.send(deps.snapshot()));
  }
}
