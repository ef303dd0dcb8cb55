import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { webhookMessage } from '@greenroom/shared/protocol/events.ts';
import { deliveryDetails, newWebhookView } from '@greenroom/shared/protocol/webhooks.ts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { allEvents, eventsOfAnotherShape } from '../support/events.ts';
import { until } from '../support/session.ts';

/** The events of a whole tenant: its stream, what its endpoints are told of themselves, and the log of deliveries. */
let world: ApiWorld;
let acme: SeededTenant;
let globex: SeededTenant;
let adminKey: string;
let hookUrl: string;
let status = 200;
const received: Array<{ path: string; body: string }> = [];
const hook = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  received.push({ path: request.url ?? '', body: Buffer.concat(chunks).toString() });
  response.writeHead(request.url === '/broken' ? status : 200).end('{"thanks": true}');
});
const open: AbortController[] = [];

beforeAll(async () => {
  world = await startApiWorld();
  [acme, globex] = [await world.tenant('acme'), await world.tenant('globex')];
  adminKey = await world.key(acme.id, ['webhooks:read', 'webhooks:write', 'sessions:read', 'sessions:write']);
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  hookUrl = `http://127.0.0.1:${(hook.address() as AddressInfo).port}`;
  world.deps.ticker.start();
});
afterEach(async () => {
  for (const abort of open.splice(0)) abort.abort();
  status = 200;
  received.length = 0;
  await world.db.query('delete from public.webhook_endpoints');
});
afterAll(async () => {
  hook.closeAllConnections();
  hook.close();
  // Aborted streams leave a connection for whose end the server would wait until it is 72 s old.
  world?.app.server.closeAllConnections();
  await world?.stop();
});

const create = async (as = acme.apiKey): Promise<string> => {
  const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };
  const made = await world.send('/api/sessions', { method: 'POST', as, body });
  expect(made.status, made.text).toBe(201);
  return made.json.session_id;
};

interface Seen {
  id: number;
  type: string;
  data: Record<string, unknown>;
}

/** Opens a stream and returns what arrives on it, as it arrives. */
async function follow(at: string, as = acme.apiKey, headers: Record<string, string> = {}): Promise<Seen[]> {
  const abort = new AbortController();
  open.push(abort);
  const answer = await fetch(`${world.url}${at}`, {
    headers: { authorization: `Bearer ${as}`, ...headers },
    signal: abort.signal,
  });
  expect(answer.status).toBe(200);
  const seen: Seen[] = [];
  let text = '';
  const read = async () => {
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      text += new TextDecoder().decode(chunk);
      const whole = text.slice(0, text.lastIndexOf('\n\n') + 2);
      text = text.slice(whole.length);
      for (const [, id, type, data] of whole.matchAll(/^id: (\d+)\nevent: (.*)\ndata: (.*)$/gm))
        seen.push({ id: Number(id), type: type as string, data: JSON.parse(data as string) });
    }
  };
  void read().catch(() => undefined);
  return seen;
}

describe('the stream of all of a tenant’s sessions', () => {
  test('brings the events of every session with its id, from now on, and none of another tenant', async () => {
    const before = await create();
    const seen = await follow('/api/events');
    await world.send(`/api/sessions/${before}`, { method: 'DELETE', as: acme.apiKey });
    await create(globex.apiKey);
    await until('the end of the first', () => seen.find(({ type }) => type === 'session.cancelled'));
    const later = await create();
    await until('the second', () => seen.find(({ data }) => data.session_id === later));
    expect(new Set(seen.map(({ data }) => data.session_id))).toEqual(new Set([before, later]));
    expect(seen.filter(({ type }) => type.startsWith('machine.'))).toEqual([]);
    // What happened before the stream was opened is not repeated.
    expect(seen.filter((e) => e.data.session_id === before && e.type === 'session.pending')).toEqual([]);
  });

  test('continues after the event that a client names, by query or by Last-Event-ID', async () => {
    const first = await create();
    const all = await follow('/api/events?after=0');
    await until('the first', () => all.find(({ data }) => data.session_id === first));
    const last = all.at(-1)?.id as number;
    const missed = await create();
    for (const [at, headers] of [
      [`/api/events?after=${last}`, {}],
      // The header goes before the query, which a browser repeats unchanged.
      ['/api/events?after=0', { 'last-event-id': String(last) }],
    ] as const) {
      const rest = await follow(at, acme.apiKey, headers);
      await until('what was missed', () => rest.find(({ data }) => data.session_id === missed));
      expect(new Set(rest.map(({ id }) => id)).size).toBe(rest.length);
    }
  });

  test('brings an event with a smaller id that is committed after one with a larger id', async () => {
    const seen = await follow('/api/events');
    const [slow, fast] = [await create(), await create()];
    await until('both', () => seen.find(({ data }) => data.session_id === fast));
    await world.db.query('begin');
    await world.db.query("select app.emit($1, $2, 'candidate.lost')", [slow, acme.id]);
    await world.send(`/api/sessions/${fast}`, { method: 'DELETE', as: acme.apiKey });
    await until('the fast one', () => seen.find(({ type }) => type === 'session.cancelled'));
    await world.db.query('commit');
    const late = await until('the slow one', () => seen.find(({ type }) => type === 'candidate.lost'));
    expect(late.id).toBeLessThan(seen.find(({ type }) => type === 'session.cancelled')?.id as number);
    expect(seen.filter(({ id }) => id === late.id)).toHaveLength(1);
  });

  test('an unusable position is refused with the name of its field, and too many streams of all sessions too', async () => {
    for (const after of ['-1', 'x', '1.5', '99999999999999999999']) {
      const refused = await world.send(`/api/events?after=${after}`, { as: acme.apiKey });
      expect([refused.status, refused.json.errors?.[0]?.field]).toEqual([422, 'after']);
    }
    for (let n = 0; n < 10; n += 1) await follow('/api/events');
    const refused = await world.send('/api/events', { as: acme.apiKey });
    expect([refused.status, refused.json.detail]).toEqual([
      429,
      'This tenant already has 10 open event streams of all its sessions. Close one, or use webhooks.',
    ]);
    expect((await world.send('/api/events', { as: await world.key(acme.id, ['webhooks:read']) })).status).toBe(403);
  });
});

const addWebhook = async (body: object) => {
  const added = await world.send('/api/webhooks', { method: 'POST', as: adminKey, body });
  expect(added.status, added.text).toBe(201);
  return newWebhookView.parse(added.json);
};
const webhook = async (id: string) => (await world.send(`/api/webhooks/${id}`, { as: adminKey })).json;

describe('webhooks', () => {
  test('a thin message has no data but the session’s id, and an endpoint can be changed to full messages', async () => {
    const { id, payload } = await addWebhook({ url: hookUrl, events: ['session.provisioning'], payload: 'thin' });
    expect(payload).toBe('thin');
    const session_id = await create();
    const message = webhookMessage.parse(JSON.parse((await until('it', () => received[0])).body));
    expect(message).toMatchObject({ type: 'session.provisioning' });
    expect(message.data).toEqual({ session_id });
    await world.send(`/api/webhooks/${id}`, { method: 'PATCH', as: adminKey, body: { payload: 'full' } });
    await create();
    const full = JSON.parse((await until('the second', () => received[1])).body);
    expect(full.data).toMatchObject({ from: 'pending', to: 'provisioning' });
  });

  test('the log of a delivery tells each attempt with its time, status and the beginning of the answer', async () => {
    const { id } = await addWebhook({ url: `${hookUrl}/broken`, events: ['session.pending'] });
    status = 500;
    await create();
    const first = await until('an attempt', async () => {
      const listed = await world.send(`/api/webhooks/${id}/deliveries`, { as: adminKey });
      return listed.json.data.find(({ last_status }: { last_status: number }) => last_status === 500);
    });
    status = 200;
    await world.db.query('update public.webhook_deliveries set next_attempt_at = now()');
    const at = `/api/webhooks/${id}/deliveries/${first.id}`;
    const shown = await until('delivered', async () => {
      const one = deliveryDetails.parse((await world.send(at, { as: adminKey })).json);
      return one.status === 'delivered' ? one : undefined;
    });
    expect(shown.log).toMatchObject([
      { status: 500, error: 'HTTP 500', answer: '{"thanks": true}' },
      { status: 200, error: null, answer: '{"thanks": true}' },
    ]);
    expect(shown.payload).toMatchObject({ type: 'session.pending' });
    // A key of another tenant learns nothing.
    expect((await world.send(at, { as: globex.apiKey })).status).toBe(404);
  });

  test('an endpoint to which nothing is delivered is announced after a day and disabled after three, and told elsewhere', async () => {
    const seen = await follow('/api/events');
    const broken = await addWebhook({ url: `${hookUrl}/broken`, events: ['session.pending'] });
    await addWebhook({ url: `${hookUrl}/works`, events: ['webhook.failing', 'webhook.disabled'] });
    status = 503;
    const failed = async (since: string) => {
      await world.db.query(
        `update public.webhook_endpoints set failures = 9, failing_since = now() - $2::interval where id = $1`,
        [broken.id, since],
      );
      await world.db.query("update public.webhook_deliveries set next_attempt_at = now() where status = 'pending'");
      await create();
    };
    await failed('25 hours');
    const warned = await until('the warning', () => seen.find(({ type }) => type === 'webhook.failing'));
    expect(warned.data).toMatchObject({ webhook_id: broken.id });
    expect(await webhook(broken.id)).toMatchObject({ enabled: true });
    await failed('73 hours');
    const disabled = await until('the end', () => seen.find(({ type }) => type === 'webhook.disabled'));
    expect(disabled.data).toMatchObject({ webhook_id: broken.id, reason: 'not_delivering' });
    expect(disabled.data).not.toHaveProperty('session_id');
    expect(await webhook(broken.id)).toMatchObject({
      enabled: false,
      disabled_reason: 'nothing was delivered for 3 days',
    });
    await until('both on the other endpoint', () => received.filter(({ path }) => path === '/works')[1]);
    const told = received
      .filter(({ path }) => path === '/works')
      .map(({ body }) => webhookMessage.parse(JSON.parse(body)));
    expect(told.map(({ type }) => type).sort()).toEqual(['webhook.disabled', 'webhook.failing']);
    expect(seen.filter(({ type }) => type === 'webhook.failing')).toHaveLength(1);
    const audit = await world.db.query("select actor, action from public.audit_log where action = 'webhook.disable'");
    expect(audit.rows).toEqual([{ actor: 'webhooks', action: 'webhook.disable' }]);
    const body = { enabled: true };
    const enabled = await world.send(`/api/webhooks/${broken.id}`, { method: 'PATCH', as: adminKey, body });
    expect(enabled.json).toMatchObject({ enabled: true, disabled_reason: null, failing_since: null });
  });
});

test('a tenant is told once an hour that it has reached its number of live sessions', async () => {
  const limited = await world.tenant('limited');
  await world.db.query('update public.tenants set max_live_sessions = 1 where id = $1', [limited.id]);
  const seen = await follow('/api/events', limited.apiKey);
  await create(limited.apiKey);
  const body = { candidate: { name: 'Ada' }, position: { title: 'Engineer' } };
  for (let n = 0; n < 3; n += 1)
    expect((await world.send('/api/sessions', { method: 'POST', as: limited.apiKey, body })).status).toBe(429);
  const told = await until('the event', () => seen.find(({ type }) => type === 'quota.reached'));
  expect(told.data).toMatchObject({ quota: 'max_live_sessions', limit: 1, live: 1, queued: 0 });
  const rows = await world.db.query("select 1 from public.session_events where type = 'quota.reached'");
  expect(rows.rows).toHaveLength(1);
});

test('every event of this file matches the schema in docs/events.md', async () => {
  expect(eventsOfAnotherShape((await world.db.query(allEvents)).rows)).toEqual([]);
});
