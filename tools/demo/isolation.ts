import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { closeCodes, subprotocol, tokenSubprotocolPrefix } from '@greenroom/shared/protocol/socket.ts';
import { createClient } from '@supabase/supabase-js';
import { importJWK, type JWK, SignJWT } from 'jose';
import pg from 'pg';
import type { SeededTenant } from '../stack/seed.ts';
import type { Stack } from '../stack/stack.ts';

/**
 * Runs interviews of two tenants side by side and tries each tenant's credentials on everything of the other: API, rows,
 * socket, worker rights, Fly app.
 *
 * - Each attempt is also made on the tenant's own objects and must succeed there (`controls`). Otherwise a refusal would prove
 *   nothing.
 * - The worker's token is minted here with the deployment's key, because the real one never leaves its machine.
 */
export interface IsolationReport {
  attempts: number;
  opened: number;
  /** Attempts on the tenant's own objects, and how many succeeded. Both numbers must be equal. */
  controls: { tried: number; opened: number };
  /** Attempts that succeeded and should not have, and the other way round. */
  wrong: string[];
}

export interface Party {
  tenant: SeededTenant;
  session: SessionView;
}

/** The credentials of one tenant's people and machines. */
interface Holder extends Party {
  userToken: string;
  workerToken: string;
  flyToken: string;
  flyMachineId: string;
  invitationId: string;
}

interface AccessPath {
  name: string;
  /** Whether it reached something of the target. */
  open(holder: Holder, target: Holder): Promise<boolean>;
  /** Whether it must succeed on the tenant's own objects. Default true. False if it would end the interview or has no target. */
  atHome?: boolean;
}

async function makeHolder(stack: Stack, party: Party): Promise<Holder> {
  const { cloud, keys } = stack;
  const { tenant, session } = party;
  const { id: userId } = await cloud.supabase.createUser({
    email: `admin@${tenant.slug}.example`,
    password: 'correct horse battery',
  });
  const db = new pg.Client({ connectionString: cloud.supabase.dbUrl });
  await db.connect();
  try {
    await db.query("insert into public.tenant_users (tenant_id, user_id, role) values ($1, $2, 'admin')", [
      tenant.id,
      userId,
    ]);
    const { rows } = await db.query<{
      machine_id: string;
      fly_machine_id: string;
      epoch: number;
      invitation_id: string;
    }>(
      `select s.machine_id, s.fly_machine_id, s.epoch, i.id as invitation_id from public.interview_sessions s
       join public.session_invitations i on i.session_id = s.id where s.id = $1`,
      [session.session_id],
    );
    const row = rows[0];
    if (!row) throw new Error(`session ${session.session_id} has no machine`);
    return {
      ...party,
      userToken: await cloud.supabase.mint({ sub: userId }),
      workerToken: await workerToken(keys.db, stack.publicUrl, party, row),
      flyToken: await deployToken(stack, tenant.appName),
      flyMachineId: row.fly_machine_id,
      invitationId: row.invitation_id,
    };
  } finally {
    await db.end();
  }
}

/** Mints a worker token like the one that an orchestrator gives to this party's worker. */
async function workerToken(
  key: JWK,
  issuer: string,
  { tenant, session }: Party,
  { machine_id, epoch }: { machine_id: string; epoch: number },
): Promise<string> {
  return new SignJWT({
    role: 'session_worker',
    session_id: session.session_id,
    tenant_id: tenant.id,
    machine_id,
    epoch,
  })
    .setProtectedHeader({ alg: 'ES256', kid: key.kid as string, typ: 'JWT' })
    .setIssuer(issuer)
    .setAudience(['authenticated', 'greenroom:worker-api'])
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(await importJWK(key, 'ES256'));
}

async function deployToken({ cloud, flyToken }: Stack, app: string): Promise<string> {
  const answer = await fetch(`${cloud.fly.apiUrl}/v1/apps/${app}/deploy_token`, {
    method: 'POST',
    headers: { authorization: `Bearer ${flyToken}`, 'content-type': 'application/json' },
    body: '{}',
  });
  if (!answer.ok) throw new Error(`no token for the app ${app}: HTTP ${answer.status}`);
  return ((await answer.json()) as { token: string }).token;
}

// ── the API ────────────────────────────────────────────────────────────────────────────────────────────────────────
type ApiAccess = [
  method: string,
  path: (target: Holder) => string,
  body?: ((target: Holder) => object) | undefined,
  atHome?: false,
];
const apiWays: ApiAccess[] = [
  ['GET', ({ session }) => `/api/sessions/${session.session_id}`],
  ['GET', ({ session }) => `/api/sessions/${session.session_id}/transcript`],
  ['GET', ({ session }) => `/api/sessions/${session.session_id}/events`],
  ['GET', ({ session }) => `/api/sessions/${session.session_id}/invitations`],
  ['GET', ({ session }) => `/api/sessions/${session.session_id}/result`, undefined, false],
  ['DELETE', ({ session }) => `/api/sessions/${session.session_id}`, undefined, false],
  ['POST', ({ session }) => `/api/sessions/${session.session_id}/invitations`, () => ({})],
  [
    'DELETE',
    ({ session, invitationId }) => `/api/sessions/${session.session_id}/invitations/${invitationId}`,
    undefined,
    false,
  ],
  ['GET', ({ session }) => `/api/candidates/${session.interview_context.candidate.id}`],
  ['PATCH', ({ session }) => `/api/candidates/${session.interview_context.candidate.id}`, () => ({ status: 'tried' })],
  ['DELETE', ({ session }) => `/api/candidates/${session.interview_context.candidate.id}`, undefined, false],
  ['GET', ({ session }) => `/api/positions/${session.interview_context.position.id}`],
  ['GET', ({ tenant }) => `/api/tenants/${tenant.id}`],
  ['GET', ({ tenant }) => `/api/tenants/${tenant.id}/api-keys`],
  ['GET', ({ tenant }) => `/api/tenants/${tenant.id}/provider-credentials`],
  ['PATCH', ({ tenant }) => `/api/tenants/${tenant.id}`, ({ tenant }) => ({ name: tenant.name })],
  ['POST', ({ tenant }) => `/api/tenants/${tenant.id}/api-keys`, () => ({ name: 'tried' })],
  ['DELETE', ({ tenant }) => `/api/tenants/${tenant.id}`, undefined, false],
  [
    'POST',
    () => '/api/sessions',
    ({ session }) => ({ candidate_id: session.interview_context.candidate.id, position: { title: 'x' } }),
    false,
  ],
  [
    'POST',
    () => '/api/sessions',
    ({ session }) => ({ candidate: { name: 'x' }, position_id: session.interview_context.position.id }),
    false,
  ],
];

const apiWay =
  (publicUrl: string, of: (holder: Holder) => string) =>
  ([method, path, body]: ApiAccess) =>
  async (holder: Holder, target: Holder): Promise<boolean> => {
    const leaving = new AbortController();
    const answer = await fetch(`${publicUrl}${path(target)}`, {
      method,
      headers: { authorization: `Bearer ${of(holder)}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body(target)) } : {}),
      signal: leaving.signal,
    });
    leaving.abort(); // An event stream does not end by itself.
    // 409 describes the object itself, such as an ended interview: a caller that gets it was admitted.
    return answer.ok || answer.status === 409;
  };

/** The tenant's API key has session scopes only; its admin user has every right in the tenant. */
const keyPaths = /^\/api\/sessions/;

function apiWaysOf({ publicUrl }: Stack): AccessPath[] {
  const some = {
    tenant: { id: '0' },
    session: { session_id: '0', interview_context: { candidate: {}, position: {} } },
  };
  return apiWays.flatMap((way) => {
    const name = `${way[0]} ${way[1](some as unknown as Holder)}`;
    const atHome = way[3] ?? true;
    return [
      {
        name: `API key: ${name}`,
        open: apiWay(publicUrl, ({ tenant }) => tenant.apiKey)(way),
        atHome: atHome && keyPaths.test(way[1](some as unknown as Holder)),
      },
      { name: `user: ${name}`, open: apiWay(publicUrl, ({ userToken }) => userToken)(way), atHome },
      { name: `worker token: ${name}`, open: apiWay(publicUrl, (holder) => holder.workerToken)(way), atHome: false },
    ];
  });
}

// ── rows, through supabase-js ──────────────────────────────────────────────────────────────────────────────────────
const readable = ['interview_sessions', 'session_events', 'transcript_entries', 'tenant_candidates', 'positions'];
const closed = [
  'api_keys',
  'machines',
  'realtime_calls',
  'session_invitations',
  'provider_credentials',
  'webhook_endpoints',
];

function rowWaysOf({ cloud: { supabase } }: Stack): AccessPath[] {
  const clientOf = (token: string) =>
    createClient(supabase.url, supabase.publishableKey, { accessToken: async () => token });
  const read =
    (of: (holder: Holder) => string, table: string, columns: string) => async (holder: Holder, target: Holder) => {
      const client = clientOf(of(holder));
      const { data } = await client.from(table).select(columns).eq('tenant_id', target.tenant.id);
      return (data ?? []).length > 0;
    };
  const write = (of: (holder: Holder) => string) => async (holder: Holder, target: Holder) => {
    const { data } = await clientOf(of(holder))
      .from('positions')
      .update({ description: 'tried' })
      .eq('tenant_id', target.tenant.id)
      .select('id');
    return (data ?? []).length > 0;
  };
  const user = ({ userToken }: Holder) => userToken;
  const worker = (holder: Holder) => holder.workerToken;
  return [
    ...readable.map((table) => ({ name: `user: rows of ${table}`, open: read(user, table, 'tenant_id') })),
    ...closed.map((table) => ({ name: `user: rows of ${table}`, open: read(user, table, 'tenant_id'), atHome: false })),
    { name: 'user: change a position', open: write(user) },
    { name: 'worker token: its session', open: read(worker, 'interview_sessions', 'id') },
    { name: 'worker token: its transcript', open: read(worker, 'transcript_entries', 'item_id') },
    ...closed.map((table) => ({
      name: `worker token: rows of ${table}`,
      open: read(worker, table, 'tenant_id'),
      atHome: false,
    })),
    { name: 'worker token: change a position', open: write(worker), atHome: false },
  ];
}

// ── the socket ─────────────────────────────────────────────────────────────────────────────────────────────────────
/** Whether the edge accepts the socket. It never sends `init_session`, so it does not disturb the interview. */
function socketOpens(url: string, token: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, [subprotocol, `${tokenSubprotocolPrefix}${token}`]);
    socket.addEventListener('open', () => {
      // A refusal is an accepted upgrade that is then closed with a code.
      setTimeout(() => socket.close(), 500);
    });
    socket.addEventListener('close', ({ code }) => resolve(code !== closeCodes.token && code !== closeCodes.unknown));
    socket.addEventListener('error', () => undefined);
  });
}

const socketWays: AccessPath[] = [
  {
    name: 'socket: join token',
    open: (holder, target) => socketOpens(target.session.websocket_url, holder.session.join_token ?? ''),
    // On the tenant's own session it would replace the candidate.
    atHome: false,
  },
  {
    name: 'socket: worker token',
    open: (holder, target) => socketOpens(target.session.websocket_url, holder.workerToken),
    atHome: false,
  },
  {
    name: 'socket: API key',
    open: (holder, target) => socketOpens(target.session.websocket_url, holder.tenant.apiKey),
    atHome: false,
  },
];

// ── Fly ────────────────────────────────────────────────────────────────────────────────────────────────────────────
function flyWaysOf({ cloud: { fly } }: Stack): AccessPath[] {
  const call =
    (method: string, path: (target: Holder) => string, body?: object) => async (holder: Holder, target: Holder) => {
      const answer = await fetch(`${fly.apiUrl}/v1${path(target)}`, {
        method,
        headers: { authorization: `Bearer ${holder.flyToken}`, 'content-type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      return answer.ok;
    };
  const machine = ({ tenant, flyMachineId }: Holder) => `/apps/${tenant.appName}/machines/${flyMachineId}`;
  return [
    { name: 'Fly: list machines', open: call('GET', ({ tenant }) => `/apps/${tenant.appName}/machines`) },
    { name: 'Fly: show the machine', open: call('GET', machine) },
    { name: 'Fly: stop the machine', open: call('POST', (target) => `${machine(target)}/stop`, {}), atHome: false },
    {
      name: 'Fly: destroy the machine',
      open: call('DELETE', (target) => `${machine(target)}?force=true`),
      atHome: false,
    },
    { name: 'Fly: delete the app', open: call('DELETE', ({ tenant }) => `/apps/${tenant.appName}`), atHome: false },
  ];
}

/** Makes every attempt of each party on the other while both interviews are running. */
export async function tryIsolation(stack: Stack, parties: readonly [Party, Party]): Promise<IsolationReport> {
  const [one, two] = await Promise.all([makeHolder(stack, parties[0]), makeHolder(stack, parties[1])]);
  const ways = [...apiWaysOf(stack), ...rowWaysOf(stack), ...socketWays, ...flyWaysOf(stack)];
  const report: IsolationReport = { attempts: 0, opened: 0, controls: { tried: 0, opened: 0 }, wrong: [] };
  for (const [holder, target] of [
    [one, two],
    [two, one],
  ] as const) {
    for (const way of ways) {
      report.attempts += 1;
      if (await way.open(holder, target)) {
        report.opened += 1;
        report.wrong.push(`${holder.tenant.slug} opened ${target.tenant.slug}'s: ${way.name}`);
      }
    }
    for (const way of ways.filter(({ atHome }) => atHome !== false)) {
      report.controls.tried += 1;
      if (await way.open(holder, holder)) report.controls.opened += 1;
      else report.wrong.push(`${holder.tenant.slug} did not open its own: ${way.name}`);
    }
  }
  return report;
}

export const isIsolated = ({ attempts, opened, controls }: IsolationReport): boolean =>
  attempts > 0 && opened === 0 && controls.opened === controls.tried;
