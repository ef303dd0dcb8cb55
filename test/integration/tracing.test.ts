import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { endOf, machinesOf, platformOf, sessionBody, startInterview, until } from '../support/session.ts';

/** One trace from the platform's request through Fly to the worker and the voice provider, at a real OTLP receiver. */
describe('tracing', () => {
  let receiver: OtlpReceiver;
  let stack: Stack;
  let db: pg.Pool;
  let endpoint: { server: Server; url: string; headers: IncomingHttpHeaders[] };

  /** A tenant's server that receives webhooks. It refuses the first. */
  async function startEndpoint() {
    const headers: IncomingHttpHeaders[] = [];
    const server = createServer((request, response) => {
      headers.push(request.headers);
      request.resume();
      response.writeHead(headers.length === 1 ? 503 : 200).end('said by the server of the tenant');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return { server, url: `http://127.0.0.1:${port}/hook?key=secret-of-the-url`, headers };
  }

  beforeAll(async () => {
    receiver = await startOtlpReceiver();
    endpoint = await startEndpoint();
    stack = await startStack({
      orchestrators: 2,
      voice: { turns: 3, paceMs: 100 },
      flyLimits: false,
      environment: {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-backend-key=the%20key',
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '300',
        POOL_TICK_MS: '200',
        STANDBY_BUILD_MS: '2000',
        SCHEDULE_LEAD_MS: '1000',
        LEASE_MS: '2500',
        HEARTBEAT_MS: '500',
        VIDEO_GRACE_MS: '100',
      },
    });
    db = ownerPool(stack.cloud.supabase.dbUrl, 2);
  });
  beforeEach(() => {
    receiver.mood = 'well';
  });
  afterAll(async () => {
    await db?.end();
    await stack?.stop();
    await receiver?.stop();
    endpoint?.server.close();
  });

  const newTrace = (flags = '01') => {
    const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
    return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` };
  };
  const spansOf = (traceId: string): ReceivedSpan[] => receiver.spans.filter((span) => span.traceId === traceId);
  const names = (spans: ReceivedSpan[]): string[] => [...new Set(spans.map(({ name }) => name))].toSorted();
  const seen = (traceId: string, name: string, count = 1) =>
    until(
      `${count} × ${name} in ${names(spansOf(traceId)).join(', ')}`,
      () => spansOf(traceId).filter((span) => span.name === name).length >= count,
    );

  /** Each process exports by itself, so a span's children and the ends of other work may arrive before it. */
  const seenAll = async (traceId: string, wanted: string[]) => {
    for (const name of wanted) await seen(traceId, name);
  };

  /** An interview whose creation carries a trace context, until all its spans have arrived. */
  async function interviewIn(
    trace: { traceId: string; traceparent: string },
    meanwhile?: (sessionId: string) => Promise<void>,
  ) {
    const session = await platformOf(stack).createSession(sessionBody(), { traceparent: trace.traceparent });
    const interview = await startInterview(stack, undefined, {}, session);
    if (meanwhile) {
      await until('the conversation has begun', () => interview.said() > 1);
      await meanwhile(session.session_id);
    }
    expect(await interview.ended).toMatchObject({ outcome: 'completed' });
    const ended = await endOf(stack, session.session_id);
    await seenAll(trace.traceId, ['claim', 'teardown', 'evaluate']);
    return ended;
  }

  /** No span of the trace hangs in the air: each belongs to another of it, or to the platform's own. */
  const expectWhole = async (traceId: string, platformSpanId: string) => {
    const orphans = () => {
      const spans = spansOf(traceId);
      const known = new Set([platformSpanId, ...spans.map(({ spanId }) => spanId)]);
      return spans.filter(({ parentSpanId }) => !known.has(parentSpanId)).map(({ name }) => name);
    };
    await expect.poll(orphans, { timeout: 30_000 }).toEqual([]);
    for (const { startMs, endMs } of spansOf(traceId)) expect(endMs).toBeGreaterThanOrEqual(startMs);
  };
  const ofSession = [
    ...['POST /api/sessions', 'database create_sessions', 'claim_sessions', 'claim', 'edge wait', 'candidate socket'],
    'GET /ws/sessions/:id',
    ...['ask for credential', 'POST /worker/v1/calls', 'provider mint credential'],
    ...['offer and answer', 'provider create call', 'provider sideband', 'store call id'],
    ...['database append_transcript', 'database worker_report', 'provider hang up', 'report end', 'teardown'],
  ];
  const setPool = (hot: number, standby: number) =>
    db.query(
      `insert into public.pool_policies (tenant_id, region, floor, ceiling, hot_floor, hot_ceiling)
       values ($1, 'fra', $3, $3, $2, $2) on conflict (tenant_id, region) do update
         set floor = $3, ceiling = $3, hot_floor = $2, hot_ceiling = $2`,
      [stack.tenant.id, hot, standby],
    );
  const prepared = async (state: 'created' | 'started') => {
    const { rows } = await db.query(
      `select fly_machine_id from public.machines where session_id is null and state = $1 and hot = ($1 = 'started')`,
      [state],
    );
    return rows.length;
  };

  test('a cold start is one trace, from the request with its traceparent to the provider’s call', async () => {
    const trace = newTrace();
    const session = await interviewIn(trace);
    const cold = ['create machine', 'fly create', 'database record_machine_created', 'boot worker'];
    await seenAll(trace.traceId, [...ofSession, ...cold]);
    const spans = spansOf(trace.traceId);
    await expectWhole(trace.traceId, trace.spanId);
    const one = (name: string) => spans.find((span) => span.name === name) as ReceivedSpan;
    const request = one('POST /api/sessions');
    expect(request).toMatchObject({ parentSpanId: trace.spanId, kind: 2, service: 'greenroom-orchestrator' });
    expect(request.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/api/sessions',
      'http.response.status_code': 201,
      'greenroom.tenant_id': stack.tenant.id,
      'greenroom.session_id': session.session_id,
      'greenroom.request_id': expect.any(String),
    });
    expect(one('fly create').attributes).toMatchObject({
      'http.response.status_code': 200,
      'greenroom.fly_request_id': expect.any(String),
    });
    expect(one('provider create call')).toMatchObject({ service: 'greenroom-session-worker', failure: undefined });
    // The ids of a worker's spans come from its token.
    expect(one('claim').attributes).toMatchObject({
      'greenroom.session_id': session.session_id,
      'greenroom.tenant_id': stack.tenant.id,
      'greenroom.machine_id': expect.any(String),
      'greenroom.epoch': 1,
    });
    expect(receiver.headers).toMatchObject({ 'x-backend-key': 'the key' });
  });

  test('the log lines of one interview, of the API, the jobs and the worker, have its trace id and its session id', async () => {
    const trace = newTrace();
    const { session_id } = await interviewIn(trace);
    const lines = stack.logLines
      .filter((line) => line.includes(trace.traceId) || line.includes(session_id))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const line = (msg: string) => lines.find((one) => one.msg === msg) ?? expect.fail(`not logged: ${msg}`);
    const ids = { session_id, tenant_id: stack.tenant.id, trace_id: trace.traceId };
    expect(lines.find((one) => one.path === '/api/sessions')).toMatchObject({
      ...ids,
      request_id: expect.any(String),
      msg: 'request answered',
    });
    expect(line('machine created')).toMatchObject({
      ...ids,
      component: 'orchestrator',
      machine_id: expect.any(String),
    });
    expect(lines.filter((one) => one.msg === 'session claimed')).toEqual([
      expect.objectContaining({ ...ids, machine_id: expect.any(String) }),
      expect.objectContaining({ ...ids, machine_id: expect.any(String) }),
    ]);
    for (const msg of ['realtime call created', 'sideband attached', 'session concluded'])
      expect(line(msg)).toMatchObject({ ...ids, component: 'session-worker', machine_id: expect.any(String) });
    const evaluated = await until('it is evaluated', () =>
      stack.logLines.find((one) => one.includes(session_id) && one.includes('evaluation attempt ended')),
    );
    expect(JSON.parse(evaluated)).toMatchObject(ids);
    await seen(trace.traceId, 'evaluate');
    expect(line('worker finished')).toMatchObject({
      ...ids,
      component: 'orchestrator',
      request_id: expect.any(String),
    });
  });

  /** The log lines with this message about a session. Each must carry the ids of the session, its tenant and its trace. */
  const linesOf = (sessionId: string, msg: string) =>
    stack.logLines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line.msg === msg && line.session_id === sessionId);
  const logged = (sessionId: string, msg: string, count = 1) =>
    until(`${count} × ${msg}`, () => {
      const lines = linesOf(sessionId, msg);
      return lines.length >= count ? lines : undefined;
    });
  const create = async (trace: { traceparent: string }, body: Record<string, unknown> = {}) => {
    const session = await platformOf(stack).createSession(sessionBody(body), { traceparent: trace.traceparent });
    const { session_id } = session;
    return { session, ids: { session_id, tenant_id: stack.tenant.id } };
  };

  test('the webhooks of a session are delivered in its trace, and the endpoint learns nothing of it', async () => {
    const authorization = { authorization: `Bearer ${stack.tenant.apiKey}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ url: endpoint.url, events: ['session.ready'] });
    const made = await fetch(`${stack.publicUrl}/api/webhooks`, { method: 'POST', headers: authorization, body });
    expect(made.status).toBe(201);
    const { id } = (await made.json()) as { id: string };
    const trace = newTrace();
    const { session, ids } = await create(trace);
    await seen(trace.traceId, 'deliver webhook', 2);
    await fetch(`${stack.publicUrl}/api/webhooks/${id}`, { method: 'DELETE', headers: authorization });
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
    const spans = spansOf(trace.traceId);
    const named = (name: string) =>
      spans.filter((span) => span.name === name).toSorted((one, other) => one.startMs - other.startMs);
    expect(named('deliver webhook').map(({ attributes }) => attributes)).toMatchObject([
      { 'greenroom.attempt': 1, 'greenroom.outcome': 'retry', 'greenroom.session_id': session.session_id },
      { 'greenroom.attempt': 2, 'greenroom.outcome': 'delivered', 'greenroom.session_id': session.session_id },
    ]);
    expect(named('webhook request')).toMatchObject([
      { kind: 3, failure: '503', parentSpanId: named('deliver webhook')[0]?.spanId },
      { kind: 3, failure: undefined, attributes: { 'http.response.status_code': 200 } },
    ]);
    expect(await logged(session.session_id, 'webhook delivery attempted', 2)).toMatchObject([
      { ...ids, trace_id: trace.traceId, attempt: 1 },
      { ...ids, trace_id: trace.traceId, attempt: 2 },
    ]);
    expect(endpoint.headers).toHaveLength(2);
    for (const headers of endpoint.headers) expect(headers).not.toHaveProperty('traceparent');
    await seen(trace.traceId, 'teardown');
    await expectWhole(trace.traceId, trace.spanId);
  });

  test('the steps of a recording and their requests to api.video are in the trace of the session', async () => {
    const refusal = { kind: 'status', status: 503, body: { title: 'Unavailable' } } as const;
    stack.cloud.video.faults.add({ on: 'videos.create', action: refusal, times: 1 });
    const trace = newTrace();
    const { session, ids } = await create(trace, { settings: { record_video: true } });
    await seen(trace.traceId, 'video create token');
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
    await seen(trace.traceId, 'video delete token');
    await seen(trace.traceId, 'teardown');
    const spans = spansOf(trace.traceId);
    const created = spans.filter(({ name }) => name === 'video create');
    expect(created.map(({ failure }) => failure)).toEqual(['503', undefined]);
    const step = spans.find(({ spanId }) => spanId === created[0]?.parentSpanId);
    expect(step).toMatchObject({
      name: 'recording step',
      attributes: { 'greenroom.session_id': session.session_id, 'greenroom.ordinal': 1, 'greenroom.state': 'wanted' },
    });
    expect((await logged(session.session_id, 'recording step failed'))[0]).toMatchObject({
      ...ids,
      trace_id: trace.traceId,
    });
    await expectWhole(trace.traceId, trace.spanId);
  });

  test('a replayed socket and a refused one each have a span and a log line in the session’s trace', async () => {
    const trace = newTrace();
    const { session, ids } = await create(trace);
    const interview = await startInterview(stack, undefined, {}, session);
    expect(await interview.ended).toMatchObject({ outcome: 'completed' });
    await endOf(stack, session.session_id);
    const late = new WebSocket(`${session.websocket_url}?token=${session.join_token}`);
    const [code] = (await once(late, 'close')) as [number];
    expect(code).toBe(4410);
    await until('the refused socket is exported', () =>
      spansOf(trace.traceId).some(({ attributes }) => attributes['greenroom.close_code'] === 4410),
    );
    await seenAll(trace.traceId, ['GET /ws/sessions/:id', 'teardown']);
    const sockets = spansOf(trace.traceId).filter(({ name }) => name === 'GET /ws/sessions/:id');
    const ofBoth = { 'http.route': '/ws/sessions/:id', 'greenroom.session_id': session.session_id };
    // A browser that loses its socket asks again, and is replayed again.
    const refused = sockets.filter(({ attributes }) => 'greenroom.close_code' in attributes);
    const replayed = sockets.filter((span) => !refused.includes(span));
    expect(refused.map(({ attributes }) => attributes)).toMatchObject([{ ...ofBoth, 'greenroom.close_code': 4410 }]);
    expect(replayed.length).toBeGreaterThan(0);
    for (const { attributes } of replayed)
      expect(attributes).toMatchObject({
        ...ofBoth,
        'greenroom.fly_machine_id': machinesOf(stack, session.session_id)[0]?.id,
      });
    for (const line of await logged(session.session_id, 'socket replayed'))
      expect(line).toMatchObject({ ...ids, trace_id: trace.traceId });
    expect(await logged(session.session_id, 'socket refused')).toMatchObject([
      { ...ids, trace_id: trace.traceId, close_code: 4410, request_id: expect.any(String) },
    ]);
    await expectWhole(trace.traceId, trace.spanId);
  });

  test('a token that is refused gets a line with a trace of its own: the session’s is not looked up for it', async () => {
    const trace = newTrace();
    const { session } = await create(trace);
    const forged = new WebSocket(`${session.websocket_url}?token=forged`);
    expect(((await once(forged, 'close')) as [number])[0]).toBe(4401);
    const [line] = await logged(session.session_id, 'socket refused');
    expect(line).toMatchObject({ close_code: 4401, trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(line?.trace_id).not.toBe(trace.traceId);
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
    expect(names(spansOf(trace.traceId))).not.toContain('GET /ws/sessions/:id');
  });

  test('the call of a dead worker is hung up in the trace of its session', async () => {
    const trace = newTrace();
    const { session, ids } = await create(trace);
    const interview = await startInterview(stack, undefined, {}, session);
    await until('the interviewer speaks', () => interview.said() > 0);
    const [machine] = machinesOf(stack, session.session_id);
    stack.cloud.fly.killMachineProcess(machine?.id ?? '', 'SIGKILL');
    await platformOf(stack).deleteSession(session.session_id);
    await seen(trace.traceId, 'hang up call');
    expect((await logged(session.session_id, "a dead worker's call"))[0]).toMatchObject({
      ...ids,
      trace_id: trace.traceId,
      outcome: 'over',
    });
    await endOf(stack, session.session_id);
    const spans = spansOf(trace.traceId);
    const duty = spans.find(({ name }) => name === 'hang up call');
    expect(spans.find(({ name }) => name === 'provider hang up')?.parentSpanId).toBe(duty?.spanId);
    await expectWhole(trace.traceId, trace.spanId);
  });

  test('after a fail-over the second machine’s spans are in the same trace', async () => {
    const trace = newTrace();
    const session = await interviewIn(trace, async (sessionId) => {
      const { fly_machine_id } = await platformOf(stack).getSession(sessionId);
      stack.cloud.fly.killMachineProcess(fly_machine_id ?? '', 'SIGKILL');
    });
    expect(session.epoch).toBe(2);
    await seen(trace.traceId, 'fly create', 2);
    await seen(trace.traceId, 'claim_sessions', 2);
    await until('the second claim', () =>
      spansOf(trace.traceId).some(({ name, attributes }) => name === 'claim' && attributes['greenroom.epoch'] === 2),
    );
    const spans = spansOf(trace.traceId);
    expect(spans.filter(({ name }) => name === 'fly create')).toHaveLength(2);
    expect(
      spans
        .filter(({ name }) => name === 'claim_sessions')
        .map(({ attributes }) => attributes['greenroom.epoch'])
        .toSorted(),
    ).toEqual([1, 2]);
    await expectWhole(trace.traceId, trace.spanId);
  });

  test('a standby and a hot machine learn the trace from the claim’s answer', async () => {
    await setPool(0, 1);
    await until('a standby machine rests', async () => (await prepared('created')) === 1);
    const standby = newTrace();
    await interviewIn(standby);
    const woken = ['start machine', 'fly start', 'database record_starts', 'boot worker'];
    await seenAll(standby.traceId, [...ofSession, ...woken]);
    await expectWhole(standby.traceId, standby.spanId);

    await setPool(1, 0);
    await until('a hot machine waits', async () => (await prepared('started')) === 1);
    const hot = newTrace();
    await interviewIn(hot);
    await seenAll(hot.traceId, ofSession);
    expect(names(spansOf(hot.traceId))).not.toContain('fly create');
    await expectWhole(hot.traceId, hot.spanId);
    await setPool(0, 0);
  });

  test('a session that begins later has a trace of its own, linked to the request that created it', async () => {
    const trace = newTrace();
    const session = await platformOf(stack).createSession(
      sessionBody({ scheduled_at: new Date(Date.now() + 3_000).toISOString() }),
      { traceparent: trace.traceparent },
    );
    await platformOf(stack).waitFor(session.session_id, ({ status }) => status === 'ready', 60_000);
    const begins = (await until('it begins', () =>
      receiver.spans.find(
        ({ name, attributes }) =>
          name === 'session begins' && attributes['greenroom.session_id'] === session.session_id,
      ),
    )) as ReceivedSpan;
    await seen(trace.traceId, 'POST /api/sessions');
    const request = spansOf(trace.traceId).find(({ name }) => name === 'POST /api/sessions');
    expect(begins.traceId).not.toBe(trace.traceId);
    expect(begins).toMatchObject({
      parentSpanId: '',
      links: [{ traceId: trace.traceId, spanId: request?.spanId }],
    });
    await seen(begins.traceId, 'claim_sessions');
    const { rows } = await db.query(
      'select traceparent, creation_traceparent from public.interview_sessions where id = $1',
      [session.session_id],
    );
    expect(rows).toEqual([
      {
        traceparent: `00-${begins.traceId}-${begins.spanId}-01`,
        creation_traceparent: `00-${trace.traceId}-${request?.spanId}-01`,
      },
    ]);
    await platformOf(stack).deleteSession(session.session_id);
    await endOf(stack, session.session_id);
    await seen(begins.traceId, 'teardown');
    await expectWhole(begins.traceId, '');
  });

  test('a malformed traceparent begins a new trace, and one that is not sampled is not exported', async () => {
    const get = (traceparent: string) =>
      fetch(`${stack.publicUrl}/api/me`, {
        headers: {
          authorization: `Bearer ${stack.tenant.apiKey}`,
          traceparent,
          'x-request-id': `probe-${traceparent}`,
        },
      });
    const malformed = newTrace();
    const unsampled = newTrace('00');
    await get(unsampled.traceparent);
    await get(malformed.traceparent.replace('00-', '00-x'));
    await until('the request with the malformed header is exported', () =>
      receiver.spans.some(
        ({ name, parentSpanId, attributes }) =>
          name === 'GET /api/me' && parentSpanId === '' && attributes['http.response.status_code'] === 200,
      ),
    );
    expect(spansOf(unsampled.traceId)).toEqual([]);
    expect(spansOf(malformed.traceId)).toEqual([]);
  });

  test('no span has a secret, or what a person is called or says', async () => {
    const all = JSON.stringify(receiver.spans);
    expect(receiver.spans.length).toBeGreaterThan(100);
    const keys = [stack.tenant.apiKey, stack.flyToken, stack.cloud.voice.apiKey, stack.cloud.video.apiKey];
    for (const secret of [...keys, 'the key', 'secret-of-the-url', 'the server of the tenant'])
      expect(all).not.toContain(secret);
    expect(all).not.toMatch(/eyJ[\w-]+\.|ek_\w|Bearer|v=0|Ada|Lovelace|Backend engineer/);
    const said = stack.cloud.voice.calls().flatMap((call) => call.said.map(({ text }) => text));
    expect(said.length).toBeGreaterThan(5);
    for (const text of said) expect(all).not.toContain(text);
  });

  test('a failing receiver touches no interview, is logged once in each process, and works again by itself', async () => {
    const logged = (part: string) => stack.logLines.filter((line) => line.includes(part)).length;
    const warnings = () => logged('could not export traces');
    const askAll = () =>
      Promise.all(
        stack.orchestrators.map(({ url }) =>
          fetch(`${url}/api/me`, { headers: { authorization: `Bearer ${stack.tenant.apiKey}` } }),
        ),
      );
    for (const mood of ['hangs', 503, 429, 'garbage'] as const) {
      const before = warnings();
      receiver.mood = mood;
      const interview = await startInterview(stack);
      expect(await interview.ended).toMatchObject({ outcome: 'completed' });
      await endOf(stack, interview.session.session_id);
      await until(`it is logged when the receiver answers: ${mood}`, () => warnings() > before);
      expect(warnings() - before).toBeLessThanOrEqual(stack.orchestrators.length);
      receiver.mood = 'well';
      await until('every process that failed exports again', async () => {
        await askAll();
        return logged('traces are exported again') === warnings();
      });
    }
  });

  test('an orchestrator that stops exports what is left, and does not wait for a receiver that hangs', async () => {
    const stopping = await stack.addOrchestrator();
    stack.orchestrators.pop();
    const trace = newTrace();
    await fetch(`${stopping.url}/api/me`, {
      headers: { authorization: `Bearer ${stack.tenant.apiKey}`, traceparent: trace.traceparent },
    });
    expect(await stopping.stop()).toBe(0);
    expect(names(spansOf(trace.traceId))).toContain('GET /api/me');

    const hanging = await stack.addOrchestrator();
    stack.orchestrators.pop();
    receiver.mood = 'hangs';
    await fetch(`${hanging.url}/api/me`, { headers: { authorization: `Bearer ${stack.tenant.apiKey}` } });
    expect(await hanging.stop()).toBe(0);
  });
});
