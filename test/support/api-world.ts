import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Role } from '@greenroom/shared/protocol/access.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyInstance } from 'fastify';
import pg from 'pg';
import { type LocalFly, startFly } from '../../infra/local-cloud/src/fly/fly.ts';
import { type Supabase, startSupabase } from '../../infra/local-cloud/src/supabase/supabase.ts';
import { buildApp } from '../../orchestrator/src/app.ts';
import { readConfig } from '../../orchestrator/src/config.ts';
import { createDeps, type Deps } from '../../orchestrator/src/deps.ts';
import { type DeploymentKeys, makeDeploymentKeys } from '../../tools/stack/keys.ts';
import { type SeededTenant, seedTenant } from '../../tools/stack/seed.ts';

/**
 * An orchestrator in this process with a real database and the Fly stand-in; its machines do nothing. For tests of the
 * API alone, with callers of every kind.
 */
export interface ApiWorld {
  url: string;
  supabase: Supabase;
  fly: LocalFly;
  keys: DeploymentKeys;
  deps: Deps;
  app: FastifyInstance;
  /** Role postgres. */
  db: pg.Client;
  operatorToken: string;
  /** Lines of its log. */
  lines: string[];
  send(at: string, options?: Sent): Promise<Got>;
  /** A second orchestrator of the same deployment. It stops with the first. */
  another(): Promise<Pick<ApiWorld, 'url' | 'deps' | 'send'>>;
  tenant(slug: string): Promise<SeededTenant>;
  /** A user with these roles, and an access token. */
  user(email: string, roles: Record<string, Role>): Promise<{ id: string; token: string }>;
  /** A key of a tenant with these scopes. */
  key(tenantId: string, scopes: string[]): Promise<string>;
  stop(): Promise<void>;
}

export interface Sent {
  method?: string;
  body?: unknown;
  /** Bearer token. */
  as?: string | undefined;
  headers?: Record<string, string>;
}
export interface Got {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read single fields of any answer
  json: any;
}

export const orchestratorImage = `registry.fly.io/worker@sha256:${'a'.repeat(64)}`;
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

async function startOutside(dir: string, keys: DeploymentKeys) {
  const fly = await startFly({
    dir: path.join(dir, 'fly'),
    token: 'fo1_test',
    limits: false,
    latency: 'zero',
    orchestrators: () => [],
  });
  fly.registerImage(orchestratorImage, {
    inProcess: () => ({ stop: () => undefined }),
    digest: orchestratorImage.split('@')[1] as string,
  });
  const supabase = await startSupabase({
    dir: path.join(dir, 'supabase'),
    migrationsDir: path.resolve('supabase/migrations'),
    signingKeys: [keys.dbPublic],
  });
  return { fly, supabase };
}

const sender =
  (url: string): ApiWorld['send'] =>
  async (at, { method = 'GET', body, as, headers = {} } = {}) => {
    const answer = await fetch(`${url}${at}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(as === undefined ? {} : { authorization: `Bearer ${as}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get('content-type') ?? '');
    return { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : undefined };
  };

export async function startApiWorld(environment: Record<string, string> = {}): Promise<ApiWorld> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-api-'));
  const keys = await makeDeploymentKeys();
  const { fly, supabase } = await startOutside(dir, keys);
  const operatorToken = `gr_op_${randomBytes(32).toString('hex')}`;
  const config = readConfig({
    PUBLIC_URL: 'http://interviews.test',
    DEPLOYMENT_ID: 'api-test',
    SUPABASE_URL: supabase.url,
    SUPABASE_PUBLISHABLE_KEY: supabase.publishableKey,
    DB_SIGNING_KEY: JSON.stringify(keys.db),
    JOIN_SIGNING_KEYS: JSON.stringify(keys.join),
    CREDENTIALS_KEY: keys.credentials,
    OPERATOR_TOKENS: `test:${hashOf(operatorToken)}`,
    API_CALLER_PER_MINUTE: '1000000',
    API_TENANT_PER_MINUTE: '1000000',
    JOIN_ADDRESS_PER_MINUTE: '1000000',
    OUTBOUND_ALLOW: '127.0.0.0/8',
    FLY_API_URL: fly.apiUrl,
    FLY_API_TOKEN: 'fo1_test',
    FLY_ORG: 'local',
    FLY_OIDC_ISSUER: fly.oidcIssuer('local'),
    WORKER_IMAGE: orchestratorImage,
    OPENAI_API_KEY: 'sk-test',
    OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    VOICE_SIMULATED: 'true',
    ROOM_DIR: path.join(dir, 'room'),
    CREATE_MS: '60000',
    // A busy test machine holds the event loop too; the test of shedding sets its own limit.
    MAX_EVENT_LOOP_DELAY_MS: '60000',
    ...environment,
  });
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: 'debug', component: 'test', destination });
  const stops: Array<() => Promise<void>> = [];
  const startOne = async () => {
    const deps = await createDeps(config, { logger });
    const app = await buildApp(deps);
    await app.listen({ host: '127.0.0.1', port: 0 });
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    stops.push(async () => {
      await app.close();
      await deps.ticker.stop();
      await deps.provisioner.stop();
      await deps.endings.stop();
      await deps.closeConnections();
    });
    return { deps, app, url, send: sender(url) };
  };
  const { deps, app, url, send } = await startOne();
  const db = new pg.Client({ connectionString: supabase.dbUrl });
  await db.connect();

  return {
    ...{ url, supabase, fly, keys, deps, app, db, operatorToken, lines, send, another: startOne },
    tenant: async (slug) => {
      const tenant = await seedTenant({
        dbUrl: supabase.dbUrl,
        flyApiUrl: fly.apiUrl,
        flyToken: 'fo1_test',
        flyOrg: 'local',
        slug,
        name: slug,
        maxLiveSessions: 100,
      });
      // These tests create machines faster than Fly allows for one app.
      await db.query('update public.tenant_apps set creates_per_second = 1000, create_burst = 1000');
      return tenant;
    },
    user: async (email, roles) => {
      const { id } = await supabase.createUser({ email, password: 'correct horse battery' });
      for (const [tenantId, role] of Object.entries(roles))
        await db.query('insert into public.tenant_users (tenant_id, user_id, role) values ($1, $2, $3)', [
          tenantId,
          id,
          role,
        ]);
      return { id, token: await supabase.mint({ sub: id }) };
    },
    key: async (tenantId, scopes) => {
      const key = `gr_live_${randomBytes(32).toString('base64url')}`;
      await db.query(
        'insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes) values ($1, $2, $3, $4, $5)',
        [tenantId, 'test', key.slice(0, 12), hashOf(key), scopes],
      );
      return key;
    },
    stop: async () => {
      await db.end();
      for (const stop of stops.reverse()) await stop();
      await Promise.all([supabase.stop(), fly.stop()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
