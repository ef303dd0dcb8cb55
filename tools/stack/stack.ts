import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type LocalCloud, type LocalCloudOptions, startLocalCloud } from '@greenroom/local-cloud/cloud.ts';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { publicPart } from '@greenroom/local-cloud/supabase/tokens.ts';
import { stop as stopBuilder } from 'esbuild';
import { buildClient } from '../../client/build.ts';
import { createRegistryClient } from '../../orchestrator/cli/deploy/registry.ts';
import { buildDashboard } from '../../orchestrator/dashboard/build.ts';
import { buildWorker } from '../../session-worker/build.ts';
import { rehearse } from '../../session-worker/rehearse.ts';
import { serveFunction } from './edge-functions.ts';
import { readKept, writeKept } from './kept-state.ts';
import { type DeploymentKeys, makeDeploymentKeys } from './keys.ts';
import { type OrchestratorProcess, startOrchestrator } from './orchestrator-process.ts';
import { createFlyApp, type SeededTenant, seedTenant, tenantByApi } from './seed.ts';

/**
 * The product on the local cloud. `npm start`, `npm run demo`, the integration tests, the benchmarks and the chaos campaign
 * use it. The product's processes are real; they get the cloud's addresses from their environment only.
 */
export interface StackOptions {
  /** State folder. Default: a temporary one that is removed at the end. */
  dir?: string;
  /** Use the database, keys and demo tenant that an earlier start left in `dir`. Default: true if `dir` is given. */
  keep?: boolean;
  /** How many orchestrators. Default 1. */
  orchestrators?: number;
  /** Variables that override those of the orchestrators (deadlines, for example). */
  environment?: Record<string, string>;
  /** Variables of the workers, beside those that Fly and the product set. Default: none. */
  workerEnvironment?: Record<string, string>;
  /** What Node is told before the worker's file. Default: nothing. */
  workerArguments?: string[];
  flyLimits?: boolean;
  flyLatency?: LocalCloudOptions['flyLatency'];
  voice?: LocalCloudOptions['voice'];
  /** Serve the Edge Function `interview-transcript` in its own Deno process. Default false. */
  transcriptUploads?: boolean;
  /** Serve the operators' API and the dashboard at a port of each orchestrator's own. Default false. */
  dashboard?: boolean;
  /** Port of the public address. Default: any free one. */
  publicPort?: number;
  /** Key and certificate of the public address. Whoever calls it must trust the certificate. Default: it is http. */
  publicTls?: LocalCloudOptions['publicTls'];
  /** API key of the demo tenant. Default: a new one, or that of an earlier start. */
  apiKey?: string;
  /** Run workers from this image's own file tree: folder of an OCI layout. Default: from the working tree. */
  workerImage?: string;
  /** Variables of services that are real instead of simulated. Their tenant is made through the API, not in the database. */
  real?: { variables: Record<string, string>; operatorToken?: string };
  /** Receives each log line of each process. */
  log?: (part: string, line: string) => void;
}

export interface Stack {
  /** State folder. Each process of the stack has it in its command line or environment. */
  dir: string;
  cloud: LocalCloud;
  keys: DeploymentKeys;
  tenant: SeededTenant;
  /** Makes and changes tenants. */
  operatorToken: string;
  orchestrators: OrchestratorProcess[];
  /** The environment of this stack's orchestrators, without HOST and PORT. */
  environment: Readonly<Record<string, string>>;
  /** Marks the machines of this stack at Fly. */
  deploymentId: string;
  /** The Fly stand-in's organisation token. */
  flyToken: string;
  /** The address for platform and candidates: Fly's proxy. */
  publicUrl: string;
  /** Every log line of the product's processes, for tests that search them for secrets. */
  logLines: string[];
  /** Starts another orchestrator behind the proxy. Benchmarks pass a script of their own. */
  addOrchestrator(environment?: Record<string, string>, main?: string): Promise<OrchestratorProcess>;
  addTenant(slug: string, name: string): Promise<SeededTenant>;
  /** From now on, orchestrators that start use a new image of the same worker. */
  rollWorkerImage(): void;
  stop(): Promise<void>;
}

type KeptStack = Pick<Stack, 'keys' | 'flyToken' | 'operatorToken' | 'deploymentId' | 'tenant'>;

const root = path.resolve(import.meta.dirname, '../..');
const flyOrg = 'local';

/** Pushes an image to the local registry; its reference. */
async function pushWorkerImage(
  layout: string,
  { fly }: LocalCloud,
  access: { flyApiUrl: string; flyToken: string; flyOrg: string },
): Promise<string> {
  const app = 'greenroom-worker';
  await createFlyApp({ appName: app, slug: 'default' }, access);
  const client = createRegistryClient(access.flyToken, () => undefined);
  return `${fly.registryHost}/${app}@${await client.push(layout, fly.registryHost, app)}`;
}

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const dir = options.dir ?? mkdtempSync(path.join(tmpdir(), 'greenroom-'));
  const logLines: string[] = [];
  const log = (part: string, line: string) => {
    if (part !== 'supabase') logLines.push(line);
    options.log?.(part, line);
  };
  const orchestrators: OrchestratorProcess[] = [];
  const keep = options.keep ?? options.dir !== undefined;
  const kept = keep ? readKept<KeptStack>(dir) : undefined;
  const keys = kept?.keys ?? (await makeDeploymentKeys());
  const flyToken = kept?.flyToken ?? `fo1_${randomUUID()}`;
  const operatorToken = kept?.operatorToken ?? `gr_op_${randomBytes(32).toString('hex')}`;
  const deploymentId = kept?.deploymentId ?? `local-${randomUUID().slice(0, 8)}`;
  const removeDir = () => {
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };

  const dashboardDir = path.join(dir, 'dashboard');
  const built = Promise.all([
    buildWorker(path.join(dir, 'image')),
    buildClient(path.join(dir, 'room')),
    options.dashboard ? buildDashboard(dashboardDir) : undefined,
  ]).finally(() =>
    // esbuild runs as a separate process that would stay alive.
    stopBuilder(),
  );
  const [cloud, [image, room]] = await Promise.all([
    startLocalCloud({
      dir,
      migrationsDir: path.join(root, 'supabase/migrations'),
      signingKeys: [keys.dbPublic],
      orchestrators: () => orchestrators.map((o) => o.url),
      flyToken,
      log,
      keep,
      ...(options.publicPort === undefined ? {} : { publicPort: options.publicPort }),
      ...(options.publicTls === undefined ? {} : { publicTls: options.publicTls }),
      ...(options.flyLimits === undefined ? {} : { flyLimits: options.flyLimits }),
      ...(options.flyLatency === undefined ? {} : { flyLatency: options.flyLatency }),
      ...(options.voice === undefined ? {} : { voice: options.voice }),
    }),
    built,
  ]);

  const functions: Array<{ stop(): Promise<unknown> }> = [];
  const stop = async () => {
    const errors: unknown[] = [];
    await Promise.all(functions.map((f) => f.stop()));
    await Promise.all(orchestrators.splice(0).map((o) => o.stop().catch((e: unknown) => errors.push(e))));
    await cloud.stop().catch((e: unknown) => errors.push(e));
    removeDir();
    if (errors.length > 0) throw new AggregateError(errors, 'the stack did not stop cleanly');
  };

  try {
    const flyAccess = { flyApiUrl: cloud.fly.apiUrl, flyToken, flyOrg };
    const imageRef =
      options.workerImage === undefined
        ? `registry.fly.io/greenroom-worker@${image.digest}`
        : await pushWorkerImage(options.workerImage, cloud, flyAccess);
    // Tenants' apps have their own networks. At Fly, an admin of the organisation enables cross-network replay once.
    cloud.fly.crossNetworkReplay.enable();
    await rehearse(image.file);
    const definition = {
      command: [process.execPath, ...(options.workerArguments ?? []), image.file],
      env: { ...options.workerEnvironment },
    };
    cloud.fly.registerImage(imageRef, { ...definition, digest: image.digest });
    const environment: Record<string, string> = {
      PUBLIC_URL: cloud.fly.proxyUrl,
      DEPLOYMENT_ID: deploymentId,
      LOG_LEVEL: 'info',
      ROOM_DIR: room.dir,
      DASHBOARD_DIR: dashboardDir,
      SUPABASE_URL: cloud.supabase.url,
      SUPABASE_PUBLISHABLE_KEY: cloud.supabase.publishableKey,
      DB_SIGNING_KEY: JSON.stringify(keys.db),
      JOIN_SIGNING_KEYS: JSON.stringify(keys.join),
      CREDENTIALS_KEY: keys.credentials,
      OPERATOR_TOKENS: `local:${createHash('sha256').update(operatorToken).digest('hex')}`,
      // Here all platforms and candidates have the same address.
      API_CALLER_PER_MINUTE: '1000000',
      API_TENANT_PER_MINUTE: '1000000',
      JOIN_ADDRESS_PER_MINUTE: '1000000',
      OUTBOUND_ALLOW: '127.0.0.0/8',
      FLY_API_URL: cloud.fly.apiUrl,
      FLY_API_TOKEN: flyToken,
      FLY_ORG: flyOrg,
      FLY_OIDC_ISSUER: cloud.fly.oidcIssuer(flyOrg),
      WORKER_IMAGE: imageRef,
      OPENAI_API_KEY: cloud.voice.apiKey,
      OPENAI_BASE_URL: `${cloud.voice.url}/v1`,
      VOICE_SIMULATED: 'true',
      API_VIDEO_URL: cloud.video.url,
      API_VIDEO_KEY: cloud.video.apiKey,
      ...options.real?.variables,
      ...options.environment,
    };
    const isLocal = environment.SUPABASE_URL === cloud.supabase.url && environment.FLY_API_URL === cloud.fly.apiUrl;
    const addOrchestrator = async (extra: Record<string, string> = {}, main?: string) => {
      const ops: Record<string, string> = options.dashboard ? { OPS_PORT: String(await freePort()) } : {};
      const orchestrator = await startOrchestrator(
        { ...environment, ...ops, ...extra },
        (line) => log('orchestrator', line),
        main,
      );
      orchestrators.push(orchestrator);
      return orchestrator;
    };
    const rollWorkerImage = () => {
      const digest = `sha256:${randomBytes(32).toString('hex')}`;
      environment.WORKER_IMAGE = `registry.fly.io/greenroom-worker@${digest}`;
      cloud.fly.registerImage(environment.WORKER_IMAGE, { ...definition, digest });
    };
    const addTenant = (slug: string, name: string, apiKey?: string) =>
      seedTenant({
        ...flyAccess,
        ...(apiKey === undefined ? {} : { apiKey }),
        dbUrl: cloud.supabase.dbUrl,
        slug,
        name,
        maxLiveSessions: 1_000,
        // Without Fly's limits the create rate needs no limit either.
        ...(options.flyLimits === false ? { createsPerSecond: 1_000 } : {}),
      });
    if (options.transcriptUploads) {
      const served = await serveFunction('interview-transcript', cloud.supabase, {
        PUBLIC_URL: cloud.fly.proxyUrl,
        JOIN_JWKS: JSON.stringify({ keys: keys.join.keys.map(publicPart) }),
      });
      functions.push(served);
    }
    if (kept && isLocal) await createFlyApp(kept.tenant, flyAccess);
    if (kept && options.apiKey !== undefined && options.apiKey !== kept.tenant.apiKey)
      throw new Error(`${dir} keeps another API key: leave the key out, or use another folder`);
    const ofDatabase = isLocal ? (kept?.tenant ?? (await addTenant('demo', 'Demo tenant', options.apiKey))) : undefined;
    for (let n = 0; n < (options.orchestrators ?? 1); n += 1) await addOrchestrator();
    const operator = options.real?.operatorToken ?? operatorToken;
    const tenant = ofDatabase ?? (await tenantByApi(environment.PUBLIC_URL as string, operator));
    if (keep && isLocal) writeKept<KeptStack>(dir, { keys, flyToken, operatorToken, deploymentId, tenant });
    return {
      dir,
      cloud,
      keys,
      tenant,
      operatorToken: operator,
      orchestrators,
      environment,
      deploymentId: environment.DEPLOYMENT_ID as string,
      flyToken,
      publicUrl: cloud.fly.proxyUrl,
      logLines,
      addOrchestrator,
      addTenant,
      rollWorkerImage,
      stop,
    };
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}
