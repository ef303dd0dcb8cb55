/**
 * `/v1/apps…` except machines: apps, secrets, IP assignments, network policies, deploy tokens.
 *
 * Special fault of `apps.get`: `no_network` (the app is shown without its network).
 */
import { createHash, randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { apiError, appNotFound, invalidArgument } from './api-error.ts';
import { bodyOf, paramOf, queryOf } from './request.ts';
import type { App } from './state.ts';
import { appView } from './views.ts';

const APP_NAME = /^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$/;
const NETWORK_NAME = /^[a-zA-Z][a-zA-Z0-9-]*$/;

/** From the end of the last machine until a deleted app is unknown. */
const DELETE_MS = 50;

const time = (ms: number) => new Date(ms).toISOString();

export function registerAppRoutes(server: FastifyInstance, deps: ApiDeps): void {
  const { state, door, lifecycle, orgSlug, clock, tokens, latency } = deps;

  /** An app of another organisation answers 403, not 404. */
  function appOf(request: FastifyRequest): App {
    if (state.foreignApps.has(paramOf(request, 'app'))) throw apiError(403, 'forbidden');
    const app = state.apps.get(paramOf(request, 'app'));
    if (!app) throw appNotFound(paramOf(request, 'app'));
    return app;
  }

  const call = (request: FastifyRequest, point: string, limited = false) => ({
    point,
    limitedBy: limited ? paramOf(request, 'app') : undefined,
    attributes: { app: paramOf(request, 'app') },
  });

  function createApp(body: Record<string, unknown>): App {
    const name = body.app_name ?? body.name;
    if (typeof name !== 'string' || !APP_NAME.test(name)) {
      const rule = 'Name may only contain numbers, lowercase letters and dashes and must be under 63 characters';
      throw apiError(422, `Validation failed: ${rule}`);
    }
    if (body.org_slug !== orgSlug && body.org_slug !== 'personal') throw apiError(404, 'organization not found');
    const network = typeof body.network === 'string' && body.network !== '' ? body.network : 'default';
    if (!NETWORK_NAME.test(network)) throw apiError(422, 'Validation failed: Network name is invalid');
    if (state.apps.has(name) || state.foreignApps.has(name))
      throw apiError(422, 'Validation failed: Name has already been taken', 'name_taken');
    return state.addApp(name, network);
  }

  server.post('/v1/apps', (request, reply) => {
    const body = bodyOf(request, 'main.createAppRequest');
    const attributes = { app: String(body.app_name ?? body.name) };
    return door(request, reply, { point: 'apps.create', attributes }, () => {
      const app = createApp(body);
      const cookie = `fly_flaps_affinity=${randomBytes(8).toString('hex')}; Path=/v1/apps/${app.name}`;
      return { status: 201, body: { id: app.id, created_at: app.createdAtMs }, headers: { 'set-cookie': cookie } };
    });
  });

  server.get('/v1/apps', (request, reply) =>
    door(request, reply, { point: 'apps.list' }, () => {
      if (queryOf(request).org_slug === undefined) throw invalidArgument('org_slug is required');
      const apps = [...state.apps.values()].map((app) => appView(app, orgSlug));
      return { status: 200, body: { total_apps: apps.length, apps } };
    }),
  );

  server.get('/v1/apps/:app', (request, reply) =>
    door(request, reply, call(request, 'apps.get'), (special) => {
      const view = appView(appOf(request), orgSlug);
      // The documentation and the OpenAPI file differ: only the list is certain to show the network.
      return { status: 200, body: special?.name === 'no_network' ? { ...view, network: undefined } : view };
    }),
  );

  server.delete('/v1/apps/:app', (request, reply) => {
    const deletion = { point: 'apps.delete', limitedBy: orgSlug, attributes: { app: paramOf(request, 'app') } };
    return door(request, reply, deletion, () => {
      const app = appOf(request);
      if (!app.deleting) void deleteApp(app);
      return { status: 202 };
    });
  });

  /**
   * A deletion is accepted at once and done later. Until then the app exists, with its remaining machines.
   */
  async function deleteApp(app: App): Promise<void> {
    app.deleting = true;
    await Promise.all([...app.live.values()].map((machine) => destroyed(deps, machine.id)));
    await clock.sleep(latency().answerMs() + DELETE_MS);
    state.removeApp(app);
  }

  /** Destroys a machine of an app that is being deleted. */
  async function destroyed({ state: { machines } }: ApiDeps, machineId: string): Promise<void> {
    const machine = machines.get(machineId)!;
    lifecycle.destroy(machine, true);
    if (machine.hostStatus !== 'ok') lifecycle.writeOff(machine);
    await new Promise<void>((resolve) => {
      const look = () => {
        if (machine.state !== 'destroyed') return;
        machine.watchers.delete(look);
        resolve();
      };
      machine.watchers.add(look);
      look();
    });
  }

  server.post('/v1/apps/:app/deploy_token', (request, reply) =>
    door(request, reply, call(request, 'apps.deploy_token'), () => ({
      status: 200,
      body: { token: tokens.mintForApp(appOf(request).name) },
    })),
  );

  registerSecrets();
  registerIps();
  registerPolicies();

  function setSecrets(app: App, values: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(values)) {
      if (value === null) app.secrets.delete(name);
      else if (typeof value !== 'string') throw invalidArgument(`secret ${name}: value must be a string`);
      else {
        const digest = createHash('sha256').update(value).digest('hex').slice(0, 16);
        const createdAtMs = app.secrets.get(name)?.createdAtMs ?? clock.now();
        app.secrets.set(name, { value, digest, createdAtMs, updatedAtMs: clock.now() });
      }
    }
    app.secretsVersion += 1;
  }

  /** A secret's value cannot be read back. */
  function secretView(app: App, name: string) {
    const secret = app.secrets.get(name);
    if (!secret) throw apiError(404, `secret ${name} not found`);
    const { digest, createdAtMs, updatedAtMs } = secret;
    return { name, digest, created_at: time(createdAtMs), updated_at: time(updatedAtMs) };
  }

  function registerSecrets(): void {
    const views = (app: App) => [...app.secrets.keys()].map((name) => secretView(app, name));
    const versions = (app: App) => ({ version: app.secretsVersion, Version: app.secretsVersion });
    const path = '/v1/apps/:app/secrets';
    server.get(path, (request, reply) =>
      door(request, reply, call(request, 'secrets.list'), () => ({
        status: 200,
        body: { secrets: views(appOf(request)) },
      })),
    );
    server.post(path, (request, reply) =>
      door(request, reply, call(request, 'secrets.set'), () => {
        const app = appOf(request);
        setSecrets(app, bodyOf(request, 'main.setSecretsRequest').values as Record<string, unknown>);
        return { status: 200, body: { ...versions(app), secrets: views(app) } };
      }),
    );
    server.get(`${path}/:name`, (request, reply) =>
      door(request, reply, call(request, 'secrets.get'), () => ({
        status: 200,
        body: secretView(appOf(request), paramOf(request, 'name')),
      })),
    );
    server.post(`${path}/:name`, (request, reply) =>
      door(request, reply, call(request, 'secrets.set'), () => {
        const app = appOf(request);
        const name = paramOf(request, 'name');
        setSecrets(app, { [name]: bodyOf(request, 'main.setSecretRequest').value });
        return { status: 201, body: { ...secretView(app, name), ...versions(app) } };
      }),
    );
    server.delete(`${path}/:name`, (request, reply) =>
      door(request, reply, call(request, 'secrets.delete'), () => {
        const app = appOf(request);
        secretView(app, paramOf(request, 'name'));
        setSecrets(app, { [paramOf(request, 'name')]: null });
        return { status: 200, body: versions(app) };
      }),
    );
  }

  function newIp(app: App, body: Record<string, unknown>) {
    const type = String(body.type);
    if (!['v4', 'v6', 'shared_v4', 'private_v6'].includes(type)) throw invalidArgument(`ip type "${type}"`);
    const index = app.ips.length + 1;
    return {
      ip: type.endsWith('v4') ? `198.51.100.${index}` : `${type === 'v6' ? '2001:db8' : 'fdaa:0'}::${index}`,
      region: typeof body.region === 'string' ? body.region : 'global',
      shared: type === 'shared_v4',
      service_name: typeof body.service_name === 'string' ? body.service_name : '',
      created_at: time(clock.now()),
    };
  }

  function registerIps(): void {
    const path = '/v1/apps/:app/ip_assignments';
    server.get(path, (request, reply) =>
      door(request, reply, call(request, 'ips.list'), () => ({ status: 200, body: { ips: appOf(request).ips } })),
    );
    server.post(path, (request, reply) =>
      door(request, reply, call(request, 'ips.assign'), () => {
        const app = appOf(request);
        const assigned = newIp(app, bodyOf(request, 'main.assignIPRequest'));
        app.ips.push(assigned);
        return { status: 200, body: assigned };
      }),
    );
    server.delete(`${path}/:ip`, (request, reply) =>
      door(request, reply, call(request, 'ips.release'), () => {
        const { ips } = appOf(request);
        const index = ips.findIndex(({ ip }) => ip === paramOf(request, 'ip'));
        if (index < 0) throw apiError(404, 'ip not found');
        ips.splice(index, 1);
        return { status: 204 };
      }),
    );
  }

  function registerPolicies(): void {
    const path = '/v1/apps/:app/network_policies';
    server.get(path, (request, reply) =>
      door(request, reply, call(request, 'policies.list'), () => ({
        status: 200,
        body: [...appOf(request).policies.values()],
      })),
    );
    server.post(path, (request, reply) =>
      door(request, reply, call(request, 'policies.set'), () => {
        const app = appOf(request);
        const policy = { id: randomBytes(7).toString('hex'), ...bodyOf(request, 'main.networkPolicy') };
        app.policies.set(policy.id, policy);
        return { status: 200, body: policy };
      }),
    );
    server.delete(`${path}/:id`, (request, reply) =>
      door(request, reply, call(request, 'policies.delete'), () => {
        if (!appOf(request).policies.delete(paramOf(request, 'id'))) throw apiError(404, 'network policy not found');
        return { status: 204 };
      }),
    );
  }
}
