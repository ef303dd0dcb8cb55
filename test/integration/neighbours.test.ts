import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { createCandidatePeer } from '@greenroom/local-cloud/candidate/candidate-peer.ts';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { lookUpsPerMinute } from '@greenroom/orchestrator/access/authenticate.ts';
import { tenantShare } from '@greenroom/orchestrator/access/shares.ts';
import { mostStreams } from '@greenroom/orchestrator/api/events.ts';
import { linkRequests } from '@greenroom/orchestrator/api/link-limits.ts';
import { createVault, webhookContext } from '@greenroom/orchestrator/tokens/vault.ts';
import { createVideoBudgets } from '@greenroom/orchestrator/video/budgets.ts';
import { senderBounds } from '@greenroom/orchestrator/webhooks/sender.ts';
import { newWebhookSecret } from '@greenroom/orchestrator/webhooks/signing.ts';
import { callEveryMs } from '@greenroom/session-worker/realtime/calls.ts';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { importJWK, SignJWT } from 'jose';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPlatform } from '../../tools/demo/platform.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { hashOf } from '../support/api-world.ts';
import { type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts';
import { sessionBody, until } from '../support/session.ts';
import { openSocket } from '../support/socket.ts';

/**
 * One tenant attacks with everything it has: API keys, a candidate, hanging webhook endpoints, a stolen worker token, reads of
 * recordings; callers without a tenant join in. Its share of each resource stays within the limit in docs/limits.md, and another
 * tenant on the same orchestrator is refused nothing and loses no data.
 */
const leastMs = 15_000;
const mostMs = 120_000;
/** What a limit lets through in the attack: its burst and what comes back, with room for a slow machine. */
const passed = ({ burst, perMinute }: { burst: number; perMinute: number }, spentMs: number): number =>
  burst + Math.ceil((perMinute * spentMs) / 60_000) + 1;

let stack: Stack;
let video: RecordingProxy;
let db: pg.Pool;
let url: string;
let attacker: SeededTenant;
let quiet: SeededTenant;
const cleanups: Array<() => unknown> = [];

beforeAll(async () => {
  stack = await startStack({ orchestrators: 0, voice: { turns: 200, paceMs: 1_000 } });
  video = await startRecordingProxy(stack.cloud.video.url);
  const limits = { API_CALLER_PER_MINUTE: '6000', API_TENANT_PER_MINUTE: '12000' };
  url = (await stack.addOrchestrator({ ...limits, API_VIDEO_URL: video.url })).url;
  db = ownerPool(stack.cloud.supabase.adminDbUrl, 6);
  quiet = stack.tenant;
  attacker = await stack.addTenant('attacker', 'Attacker');
});
afterAll(async () => {
  for (const clean of cleanups.reverse()) await clean();
  await db?.end();
  await stack?.stop();
  await video?.stop();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const sql = async (text: string, values: unknown[] = []) => (await db.query(text, values)).rows;

async function addKey({ id }: SeededTenant, scopes: string[]): Promise<string> {
  const key = `gr_live_${randomBytes(32).toString('base64url')}`;
  await sql('insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes) values ($1, $2, $3, $4, $5)', [
    ...[id, 'test', key.slice(0, 12), hashOf(key), scopes],
  ]);
  return key;
}

/** A finished session with a long transcript, a result and recordings. */
async function finishedSession({ id }: SeededTenant, recordings: number): Promise<string> {
  const [row] = await sql(
    `with p as (insert into public.positions (tenant_id, title, description) values ($1, 'X', repeat('d', 10000)) returning id),
     c as (insert into public.candidates (id) values (gen_random_uuid()) returning id),
     t as (insert into public.tenant_candidates (tenant_id, candidate_id, name) select $1, id, 'X' from c returning candidate_id)
     insert into public.interview_sessions (tenant_id, position_id, candidate_id, candidate, status, expires_at, started_at,
       completed_at, outcome, reason)
     select $1, p.id, t.candidate_id, '{"name": "X"}', 'completed', now(), now(), now(), 'completed', 'ended_by_candidate'
     from p, t returning id`,
    [id],
  );
  const sessionId = row.id as string;
  await sql(
    `insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider, hung_up_at)
     values ($1, $2, 1, 1, 'openai', now())`,
    [sessionId, id],
  );
  await sql(
    `insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, previous_item_id, speaker, text, verified)
     select $1, $2, 1, 'item_' || n, case when n > 1 then 'item_' || n - 1 end, case n % 2 when 1 then 'ai' else 'candidate' end,
       repeat('w', 500), true from generate_series(1, 500) n`,
    [sessionId, id],
  );
  await sql(
    `insert into public.interview_results (session_id, tenant_id, status) values ($1, $2, 'done') on conflict (session_id)
     do update set status = 'done'`,
    [sessionId, id],
  );
  await sql(
    `insert into public.video_segments (session_id, tenant_id, video_id, url)
     select $1, $2, 'vi-' || $3::text || '-' || n, 'https://x.example/' from generate_series(1, $4::int) n`,
    [sessionId, id, sessionId, recordings],
  );
  return sessionId;
}

async function addWebhook(tenant: SeededTenant, hook: string): Promise<string> {
  const id = randomUUID();
  const vault = createVault(Buffer.from(stack.keys.credentials, 'base64'));
  await sql(
    'insert into public.webhook_endpoints (id, tenant_id, url, secret_ciphertext, key_id) values ($1, $2, $3, $4, $5)',
    [id, tenant.id, hook, vault.seal(newWebhookSecret(), webhookContext(id)), vault.keyId],
  );
  return id;
}

/** A server that accepts every connection and never answers. */
async function deafServer() {
  const open = new Map<string, number>();
  const most = { endpoint: 0, tenant: 0, requests: 0 };
  const server = createServer((request, response) => {
    const at = request.url ?? '';
    const change = (by: number) => void open.set(at, (open.get(at) ?? 0) + by);
    change(1);
    response.once('close', () => change(-1));
    most.requests += 1;
    most.endpoint = Math.max(most.endpoint, ...open.values());
    most.tenant = Math.max(
      most.tenant,
      [...open.values()].reduce((sum, n) => sum + n, 0),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, most };
}

interface Counted {
  /** How often each status was answered. */
  [status: number]: number;
}

/** Whether the attack has ended: every part of it has met its bound, or it has lasted for too long. */
type Over = () => boolean;

/** Repeats a request in `lanes` lanes until the attack is over; a refused one is repeated nearly at once. @param counted for others to see */
async function flood(
  lanes: number,
  over: Over,
  send: () => Promise<Response>,
  restMs = 0,
  counted: Counted = {},
): Promise<Counted> {
  const lane = async () => {
    while (!over()) {
      const answer = await send().catch(() => undefined);
      await answer?.arrayBuffer().catch(() => undefined);
      const status = answer?.status ?? 0;
      counted[status] = (counted[status] ?? 0) + 1;
      await pause(status === 200 ? restMs : Math.max(restMs, 20));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return counted;
}

const requestsOf = (key: string, address = '198.51.100.1') => {
  const headers = { authorization: `Bearer ${key}`, 'fly-client-ip': address };
  return {
    get: (at: string) => fetch(`${url}${at}`, { headers }),
    send: (method: string, at: string, body?: unknown) =>
      fetch(`${url}${at}`, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
};

/** @returns the status of each requested stream, and whether it is still open. */
function openStreams(keys: string[], sessionId: string, each: number) {
  const statuses: Array<{ key: string; status: number }> = [];
  for (const key of keys)
    for (let n = 0; n < each; n += 1) {
      const socket = net.connect({ port: Number(new URL(url).port), host: '127.0.0.1' });
      socket.on('error', () => undefined);
      socket.once('data', (bytes) => statuses.push({ key, status: Number(bytes.toString().slice(9, 12)) }));
      socket.resume();
      socket.write(
        `GET /api/sessions/${sessionId}/events HTTP/1.1\r\nhost: x\r\nfly-client-ip: 198.51.100.1\r\nauthorization: Bearer ${key}\r\n\r\n`,
      );
      cleanups.push(() => socket.destroy());
    }
  return statuses;
}

/** The largest number of concurrent statements of the functions that only the attacker calls. */
async function mostStatements(over: Over): Promise<{ reads: number; writes: number }> {
  const most = { reads: 0, writes: 0 };
  while (!over()) {
    const [row] = await sql(
      `select count(*) filter (where query ~ 'list_positions')::int as reads,
         count(*) filter (where query ~ 'create_candidate')::int as writes
       from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()`,
    );
    most.reads = Math.max(most.reads, row.reads);
    most.writes = Math.max(most.writes, row.writes);
    await pause(10);
  }
  return most;
}

async function readySession({ apiKey }: SeededTenant): Promise<SessionView> {
  const platform = createPlatform(url, apiKey);
  const { session_id } = await platform.createSession(sessionBody());
  return platform.waitFor(session_id, ({ status, join_token }) => status === 'ready' && join_token !== null, 60_000);
}

/** The attacker's candidate offers call after call on its socket, as fast as each is answered. */
async function offerCalls(over: Over, session: SessionView, answered: { calls: number }): Promise<number> {
  const { join_token } = session;
  const socket = openSocket(session.websocket_url, { token: join_token ?? '' });
  socket.send({ type: 'init_session', fresh: true });
  await socket.next('session_ready', 90_000);
  const peer = createCandidatePeer();
  cleanups.push(() => peer.close());
  const sdp = await peer.offer();
  let ordinal = 1;
  while (!over()) {
    socket.send({ type: 'sdp_offer', sdp, ordinal });
    if (await socket.next('sdp_answer', 1_500).catch(() => undefined)) ordinal += 1;
    answered.calls = ordinal - 1;
  }
  const [row] = await sql('select count(*)::int as n from public.realtime_calls where session_id = $1', [
    session.session_id,
  ]);
  socket.close();
  return row.n;
}

/** A worker token, stolen from a machine whose session goes on, opens call after call. @returns what was minted */
async function openCallsByWorkerToken(over: Over, session: SessionView, counted: Counted): Promise<Counted> {
  const [row] = await sql('select tenant_id, machine_id, epoch from public.interview_sessions where id = $1', [
    session.session_id,
  ]);
  const key = stack.keys.db as unknown as { kid: string };
  const token = await new SignJWT({ ...row, session_id: session.session_id, role: 'session_worker' })
    .setProtectedHeader({ alg: 'ES256', kid: key.kid })
    .setIssuer(stack.publicUrl)
    .setAudience(['authenticated', 'greenroom:worker-api'])
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(await importJWK({ ...key, alg: 'ES256' } as never));
  const open = () =>
    fetch(`${url}/worker/v1/calls`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ordinal: 1 }),
    });
  return flood(4, over, open, 0, counted);
}

/** The other tenant's day: reads, a stream, two interviews that begin, a webhook that must be delivered. */
async function liveQuietly(over: Over, finished: string, started: string[]) {
  const { get } = requestsOf(quiet.apiKey, '203.0.113.7');
  const statuses: Record<string, Counted> = {};
  const note = (name: string, counted: Counted) => {
    statuses[name] = counted;
  };
  const platform = createPlatform(url, quiet.apiKey);
  const watch = new AbortController();
  const heard: string[] = [];
  const begin = async () => {
    const session = await platform.createSession(sessionBody(), { prefer: 'wait=30' });
    const events = platform.events(session.session_id, watch.signal);
    void (async () => {
      for await (const { type } of events) heard.push(`${session.session_id} ${type}`);
    })().catch(() => undefined);
    await platform.waitFor(session.session_id, ({ status }) => status === 'ready', 60_000);
    started.push(session.session_id);
  };
  await Promise.all([
    flood(1, over, () => get(`/api/sessions/${finished}`), 50).then((c) => note('show', c)),
    flood(1, over, () => get('/api/sessions?limit=20'), 100).then((c) => note('list', c)),
    flood(1, over, () => get(`/api/sessions/${finished}/transcript`), 500).then((c) => note('transcript', c)),
    flood(1, over, () => get(`/api/sessions/${finished}/recordings`), 4_000).then((c) => note('recordings', c)),
    begin().then(() => begin()),
  ]);
  return { statuses, heard, leave: () => watch.abort() };
}

test('an attacking tenant stays within every bound, and its neighbour is refused nothing and loses nothing', {
  timeout: 300_000,
}, async () => {
  const [target, theirs] = [await finishedSession(attacker, 20), await finishedSession(quiet, 1)];
  await sql(
    "insert into public.positions (tenant_id, title, description) select $1, 'X', repeat('d', 10000) from generate_series(1, 120)",
    [attacker.id],
  );
  const [deaf, received] = [await deafServer(), [] as string[]];
  const hearing = createServer((request, response) => {
    request.resume();
    received.push(String(request.headers['webhook-id']));
    response.end();
  });
  await new Promise<void>((resolve) => hearing.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => hearing.close());
  for (let n = 0; n < 10; n += 1) await addWebhook(attacker, `${deaf.url}/${n}`);
  const endpoint = await addWebhook(quiet, `http://127.0.0.1:${(hearing.address() as AddressInfo).port}/`);
  for (let n = 0; n < 40; n += 1) await sql("select app.emit($1, $2, 'candidate.lost', '{}')", [target, attacker.id]);
  const readKeys = [await addKey(attacker, ['sessions:read']), await addKey(attacker, ['sessions:read'])];
  const readKey = readKeys[0] as string;
  const allOf = requestsOf(
    await addKey(attacker, ['sessions:read', 'sessions:write', 'people:read', 'people:write', 'webhooks:write']),
  );
  const reader = requestsOf(readKey);

  const [spoken, stolen] = [await readySession(attacker), await readySession(attacker)];
  // The attacker had its result made again seven times before.
  await sql('update public.interview_results set reruns = 7 where session_id = $1', [target]);
  const startedMs = performance.now();
  const [writes, reruns, minted, opened, started]: [Counted, Counted, Counted, { calls: number }, string[]] = [
    ...([{}, {}, {}] as const),
    { calls: 0 },
    [],
  ];
  const isAtItsBounds = () =>
    (writes[201] ?? 0) > 10 &&
    (reruns[409] ?? 0) > 0 &&
    (minted[429] ?? 0) > 0 &&
    opened.calls > 2 &&
    started.length === 2 &&
    deaf.most.requests >= senderBounds.perTenant &&
    video.requests.filter((one) => one.includes(target)).length > 8;
  const over: Over = () => {
    const spentMs = performance.now() - startedMs;
    return spentMs > mostMs || (spentMs > leastMs && isAtItsBounds());
  };
  const streams = openStreams([...readKeys, attacker.apiKey], target, 260);
  let stranger = 0;
  const [lists, , recordings, , , uploads, unknownKeys, madeUpCodes, oneLink, calls, , statements, neighbour] =
    await Promise.all([
      flood(20, over, () => allOf.get('/api/positions?limit=100')),
      flood(5, over, () => reader.get(`/api/sessions/${target}/transcript`)),
      flood(5, over, () => reader.get(`/api/sessions/${target}/recordings`)),
      flood(20, over, () => allOf.send('POST', '/api/candidates', { name: 'X' }), 0, writes),
      flood(2, over, () => allOf.send('POST', `/api/sessions/${target}/result/rerun`), 100, reruns),
      (async () => {
        let stored = 0;
        for (let n = 0; !over(); n += 1) {
          const entries = [{ ordinal: 1, item_id: `copy_${n}`, speaker: 'candidate', text: 'x'.repeat(10_000) }];
          const [row] = await sql('select public.upload_transcript($1, $2, $3) as answer', [
            ...[target, attacker.id, JSON.stringify(entries)],
          ]);
          if (row.answer.kind === 'stored') stored += 1;
          await pause(20);
        }
        return stored;
      })(),
      flood(2, over, () => {
        stranger += 1;
        return requestsOf(
          `gr_live_${'x'.repeat(30)}${stranger}`,
          `2001:db8:${(stranger % 60_000).toString(16)}::1`,
        ).get('/api/sessions');
      }),
      flood(2, over, () => {
        stranger += 1;
        return requestsOf('', `2001:db8:${(stranger % 60_000).toString(16)}::1`).send('POST', '/api/join', {
          ...{ session_id: randomUUID(), code: randomBytes(16).toString('base64url') },
        });
      }),
      flood(1, over, () => {
        stranger += 1;
        return requestsOf('', `2001:db8:${(stranger % 60_000).toString(16)}::1`).send('POST', '/api/join', {
          ...{ session_id: target, code: 'one-code-for-every-address' },
        });
      }),
      offerCalls(over, spoken, opened),
      openCallsByWorkerToken(over, stolen, minted),
      mostStatements(over),
      liveQuietly(over, theirs, started),
    ]);
  const spentMs = performance.now() - startedMs;

  const figures = {
    ...{ lists, recordings, writes, reruns, uploads, unknownKeys, madeUpCodes, oneLink, calls, minted, statements },
    ...{
      deaf: deaf.most,
      streams: streams.filter(({ status }) => status === 200).length,
      neighbour: neighbour.statuses,
    },
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);

  // The attack was one: each part of it met its bound.
  expect(isAtItsBounds()).toBe(true);
  expect(Object.keys(lists)).toContain('200');

  // The attacker's limits.
  const open = streams.filter(({ status }) => status === 200);
  expect(open.length).toBeLessThanOrEqual(mostStreams.tenant);
  for (const key of readKeys)
    expect(open.filter((one) => one.key === key).length).toBeLessThanOrEqual(mostStreams.credential);
  expect(statements.reads).toBeLessThanOrEqual(tenantShare.atOnce);
  expect(statements.writes).toBeLessThanOrEqual(tenantShare.atOnce);
  expect(deaf.most.endpoint).toBeLessThanOrEqual(senderBounds.perEndpoint);
  expect(deaf.most.tenant).toBeLessThanOrEqual(senderBounds.perTenant);
  expect(calls).toBeLessThanOrEqual(passed({ burst: 8, perMinute: 60_000 / callEveryMs }, spentMs));
  expect(minted[201] ?? 0).toBeLessThanOrEqual(passed({ burst: 32, perMinute: 12 }, spentMs));
  const watched = video.requests.filter((one) => one.includes(target)).length;
  const [watching] = createVideoBudgets(stack.cloud.video.url).of('watching', attacker.id);
  expect(watched).toBeLessThanOrEqual(passed(watching as { burst: number; perMinute: number }, spentMs));
  const [evaluated] = await sql('select reruns, takes from public.interview_results where session_id = $1', [target]);
  expect(evaluated.reruns).toBe(10);
  expect(evaluated.takes).toBeLessThanOrEqual(10 + 15 + 1);
  expect(uploads).toBeLessThanOrEqual(15);
  const looked = (counted: Counted) =>
    Object.entries(counted).reduce((sum, [status, n]) => (status === '429' ? sum : sum + n), 0);
  expect(looked(unknownKeys)).toBeLessThanOrEqual(
    passed({ burst: lookUpsPerMinute.all, perMinute: lookUpsPerMinute.all }, spentMs),
  );
  expect(looked(oneLink)).toBeLessThanOrEqual(
    passed({ burst: linkRequests.link, perMinute: linkRequests.link }, spentMs),
  );
  expect(looked(madeUpCodes)).toBeLessThanOrEqual(
    passed({ burst: linkRequests.unknown, perMinute: linkRequests.unknown }, spentMs),
  );

  // The neighbour: no 429, no 503, nothing lost.
  for (const [name, counted] of Object.entries(neighbour.statuses))
    expect([name, Object.keys(counted)]).toEqual([name, ['200']]);
  expect(started).toHaveLength(2);
  for (const id of started)
    await until('its events were heard', () => neighbour.heard.includes(`${id} session.ready`), 90_000);
  neighbour.leave();
  const left = await until(
    'all of its deliveries arrived',
    async () => {
      const rows = await sql(
        'select status, count(*)::int as n from public.webhook_deliveries where endpoint_id = $1 group by status',
        [endpoint],
      );
      return rows.every(({ status }) => status === 'delivered') && rows.length > 0 ? rows : undefined;
    },
    90_000,
  );
  expect(left[0].n).toBeGreaterThanOrEqual(4);
  expect(new Set(received).size).toBe(left[0].n);
});

test('a page of a list has a limited size in bytes, and all pages together contain every row', {
  timeout: 60_000,
}, async () => {
  const most = 300_000;
  const pages = async (send: (cursor: string) => Promise<Response>) => {
    const ids: string[] = [];
    let cursor = '';
    for (let n = 0; n < 20; n += 1) {
      const text = await (await send(cursor)).text();
      expect(text.length).toBeLessThan(most);
      const page = JSON.parse(text);
      ids.push(...page.data.map((one: { id: string }) => one.id));
      if (page.next_cursor === null) return ids;
      cursor = `&cursor=${page.next_cursor}`;
    }
    throw new Error('the list does not end');
  };
  await sql(
    "insert into public.positions (tenant_id, title, description) select $1, 'X', repeat('ä', 10000) from generate_series(1, 150)",
    [quiet.id],
  );
  await sql(
    `insert into public.tenants (name, slug, settings)
     select 'X', 'listed-' || n, jsonb_build_object('interviewer_template', repeat('x', 20000)) from generate_series(1, 150) n`,
  );
  const readers = requestsOf(await addKey(quiet, ['people:read']));
  const positions = await pages((cursor) => readers.get(`/api/positions?limit=100${cursor}`));
  const operator = requestsOf(stack.operatorToken);
  const tenants = await pages((cursor) => operator.get(`/api/tenants?limit=100${cursor}`));
  const [stored] = await sql(
    'select (select count(*)::int from public.positions where tenant_id = $1) as positions, (select count(*)::int from public.tenants) as tenants',
    [quiet.id],
  );
  expect([new Set(positions).size, positions.length]).toEqual([stored.positions, stored.positions]);
  expect([new Set(tenants).size, tenants.length]).toEqual([stored.tenants, stored.tenants]);
});
