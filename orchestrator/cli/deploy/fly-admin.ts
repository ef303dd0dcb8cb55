import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { z } from 'zod';
import type { Raw } from '../../src/fly/classify.ts';
import { type Call, createSend } from '../../src/fly/send.ts';
import { CliError } from '../console.ts';

/**
 * Requests of a deployment to Fly's Machines API. Every refusal becomes a CliError with Fly's message and request id.
 * Requests are not retried. The operator runs the command again, and every step continues from what exists.
 */
export interface DeployedMachine {
  id: string;
  name: string;
  state: string;
  region: string;
  instance_id: string;
  config: MachineConfig;
  checks: Array<{ name: string; status: string; output?: string | undefined }>;
}

export interface MachineConfig {
  image: string;
  env?: Record<string, string> | undefined;
  metadata?: Record<string, string> | undefined;
  [other: string]: unknown;
}

/** A machine in the list of the organisation's machines. */
export interface ListedMachine {
  id: string;
  app: string;
  image: string;
  region: string;
  metadata: Record<string, string>;
}

export interface Ended {
  exitCode: number | undefined;
  outOfMemory: boolean;
}

const text = z.record(z.string(), z.string());
const machineBody = z.object({
  id: z.string(),
  name: z.string(),
  state: z.string(),
  region: z.string(),
  instance_id: z.string(),
  config: z.looseObject({ image: z.string(), env: text.nullish(), metadata: text.nullish() }),
  checks: z.array(z.object({ name: z.string(), status: z.string(), output: z.string().optional() })).nullish(),
});
const listedBody = z.object({
  machines: z.array(
    z.object({
      id: z.string(),
      app_name: z.string(),
      region: z.string(),
      config: z.object({ image: z.string().optional(), metadata: text.nullish() }).nullish(),
    }),
  ),
  next_cursor: z.string().nullish(),
});
const appBody = z.object({ organization: z.object({ slug: z.string() }) });
const eventsBody = z.array(
  z.object({
    type: z.string(),
    request: z
      .object({
        exit_event: z.object({ exit_code: z.number().optional(), oom_killed: z.boolean().optional() }).optional(),
      })
      .nullish(),
  }),
);

const requestMs = 60_000;
const pollMs = 250;
const restingStates = new Set(['stopped', 'failed', 'destroyed', 'destroying', 'suspended']);

export type FlyAdmin = ReturnType<typeof createFlyAdmin>;

const machineOf = (body: unknown): DeployedMachine => {
  const { checks, config, ...machine } = machineBody.parse(body);
  const { env, metadata, ...rest } = config;
  return { ...machine, config: { ...rest, env: env ?? {}, metadata: metadata ?? {} }, checks: checks ?? [] };
};

/** Fly's error message, without anything that we sent. */
function refusal(what: string, raw: Raw, app: string | undefined): CliError {
  if (raw.status === 0)
    return new CliError('away', 'fly_away', `${what}: Fly's Machines API does not answer (FLY_API_URL).`, {
      cause: 'error' in raw ? raw.error : undefined,
    });
  const { body, requestId } = raw as Extract<Raw, { body: unknown }>;
  const said =
    typeof body === 'object' && body !== null && 'error' in body
      ? String(body.error)
      : String(body ?? '').slice(0, 200);
  const trace = requestId === undefined ? '' : ` (request ${requestId})`;
  if (raw.status === 401)
    return new CliError(
      'notAllowed',
      'fly_token',
      `Fly refuses FLY_API_TOKEN${trace}. Make an organisation token: fly tokens create org --org "$FLY_ORG" --expiry 2160h`,
    );
  if (raw.status === 403)
    return new CliError(
      'notAllowed',
      'fly_token_scope',
      `FLY_API_TOKEN has no right to ${app === undefined ? 'this organisation' : `the app ${app}`}${trace}: ${said}. It must be an organisation token of FLY_ORG, and the app must be yours.`,
    );
  if (/MANIFEST_UNKNOWN|failed to get manifest/i.test(said))
    return new CliError('notFound', 'no_such_image', `${what}: Fly finds no such image. ${said}`);
  return new CliError('failed', 'fly_refuses', `${what}: Fly answered ${raw.status}${trace}: ${said}`);
}

export function createFlyAdmin({ apiUrl, token }: { apiUrl: string; token: string }) {
  const { send, close } = createSend({
    apiUrl,
    token,
    requestMs,
    logger: createLogger({ level: 'silent', component: 'cli' }),
  });
  const pathOf = (app: string, rest = '') => `/apps/${encodeURIComponent(app)}${rest}`;

  async function ask(what: string, call: Call): Promise<unknown> {
    const raw = await send(call);
    if (raw.status < 200 || raw.status >= 300 || !('body' in raw)) throw refusal(what, raw, call.app);
    return raw.body;
  }

  async function get(app: string, id: string): Promise<DeployedMachine | undefined> {
    const raw = await send({ method: 'GET', path: pathOf(app, `/machines/${id}`), app });
    if (raw.status === 404) return undefined;
    if (raw.status !== 200 || !('body' in raw)) throw refusal(`Reading machine ${id}`, raw, app);
    return machineOf(raw.body);
  }

  async function ended(app: string, id: string): Promise<Ended> {
    const raw = await send({ method: 'GET', path: pathOf(app, `/machines/${id}/events`), app });
    const events = 'body' in raw ? (eventsBody.safeParse(raw.body).data ?? []) : [];
    const exit = events.find(({ type }) => type === 'exit')?.request?.exit_event;
    return { exitCode: exit?.exit_code, outOfMemory: exit?.oom_killed ?? false };
  }

  return {
    close,
    /** @returns false if the app does not exist. Throws if it belongs to another organisation. */
    hasApp: async (app: string, org: string): Promise<boolean> => {
      const raw = await send({ method: 'GET', path: pathOf(app), app });
      if (raw.status === 404) return false;
      if (raw.status === 403)
        throw new CliError(
          'notAllowed',
          'app_name_taken',
          `The app ${app} is somebody else's, or FLY_API_TOKEN is not of organisation ${org}. App names are one namespace of all Fly's customers: change "app" in the toml file.`,
        );
      if (raw.status !== 200 || !('body' in raw)) throw refusal(`Reading app ${app}`, raw, app);
      const owner = appBody.safeParse(raw.body).data?.organization.slug;
      if (owner !== undefined && owner !== org)
        throw new CliError(
          'notAllowed',
          'app_of_other_organisation',
          `The app ${app} belongs to organisation ${owner}, not to ${org} (FLY_ORG).`,
        );
      return true;
    },
    createApp: (app: string, org: string) =>
      ask(`Creating app ${app}`, { method: 'POST', path: '/apps', body: { app_name: app, name: app, org_slug: org } }),
    /** Gives a public app addresses: a shared IPv4 and an IPv6 (Fly charges for neither). */
    ensureAddresses: async (app: string): Promise<void> => {
      const found = z
        .object({ ips: z.array(z.unknown()) })
        .parse(await ask('Reading addresses', { method: 'GET', path: pathOf(app, '/ip_assignments'), app }));
      if (found.ips.length > 0) return;
      for (const type of ['shared_v4', 'v6'])
        await ask(`Assigning an address (${type})`, {
          method: 'POST',
          path: pathOf(app, '/ip_assignments'),
          app,
          body: { type },
        });
    },
    /** @returns the minimum version that a machine must start with to have these secrets */
    setSecrets: async (app: string, values: Record<string, string>): Promise<number> => {
      const body = await ask('Setting secrets', {
        method: 'POST',
        path: pathOf(app, '/secrets'),
        app,
        body: { values },
      });
      const { version, Version } = z
        .object({ version: z.number().optional(), Version: z.number().optional() })
        .parse(body);
      return version ?? Version ?? 0;
    },
    machines: async (app: string): Promise<DeployedMachine[]> =>
      z
        .array(z.unknown())
        .parse(await ask(`Listing machines of ${app}`, { method: 'GET', path: pathOf(app, '/machines'), app }))
        .map(machineOf),
    /** Every live machine of the organisation. */
    ofOrganisation: async (org: string): Promise<ListedMachine[]> => {
      const found: ListedMachine[] = [];
      for (let cursor = ''; ; ) {
        const query = cursor === '' ? '' : `?cursor=${encodeURIComponent(cursor)}`;
        const page = listedBody.parse(
          await ask(`Listing machines of ${org}`, {
            method: 'GET',
            path: `/orgs/${encodeURIComponent(org)}/machines${query}`,
          }),
        );
        for (const { id, app_name: app, region, config } of page.machines)
          found.push({ id, app, region, image: config?.image ?? '', metadata: config?.metadata ?? {} });
        if (!page.next_cursor) return found;
        cursor = page.next_cursor;
      }
    },
    get,
    ended,
    create: async (app: string, body: object): Promise<DeployedMachine> =>
      machineOf(await ask('Creating a machine', { method: 'POST', path: pathOf(app, '/machines'), app, body })),
    update: async (app: string, { id, instance_id }: DeployedMachine, body: object): Promise<DeployedMachine> =>
      machineOf(
        await ask(`Updating machine ${id}`, {
          method: 'POST',
          path: pathOf(app, `/machines/${id}`),
          app,
          body: { ...body, current_version: instance_id },
        }),
      ),
    destroy: async (app: string, id: string): Promise<void> => {
      const raw = await send({ method: 'DELETE', path: pathOf(app, `/machines/${id}?force=true`), app });
      if (raw.status !== 404 && (raw.status < 200 || raw.status >= 300))
        throw refusal(`Destroying machine ${id}`, raw, app);
    },
    /** Waits until the machine runs and all its checks pass, until it has ended, or until the limit is over. */
    untilHealthy: async (app: string, id: string, limitMs: number): Promise<'healthy' | 'ended' | string> => {
      const deadlineMs = performance.now() + limitMs;
      for (let seenRunning = false; ; await sleep(pollMs)) {
        const machine = await get(app, id);
        if (machine === undefined || (restingStates.has(machine.state) && (seenRunning || machine.state !== 'stopped')))
          return 'ended';
        seenRunning ||= machine.state === 'started' || machine.state === 'starting';
        if (machine.state === 'started' && machine.checks.every(({ status }) => status === 'passing')) return 'healthy';
        if (machine.state === 'stopped' && (await ended(app, id)).exitCode !== undefined) return 'ended';
        if (performance.now() > deadlineMs)
          return machine.checks.find(({ status }) => status !== 'passing')?.output || `state ${machine.state}`;
      }
    },
    /** Waits until a machine that runs one command has ended. @returns undefined when the limit is over */
    untilEnded: async (app: string, id: string, limitMs: number): Promise<Ended | undefined> => {
      const deadlineMs = performance.now() + limitMs;
      for (; performance.now() < deadlineMs; await sleep(pollMs)) {
        const machine = await get(app, id);
        const end = await ended(app, id);
        if (end.exitCode !== undefined || machine === undefined || machine.state === 'failed') return end;
      }
      return undefined;
    },
  };
}
