import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checks } from '../../orchestrator/cli/checks/doctor.ts';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { makeSigningKey } from '../../orchestrator/src/testing.ts';
import { createVault } from '../../orchestrator/src/tokens/vault.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';

/**
 * Each check of `greenroom doctor` against the local cloud: `ok` as it is, and not `ok`, with the command that corrects it, when
 * the outside is in the bad state that the check is for.
 */
interface Finding {
  id: string;
  status: 'ok' | 'warn' | 'fail' | 'unknown';
  detail: string;
  means: string;
  fix?: string;
}

const root = path.resolve(import.meta.dirname, '../..');
let stack: Stack;
let environment: Record<string, string>;
let printed: string;
const servers: Server[] = [];

async function examine(
  args: string[],
  changes: Record<string, string> = {},
): Promise<{ code: number; findings: Finding[] }> {
  const lines: string[] = [];
  const code = await runProgram(
    ['doctor', '--json', '--env-file', '/dev/null', ...args],
    {
      environment: { ...environment, ...changes },
      cwd: stack.dir,
      print: (line) => void lines.push(line),
      progress: (line) => void lines.push(line),
    },
    root,
  );
  printed += lines.join('\n');
  return { code, findings: (JSON.parse(lines[0] ?? '{}') as { findings: Finding[] }).findings };
}

async function look(id: string, changes: Record<string, string> = {}): Promise<Finding> {
  const { findings } = await examine(['--only', id], changes);
  const found = findings.find((finding) => finding.id === id) ?? findings[0];
  if (!found) throw new Error(`no finding ${id}`);
  return found;
}

async function serve(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function sql(text: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: stack.cloud.supabase.dbUrl });
  await client.connect();
  await client.query(text, values).finally(() => client.end());
}

/** Pushes the smallest image there can be. @returns its reference by digest */
async function pushImage(): Promise<string> {
  const host = stack.cloud.fly.registryHost;
  const authorization = `Basic ${Buffer.from(`x:${stack.flyToken}`).toString('base64')}`;
  const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const base = `http://${host}/v2/${stack.tenant.appName}`;
  const config = '{}';
  const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST', headers: { authorization } });
  const upload = new URL(begun.headers.get('location') ?? '', `http://${host}`);
  upload.searchParams.set('digest', sha256(config));
  await fetch(upload, { method: 'PUT', headers: { authorization }, body: config });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: 2 };
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config: descriptor, layers: [] });
  const put = await fetch(`${base}/manifests/${sha256(manifest)}`, {
    method: 'PUT',
    headers: { authorization, 'content-type': mediaType },
    body: manifest,
  });
  expect(put.status).toBe(201);
  return `${host}/${stack.tenant.appName}@${sha256(manifest)}`;
}

/** The health that a deployed Edge Function reports. */
const functionsSay = { ok: true, version: '0.1.0', database: 'ok', orchestrator: 'ok' };

beforeAll(async () => {
  printed = '';
  stack = await startStack({
    flyLimits: false,
    voice: { elsewhere: { 'sk-of-a-project-in-europe': 'eu.api.openai.com' } },
  });
  const { supabase } = stack.cloud;
  environment = {
    ...stack.environment,
    SUPABASE_DB_URL: supabase.dbUrl,
    SUPABASE_ACCESS_TOKEN: supabase.accessToken,
    WORKER_IMAGE: await pushImage(),
  };
  const port = await serve(
    createServer((_request, response) => {
      response.writeHead(functionsSay.ok ? 200 : 503, { 'content-type': 'application/json' });
      response.end(JSON.stringify(functionsSay));
    }),
  );
  for (const name of ['interview-start', 'interview-transcript'])
    supabase.routeFunction(name, { port, verifyJwt: false });
  // Something that accepts connections.
  const webhookPort = await serve(createServer((_request, response) => response.end()));
  const { keyId } = createVault(Buffer.from(environment.CREDENTIALS_KEY as string, 'base64'));
  await sql(
    "insert into public.webhook_endpoints (tenant_id, url, secret_ciphertext, key_id) values ($1, $2, 'x', $3)",
    [stack.tenant.id, `http://127.0.0.1:${webhookPort}/hooks`, keyId],
  );
});
afterAll(async () => {
  for (const server of servers) server.close();
  await stack?.stop();
});

test('a deployment in order: every check is ok, apart from those of TLS, which http on this machine has not', async () => {
  const { code, findings } = await examine(['--live']);
  const needTls = ['certificate', 'tls-versions', 'plain-http'];
  expect(findings.filter(({ status }) => status !== 'ok')).toEqual(
    needTls.map((id) => expect.objectContaining({ id, status: 'unknown' })),
  );
  expect(findings.map(({ id }) => id)).toEqual(['settings', ...checks.map(({ id }) => id)]);
  expect(code).toBe(0);
  // The live checks leave nothing.
  expect(stack.cloud.voice.health()).toMatchObject({ live: 0, ended: 1 });
  const left = async () => {
    const { apps } = (await flyCall('GET', '/apps?org_slug=local')) as { apps: Array<{ name: string }> };
    return apps.filter(({ name }) => name.startsWith('gr-doctor-'));
  };
  await expect.poll(left).toEqual([]);
});

interface Bad {
  id: string;
  what: string;
  /** Puts the outside into the bad state; the result are variables for the command, or what undoes it. */
  make: () => undefined | Record<string, string> | Promise<undefined | Record<string, string>>;
  undo?: () => unknown;
  status?: Finding['status'];
  fix: RegExp;
}

const kid = (text: string) => (JSON.parse(text) as { kid: string }).kid;
const dbKid = () => kid(environment.DB_SIGNING_KEY as string);

const bad: Bad[] = [
  { id: 'settings', what: 'a variable is missing', make: () => ({ FLY_ORG: '' }), fix: /\.env/ },
  {
    id: 'settings',
    what: "the secret key stands in the publishable key's place",
    make: () => ({ SUPABASE_PUBLISHABLE_KEY: stack.cloud.supabase.secretKey }),
    fix: /\.env/,
  },
  {
    id: 'settings',
    what: 'the keys of Fly and of the voice provider are swapped',
    make: () => ({
      FLY_API_TOKEN: environment.OPENAI_API_KEY as string,
      OPENAI_API_KEY: environment.FLY_API_TOKEN as string,
    }),
    fix: /\.env/,
  },
  {
    id: 'dns',
    what: 'a name that nobody has',
    make: () => ({ PUBLIC_URL: 'https://greenroom.invalid' }),
    fix: /fly certs setup greenroom\.invalid/,
  },
  {
    id: 'certificate',
    what: 'http outside of this machine',
    make: () => ({ PUBLIC_URL: 'http://example.com' }),
    fix: /https/,
  },
  {
    id: 'public-url',
    what: 'nobody listens',
    make: () => ({ PUBLIC_URL: 'http://127.0.0.1:9' }),
    fix: /greenroom deploy orchestrator/,
  },
  {
    id: 'public-url',
    what: 'another deployment answers there',
    make: () => {
      const { keys } = JSON.parse(environment.JOIN_SIGNING_KEYS as string) as { keys: object[] };
      return { JOIN_SIGNING_KEYS: JSON.stringify({ keys: keys.map((key) => ({ ...key, kid: 'foreign' })) }) };
    },
    fix: /JOIN_SIGNING_KEYS of that deployment/,
  },
  {
    id: 'fly-token',
    what: 'a token that Fly does not know',
    make: () => ({ FLY_API_TOKEN: 'fo1_wrong' }),
    fix: /fly tokens create org --org local/,
  },
  {
    id: 'fly-token',
    what: 'a deploy token of one app',
    make: async () => ({ FLY_API_TOKEN: await deployToken() }),
    fix: /fly tokens create org/,
  },
  {
    id: 'fly-token',
    what: 'a token of another organisation',
    make: () => void stack.cloud.fly.changeToken({ orgSlug: 'others' }),
    undo: () => stack.cloud.fly.changeToken({ orgSlug: 'local' }),
    fix: /fly tokens create org/,
  },
  {
    id: 'fly-token',
    what: 'the token of a person',
    make: () => void stack.cloud.fly.changeToken({ user: 'someone' }),
    undo: () => stack.cloud.fly.changeToken({ user: '' }),
    status: 'warn',
    fix: /fly tokens create org/,
  },
  {
    id: 'fly-token',
    what: 'a token that ends in three days',
    make: () => void stack.cloud.fly.changeToken({ endsAtMs: Date.now() + 3 * 86_400_000 }),
    undo: () => stack.cloud.fly.changeToken({ endsAtMs: Date.now() + 90 * 86_400_000 }),
    status: 'warn',
    fix: /--expiry/,
  },
  {
    id: 'fly-token',
    what: 'a token that has expired',
    make: () => void stack.cloud.fly.changeToken({ endsAtMs: Date.now() - 1_000 }),
    undo: () => stack.cloud.fly.changeToken({ endsAtMs: Date.now() + 90 * 86_400_000 }),
    fix: /fly tokens create org/,
  },
  {
    id: 'fly-token',
    what: 'a token for twenty years',
    make: () => void stack.cloud.fly.changeToken({ endsAtMs: Date.now() + 20 * 365 * 86_400_000 }),
    undo: () => stack.cloud.fly.changeToken({ endsAtMs: Date.now() + 90 * 86_400_000 }),
    status: 'warn',
    fix: /--expiry 2160h/,
  },
  {
    id: 'fly-organisation',
    what: 'an organisation that is not ours',
    make: () => ({ FLY_ORG: 'others' }),
    fix: /fly orgs list/,
  },
  {
    id: 'fly-issuer',
    what: 'a personal organisation, whose tokens call it by another name',
    make: () => void stack.cloud.fly.renameOrganisation('jane-doe'),
    undo: () => stack.cloud.fly.renameOrganisation('local'),
    fix: /FLY_OIDC_ISSUER=.*\/jane-doe$/,
  },
  {
    id: 'fly-replay',
    what: 'replay across networks is not enabled',
    make: () => void stack.cloud.fly.crossNetworkReplay.disable(),
    undo: () => stack.cloud.fly.crossNetworkReplay.enable(),
    fix: /fly orgs cross-network-replays enable --org local/,
  },
  {
    id: 'fly-egress',
    what: 'somebody has deleted the policy of an app',
    make: () => eachPolicy('DELETE'),
    undo: () => eachPolicy('POST'),
    fix: /curl -X POST .*network_policies/,
  },
  {
    id: 'fly-network-policies',
    what: 'Fly has no network policies for the organisation',
    make: () =>
      void stack.cloud.fly.faults.add({
        on: 'policies.set',
        action: { kind: 'status', status: 404, body: { error: 'not found' } },
      }),
    undo: () => stack.cloud.fly.faults.clear('policies.set'),
    fix: /enable network policies/,
  },
  {
    id: 'deployment-id',
    what: 'another stack has the same one',
    make: async () => void (await foreignMachine()),
    undo: () => flyCall('DELETE', '/apps/gr-acme-0123abcd-1'),
    fix: /Set another DEPLOYMENT_ID/,
  },
  {
    id: 'worker-image',
    what: 'a digest that nobody pushed',
    make: () => ({ WORKER_IMAGE: (environment.WORKER_IMAGE as string).replace(/[0-9a-f]{64}$/, 'a'.repeat(64)) }),
    fix: /greenroom deploy worker/,
  },
  {
    id: 'signing-key',
    what: 'an imported key that was not rotated to',
    make: async () => void (await stack.cloud.supabase.moveSigningKey(dbKid(), 'standby')),
    undo: () => stack.cloud.supabase.moveSigningKey(dbKid(), 'in_use'),
    fix: /Rotate to it .*20 minutes/,
  },
  {
    id: 'signing-key',
    what: 'the key before the current one',
    make: async () => void (await stack.cloud.supabase.moveSigningKey(dbKid(), 'previously_used')),
    undo: () => stack.cloud.supabase.moveSigningKey(dbKid(), 'in_use'),
    status: 'warn',
    fix: /greenroom deploy orchestrator/,
  },
  {
    id: 'signing-key',
    what: 'a revoked key',
    make: async () => void (await stack.cloud.supabase.moveSigningKey(dbKid(), 'revoked')),
    undo: () => stack.cloud.supabase.moveSigningKey(dbKid(), 'in_use'),
    fix: /new key/,
  },
  {
    id: 'signing-key',
    what: 'a key that was never imported',
    make: async () => ({ DB_SIGNING_KEY: JSON.stringify(await makeSigningKey('foreign')) }),
    fix: /Import it as a standby key/,
  },
  {
    id: 'database-orchestrator',
    what: 'the role has lost its right',
    make: async () => void (await sql('revoke execute on function public.session_routes(uuid[]) from orchestrator')),
    undo: () => sql('grant execute on function public.session_routes(uuid[]) to orchestrator'),
    fix: /greenroom migrate/,
  },
  {
    id: 'database-orchestrator',
    what: 'a publishable key of another project',
    make: () => ({ SUPABASE_PUBLISHABLE_KEY: 'sb_publishable_foreign' }),
    fix: /SUPABASE_PUBLISHABLE_KEY/,
  },
  {
    id: 'database-worker',
    what: 'the role has lost its right',
    make: async () => void (await sql('revoke select on public.transcript_entries from session_worker')),
    undo: () => sql('grant select on public.transcript_entries to session_worker'),
    fix: /greenroom migrate/,
  },
  {
    id: 'migrations',
    what: 'a migration is not recorded as applied',
    make: async () => void (await sql('alter table supabase_migrations.schema_migrations rename to hidden')),
    undo: () => sql('alter table supabase_migrations.hidden rename to schema_migrations'),
    fix: /message/,
  },
  {
    id: 'migrations',
    what: 'SUPABASE_DB_URL is not set',
    make: () => ({ SUPABASE_DB_URL: '' }),
    status: 'unknown',
    fix: /SUPABASE_DB_URL/,
  },
  {
    id: 'database-drift',
    what: 'somebody has switched row level security off',
    make: async () => void (await sql('alter table public.transcript_entries disable row level security')),
    undo: () => sql('alter table public.transcript_entries enable row level security'),
    fix: /supabase db diff/,
  },
  {
    id: 'database-drift',
    what: 'somebody has changed a function',
    make: async () =>
      void (await sql(
        "create or replace function app.touch() returns trigger language plpgsql set search_path = '' as $$ begin return new; end $$",
      )),
    fix: /supabase db diff/,
  },
  {
    id: 'edge-functions',
    what: 'the functions cannot reach the orchestrators',
    make: () => void Object.assign(functionsSay, { ok: false, orchestrator: 'unavailable' }),
    undo: () => Object.assign(functionsSay, { ok: true, orchestrator: 'ok' }),
    fix: /supabase secrets set PUBLIC_URL/,
  },
  {
    id: 'edge-functions',
    what: 'the function is not deployed',
    make: () => ({ TRANSCRIPT_UPLOAD_URL: `${stack.cloud.supabase.url}/functions/v1/forgotten` }),
    fix: /supabase functions deploy forgotten/,
  },
  {
    id: 'voice-key',
    what: 'a key that is refused',
    make: () => ({ OPENAI_API_KEY: 'sk-wrong' }),
    fix: /OPENAI_API_KEY/,
  },
  {
    id: 'voice-key',
    what: 'a key of a project in another region',
    make: () => ({ OPENAI_API_KEY: 'sk-of-a-project-in-europe' }),
    fix: /OPENAI_BASE_URL=https:\/\/eu\.api\.openai\.com\/v1/,
  },
  {
    id: 'voice-realtime-model',
    what: 'a model that is not there',
    make: () => ({ REALTIME_MODEL: 'gone' }),
    fix: /REALTIME_MODEL/,
  },
  {
    id: 'voice-realtime-model',
    what: 'a model that ends soon',
    make: () => ({ REALTIME_MODEL: 'gpt-realtime' }),
    status: 'warn',
    fix: /REALTIME_MODEL/,
  },
  {
    id: 'voice-transcription-model',
    what: 'a model that is not there',
    make: () => ({ TRANSCRIPTION_MODEL: 'gone' }),
    fix: /TRANSCRIPTION_MODEL/,
  },
  {
    id: 'voice-evaluation-model',
    what: 'a model that is not there',
    make: () => ({ EVALUATION_MODEL: 'gone' }),
    fix: /EVALUATION_MODEL/,
  },
  {
    id: 'voice-session',
    what: 'the provider refuses the transcription model in a conversation, and takes the fallback',
    make: () => refuseTranscription('gpt-realtime-whisper'),
    undo: () => stack.cloud.voice.faults.clear(),
    status: 'warn',
    fix: /TRANSCRIPTION_MODEL=gpt-live-transcribe/,
  },
  {
    id: 'voice-session',
    what: 'the provider refuses the transcription model in a conversation, and the fallback too',
    make: () => {
      refuseTranscription('gpt-realtime-whisper');
      return { TRANSCRIPTION_FALLBACK_MODEL: 'gpt-realtime-whisper' };
    },
    undo: () => stack.cloud.voice.faults.clear(),
    fix: /TRANSCRIPTION_MODEL to a model that it takes/,
  },
  {
    id: 'voice-session',
    what: 'the sideband takes the standing key only',
    make: () => void stack.cloud.voice.script.callsBelongTo('account'),
    undo: () => stack.cloud.voice.script.callsBelongTo('creator'),
    fix: /REALTIME_CALLS=unified/,
  },
  {
    id: 'voice-session',
    what: 'the sideband is refused',
    make: () =>
      void stack.cloud.voice.faults.add({ on: 'realtime.sideband', times: 9, action: { kind: 'status', status: 401 } }),
    undo: () => stack.cloud.voice.faults.clear(),
    fix: /voice-key/,
  },
  {
    id: 'voice-session',
    what: 'a call cannot be hung up with its own credential',
    make: () =>
      void stack.cloud.voice.faults.add({ on: 'realtime.hangup', times: 9, action: { kind: 'status', status: 403 } }),
    undo: () => stack.cloud.voice.faults.clear(),
    status: 'warn',
    fix: /cost money/,
  },
  { id: 'video-key', what: 'a key that is refused', make: () => ({ API_VIDEO_KEY: 'wrong' }), fix: /API_VIDEO_KEY/ },
  {
    id: 'webhooks',
    what: 'an endpoint where nobody listens',
    make: async () =>
      void (await sql(
        "insert into public.webhook_endpoints (tenant_id, url, secret_ciphertext, key_id) values ($1, 'http://127.0.0.1:9/', 'x', 'x')",
        [stack.tenant.id],
      )),
    undo: () => sql("delete from public.webhook_endpoints where url like '%:9/'"),
    status: 'warn',
    fix: /replay/,
  },
];

function refuseTranscription(model: string): undefined {
  stack.cloud.voice.faults.add({
    on: 'realtime.client_secrets',
    times: Number.POSITIVE_INFINITY,
    action: { kind: 'special', name: 'transcription_refused', value: model },
  });
}

test('voice-session says which credential the sideband takes, also for unified calls', async () => {
  expect((await look('voice-session')).detail).toContain("takes the call's own credential, and not the standing key");
  stack.cloud.voice.script.callsBelongTo('account');
  const unified = { REALTIME_CALLS: 'unified', ACCEPT_STANDING_KEY_IN_WORKERS: 'true' };
  const found = await look('voice-session', unified);
  stack.cloud.voice.script.callsBelongTo('creator');
  expect(found).toMatchObject({ status: 'ok', detail: expect.stringContaining('takes the standing key') });
  expect(stack.cloud.voice.health().live).toBe(0);
});

const flyCall = async (method: string, url: string, body?: object) =>
  (await (
    await fetch(`${stack.cloud.fly.apiUrl}/v1${url}`, {
      method,
      headers: { authorization: `Bearer ${stack.flyToken}` },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  )
    .json()
    .catch(() => undefined)) as never;

const deployToken = async () =>
  ((await flyCall('POST', `/apps/${stack.tenant.appName}/deploy_token`, {})) as { token: string }).token;

let removed: object[] = [];
async function eachPolicy(method: 'DELETE' | 'POST'): Promise<undefined> {
  const policies = `/apps/${stack.tenant.appName}/network_policies`;
  if (method === 'DELETE') {
    removed = (await flyCall('GET', policies)) as object[];
    for (const policy of removed as Array<{ id: string }>) await flyCall('DELETE', `${policies}/${policy.id}`);
  } else for (const policy of removed) await flyCall('POST', policies, policy);
}

/** A machine of a stack that has our deployment id and another database: its app's name carries another mark. */
async function foreignMachine(): Promise<void> {
  const app = 'gr-acme-0123abcd-1';
  await flyCall('POST', '/apps', { app_name: app, org_slug: 'local', network: 'foreign' });
  stack.cloud.fly.registerImage('registry.fly.io/idle:1', {
    inProcess: () => ({ stop: () => undefined }),
    apiSocket: false,
  });
  await flyCall('POST', `/apps/${app}/machines`, {
    region: 'fra',
    skip_launch: true,
    config: { image: 'registry.fly.io/idle:1', metadata: { deployment_id: stack.deploymentId } },
  });
}

describe('the outside in a bad state', () => {
  test.each(bad)('$id: $what', async ({ id, make, undo, status = 'fail', fix }) => {
    const changes = (await make()) ?? {};
    try {
      const found = await look(id, changes);
      expect(found, found.detail).toMatchObject({ id, status });
      expect(found.fix).toMatch(fix);
      expect(found.means.length).toBeGreaterThan(20);
    } finally {
      await undo?.();
    }
  });

  test('clock: a clock that is wrong by a minute', async () => {
    const clock = checks.find(({ id }) => id === 'clock');
    const { readConfig } = await import('../../orchestrator/src/config.ts');
    const context = { config: readConfig(environment), environment, home: root, now: () => Date.now() + 60_000 };
    expect(await clock?.run(context)).toMatchObject({ status: 'fail', fix: expect.stringContaining('timedatectl') });
  });

  test('certificate: one that nobody trusts, and a trusted one that ends in three days', async () => {
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(stack.dir, name)) as [string, string];
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3'];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    execFileSync('openssl', [...request, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const pem = readFileSync(cert, 'utf8');
    const port = await serve(createTlsServer({ key: readFileSync(key), cert: pem }));
    const changes = { PUBLIC_URL: `https://localhost:${port}` };
    expect(await look('certificate', changes)).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('not trusted'),
      fix: expect.stringContaining('fly certs check localhost'),
    });
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, pem]);
    try {
      expect(await look('certificate', changes)).toMatchObject({
        status: 'warn',
        detail: expect.stringContaining('2 days'),
      });
    } finally {
      setDefaultCACertificates(before);
    }
  });

  test('every check has a bad state, here or in trust.test.ts', () => {
    const ofTrust = ['tls-versions', 'plain-http', 'security-headers', 'join-keys', 'credentials-key'];
    const tested = new Set([...bad.map(({ id }) => id), ...ofTrust, 'clock', 'certificate']);
    expect(checks.map(({ id }) => id).filter((id) => !tested.has(id))).toEqual([]);
  });

  test('nothing that was printed contains a key', () => {
    const secrets = ['OPENAI_API_KEY', 'FLY_API_TOKEN', 'CREDENTIALS_KEY', 'API_VIDEO_KEY', 'SUPABASE_DB_URL'];
    for (const name of secrets) expect(printed.includes(environment[name] as string), name).toBe(false);
    expect(printed).not.toContain((JSON.parse(environment.DB_SIGNING_KEY as string) as { d: string }).d);
  });
});
