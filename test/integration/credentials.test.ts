import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { until } from '../support/session.ts';

/**
 * Every credential that can be revoked: it is revoked at one orchestrator, and refused at another within a second; what is open
 * with it there ends within a second. SECURITY.md lists all credentials with their tests.
 */
let one: ApiWorld;
let other: Awaited<ReturnType<ApiWorld['another']>>;
let acme: SeededTenant;
let admin: string;

beforeAll(async () => {
  one = await startApiWorld();
  other = await one.another();
  acme = await one.tenant('acme');
  admin = await one.key(acme.id, ['sessions:read', 'sessions:write', 'people:write', 'tenant:read', 'tenant:admin']);
});
afterAll(() => one.stop());

const guaranteedMs = 1_000;
/** How late a busy machine may run a timer. */
const lateMs = 1_000;
const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };
const create = (as = admin) =>
  until('a session is made', async () => {
    const answer = await one.send('/api/sessions', { method: 'POST', as, body });
    return answer.status === 201 ? answer.json : undefined;
  });

/** A stream of events at the other orchestrator, and when it ended. */
async function streamAt(sessionId: string, credential: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${other.url}/api/sessions/${sessionId}/events`, {
    headers: { authorization: `Bearer ${credential}`, ...headers },
  });
  expect(answer.status).toBe(200);
  const ended = (async () => {
    for await (const _chunk of answer.body as ReadableStream<Uint8Array>);
    return performance.now();
  })().catch(() => performance.now());
  return { ended };
}

/**
 * Uses the credential at the other orchestrator again and again until it is refused. @returns when that was, and how long the slowest
 * answer took: what this machine is slow by does not count.
 */
async function refusedAt(use: () => Promise<{ status: number }>, refusal: number) {
  let slowestMs = 0;
  for (;;) {
    const startedMs = performance.now();
    const { status } = await use();
    const endedMs = performance.now();
    slowestMs = Math.max(slowestMs, endedMs - startedMs);
    if (status === refusal) return { atMs: endedMs, slowestMs };
    expect(status).toBeLessThan(300);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface Held {
  credential: string;
  headers?: Record<string, string>;
  /** Through the API of the first orchestrator. */
  revoke(): Promise<{ status: number }>;
  refusal: number;
}

const expectEnded = async (sessionId: string, { credential, headers = {}, revoke, refusal }: Held) => {
  const use = () => other.send(`/api/sessions/${sessionId}`, { as: credential, headers });
  expect((await use()).status).toBe(200);
  const { ended } = await streamAt(sessionId, credential, headers);
  expect((await revoke()).status).toBeLessThan(300);
  const revokedMs = performance.now();
  const [{ atMs, slowestMs }, endedMs] = await Promise.all([refusedAt(use, refusal), ended]);
  expect(atMs - revokedMs).toBeLessThan(guaranteedMs + lateMs + slowestMs);
  expect(endedMs - revokedMs).toBeLessThan(guaranteedMs + lateMs + slowestMs);
  const used = await one.send(`/api/sessions/${sessionId}`, { as: credential, headers });
  expect(used.status).toBe(refusal);
};

const makeKey = async (tenantId = acme.id, as = admin) => {
  const made = await one.send(`/api/tenants/${tenantId}/api-keys`, {
    ...{ method: 'POST', as, body: { name: 'test', scopes: ['sessions:read'] } },
  });
  expect(made.status).toBe(201);
  return made.json as { id: string; key: string };
};

describe('revoked at one orchestrator, used and open at another', () => {
  test('an API key that is revoked', async () => {
    const { session_id } = await create();
    const { id, key } = await makeKey();
    const revoke = () => one.send(`/api/tenants/${acme.id}/api-keys/${id}`, { method: 'DELETE', as: admin });
    await expectEnded(session_id, { credential: key, revoke, refusal: 401 });
  });

  test('an API key that was rotated without an overlap', async () => {
    const { session_id } = await create();
    const { id, key } = await makeKey();
    const revoke = () =>
      one.send(`/api/tenants/${acme.id}/api-keys/${id}/rotate`, {
        ...{ method: 'POST', as: admin, body: { overlap_minutes: 0 } },
      });
    await expectEnded(session_id, { credential: key, revoke, refusal: 401 });
  });

  test('an API key whose tenant is suspended', async () => {
    const tenant = await one.tenant('suspended');
    const { session_id } = await create(tenant.apiKey);
    const credential = await one.key(tenant.id, ['sessions:read']);
    const revoke = () =>
      one.send(`/api/tenants/${tenant.id}`, {
        ...{ method: 'PATCH', as: one.operatorToken, body: { status: 'suspended' } },
      });
    await expectEnded(session_id, { credential, revoke, refusal: 403 });
  });

  test('an API key whose tenant is removed', async () => {
    const tenant = await one.tenant('removed');
    const { session_id } = await create(tenant.apiKey);
    const credential = await one.key(tenant.id, ['sessions:read']);
    const revoke = () => one.send(`/api/tenants/${tenant.id}`, { method: 'DELETE', as: one.operatorToken });
    await expectEnded(session_id, { credential, revoke, refusal: 401 });
  });

  test("a user's token whose membership ended", async () => {
    const { session_id } = await create();
    const user = await one.user('member@acme.test', { [acme.id]: 'member' });
    const revoke = () => one.send(`/api/tenants/${acme.id}/users/${user.id}`, { method: 'DELETE', as: admin });
    const headers = { 'greenroom-tenant': acme.id };
    await expectEnded(session_id, { credential: user.token, headers, revoke, refusal: 403 });
  });

  test("a user's token whose role has lost the right", async () => {
    const user = await one.user('writer@acme.test', { [acme.id]: 'member' });
    const use = () => other.send('/api/candidates', { method: 'POST', as: user.token, body: { name: 'Ada' } });
    expect((await use()).status).toBe(201);
    const boss = await one.user('boss@acme.test', { [acme.id]: 'admin' });
    const put = await one.send(`/api/tenants/${acme.id}/users/${user.id}`, {
      ...{ method: 'PUT', as: boss.token, body: { role: 'viewer' } },
    });
    expect(put.status).toBe(204);
    const changedMs = performance.now();
    const { atMs, slowestMs } = await refusedAt(use, 403);
    expect(atMs - changedMs).toBeLessThan(guaranteedMs + lateMs + slowestMs);
  });

  test('an invitation code that is revoked', async () => {
    const { session_id } = await create();
    const made = await one.send(`/api/sessions/${session_id}/invitations`, { method: 'POST', as: admin });
    expect(made.status).toBe(201);
    const [row] = (
      await one.db.query(
        'select id from public.session_invitations where session_id = $1 order by created_at desc limit 1',
        [session_id],
      )
    ).rows;
    const code = new URL(made.json.join_url).hash.slice(1);
    const use = () =>
      other.send('/api/join', { headers: { 'greenroom-session': session_id, 'greenroom-invitation': code } });
    expect((await use()).status).toBe(200);
    const revoked = await one.send(`/api/sessions/${session_id}/invitations/${row.id}`, {
      method: 'DELETE',
      as: admin,
    });
    expect(revoked.status).toBeLessThan(300);
    expect((await use()).status).toBe(410);
  });

  test('a join token whose session has ended: a socket that waits at the other is closed, and none is opened', async () => {
    const { session_id, join_token } = await create();
    const open = () =>
      new WebSocket(`${other.url.replace('http', 'ws')}/ws/sessions/${session_id}`, [
        'greenroom.v1',
        `greenroom.token.${join_token}`,
      ]);
    const closed = (socket: WebSocket) =>
      new Promise<{ code: number; atMs: number }>((resolve) =>
        socket.once('close', (code) => resolve({ code, atMs: performance.now() })),
      );
    const waiting = closed(open());
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ended = await one.send(`/api/sessions/${session_id}`, { method: 'DELETE', as: admin });
    expect(ended.status).toBe(200);
    const endedMs = performance.now();
    const probeMs = performance.now();
    const late = await closed(open());
    const slowestMs = performance.now() - probeMs;
    expect(late.code).toBe(4410);
    const { code, atMs } = await waiting;
    expect(code).toBe(4410);
    expect(atMs - endedMs).toBeLessThan(guaranteedMs + lateMs + slowestMs);
  });

  test('a reconnect token whose session has ended opens no socket, although it is good for longer', async () => {
    const { session_id } = await create();
    const ids = { session_id, tenant_id: acme.id };
    const token = await one.deps.browserTokens.mintReconnect(ids, 3_600_000);
    const ended = await one.send(`/api/sessions/${session_id}`, { method: 'DELETE', as: admin });
    expect(ended.status).toBe(200);
    const socket = new WebSocket(`${other.url.replace('http', 'ws')}/ws/sessions/${session_id}`, [
      'greenroom.v1',
      `greenroom.token.${token}`,
    ]);
    expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(4410);
  });

  /** A session on a machine, and the token of its worker. */
  async function served(): Promise<{ session_id: string; token: string }> {
    const { session_id } = await create();
    const machineId = randomUUID();
    await one.db.query(
      `insert into public.machines (id, tenant_id, session_id, app_name, region, image, state, epoch)
       values ($1, $2, $3, $4, 'fra', 'image', 'claimed', 1)`,
      [machineId, acme.id, session_id, acme.appName],
    );
    await one.db.query('update public.interview_sessions set machine_id = $2, epoch = 1 where id = $1', [
      session_id,
      machineId,
    ]);
    const claims = { session_id, tenant_id: acme.id, machine_id: machineId, epoch: 1 };
    const { token } = await one.deps.databaseTokens.mintWorker({ role: 'session_worker', ...claims } as never);
    return { session_id, token };
  }
  const heartbeat = (token: string) =>
    other.send('/worker/v1/heartbeat', {
      method: 'POST',
      as: token,
      body: { presence: 'absent', unsaved_entries: 0 },
    });

  test('a heartbeat, which comes every few seconds, writes a line at debug, and a refused one at info', async () => {
    const { token } = await served();
    const levels = async (as: string) => {
      const before = one.lines.length;
      await heartbeat(as);
      const lines = one.lines.slice(before).filter((line) => line.includes('/worker/v1/heartbeat'));
      return lines.map((line) => (JSON.parse(line) as { level: string }).level);
    };
    expect(await levels(token)).toEqual(['debug']);
    expect(await levels(`${token}x`)).toEqual(['info']);
  });

  test('a worker token whose session went to another machine', async () => {
    const { session_id, token } = await served();
    const beat = () => heartbeat(token);
    expect((await beat()).json.directive.kind).toBe('continue');
    await one.db.query('update public.interview_sessions set epoch = 2, machine_id = null where id = $1', [session_id]);
    expect((await beat()).json.directive.kind).toBe('fenced');
    const call = await other.send('/worker/v1/calls', { method: 'POST', as: token, body: { ordinal: 1 } });
    expect(call.json).toMatchObject({ status: 409, code: 'fenced' });
    const append = await fetch(`${one.supabase.url}/rest/v1/rpc/append_transcript`, {
      method: 'POST',
      headers: {
        apikey: one.supabase.publishableKey,
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ p_entries: [] }),
    });
    expect(append.status).toBe(409);
  });
});
