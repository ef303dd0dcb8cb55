import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import { isEnded } from '@greenroom/shared/session/states.ts';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPlatform, type Platform } from '../../tools/demo/platform.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { machinesOf, sessionBody, until } from '../support/session.ts';

/**
 * Test sessions take the whole path: real machines, sockets, transcripts, evaluations, webhooks and usage. Only the two who
 * speak are synthetic.
 */
describe('test mode', () => {
  let stack: Stack;
  let db: pg.Pool;
  let testKey: string;
  let testTenant: string;
  let platform: Platform;
  let receiver: Server;
  const received: Array<{ type: string; data: { session_id?: string } }> = [];

  const send = async (at: string, body: object, key = testKey) => {
    const answer = await fetch(`${stack.publicUrl}${at}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: answer.status, json: await answer.json() };
  };
  const simulate = (id: string, script: string) => send(`/api/test/sessions/${id}/simulate`, { script });
  const simulationOf = async (id: string) => {
    const answer = await fetch(`${stack.publicUrl}/api/test/sessions/${id}/simulation`, {
      headers: { authorization: `Bearer ${testKey}` },
    });
    return (await answer.json()) as { status: string; failure: string | null };
  };
  const begin = async (script: string, questions = ['What did you build?', 'And how?']) => {
    const { session_id: id } = await platform.createSession(sessionBody({ settings: { questions } }));
    expect(await simulate(id, script)).toMatchObject({ status: 202, json: { session_id: id, script } });
    return id;
  };
  const endOf = async (id: string) => {
    const session = await platform.waitFor(id, ({ status }) => isEnded(status), 100_000);
    await until(
      'its machines are gone',
      () => machinesOf(stack, id).every(({ state }) => state === 'destroyed'),
      100_000,
    );
    return session;
  };
  const eventsOf = async (id: string): Promise<string[]> => {
    const { rows } = await db.query('select type from public.session_events where session_id = $1 order by id', [id]);
    return rows.map(({ type }) => type);
  };
  const spoken = async (id: string) =>
    (await platform.transcript(id)).entries.map(({ speaker, text }) => `${speaker}: ${text}`);
  const answered = (id: string) =>
    until('the candidate has answered', async () => (await spoken(id)).some((line) => line.startsWith('candidate')));

  beforeAll(async () => {
    receiver = createServer(async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      received.push(JSON.parse(body));
      response.end();
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    stack = await startStack({
      flyLimits: false,
      environment: {
        // Nothing of test mode asks the provider: neither a call, nor a credential, nor an evaluation.
        ...{ OPENAI_BASE_URL: 'http://127.0.0.1:9/v1', OPENAI_API_KEY: 'sk-unused' },
        ...{ HEARTBEAT_MS: '500', HEARTBEAT_FLUSH_MS: '200', LEASE_MS: '2500', RECONCILE_TICK_MS: '500' },
        ...{
          ABSENCE_GRACE_MS: '400',
          UNREACHABLE_GAP_MS: '400',
          REPLAY_TIMEOUT_MS: '1000',
          RECONNECT_GRACE_MS: '2000',
        },
      },
    });
    db = ownerPool(stack.cloud.supabase.adminDbUrl, 2);
    const made = await send(`/api/tenants/${stack.tenant.id}/test-keys`, { name: 'ci', scopes }, stack.tenant.apiKey);
    expect(made).toMatchObject({ status: 201, json: { key: expect.stringMatching(/^gr_test_/) } });
    testKey = made.json.key;
    testTenant = made.json.tenant_id;
    await db.query('update public.tenant_apps set creates_per_second = 1000, create_burst = 1000');
    platform = createPlatform(stack.publicUrl, testKey);
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    expect((await send('/api/webhooks', { url })).status).toBe(201);
  });
  afterAll(async () => {
    await db?.end();
    await stack?.stop();
    receiver?.close();
  });

  test('a candidate that leaves ends the session after the grace period, as a live one', async () => {
    const id = await begin('leaves');
    expect(await endOf(id)).toMatchObject({ status: 'disconnected', reason: 'candidate_left', test: true });
    expect(await simulationOf(id)).toMatchObject({ status: 'done', failure: null });
    // From here on candidates may be away for long: the machine that runs the tests may be slow.
    const [first] = stack.orchestrators;
    await stack.addOrchestrator({ RECONNECT_GRACE_MS: '600000' });
    await stack.orchestrators.splice(stack.orchestrators.indexOf(first!), 1)[0]?.stop();
  });

  test.concurrent('a whole test session: a VM serves it, transcript, result, webhooks and usage are there, no provider is asked', async () => {
    const id = await begin('completes');
    expect(await endOf(id)).toMatchObject({ status: 'completed', reason: 'interviewer_finished', simulated: true });
    expect(await simulate(id, 'completes')).toMatchObject({ status: 202, json: { status: 'done' } });
    expect(await simulate(id, 'leaves')).toMatchObject({ status: 409 });

    expect(machinesOf(stack, id)).toMatchObject([{ state: 'destroyed', region: 'fra' }]);
    const { rows: machines } = await db.query('select * from public.machines where session_id = $1', [id]);
    expect(machines).toMatchObject([{ state: 'destroyed', epoch: 1, app_name: expect.stringContaining('demo-test') }]);
    expect(await eventsOf(id)).toEqual(
      expect.arrayContaining(['machine.claimed', 'session.ready', 'session.in_progress', 'session.completed']),
    );
    expect(await spoken(id)).toEqual([
      'ai: What did you build?',
      expect.stringMatching(/^candidate: A job queue/),
      'ai: And how?',
      expect.stringMatching(/^candidate: Choosing/),
      expect.stringMatching(/^ai: Thank you/),
    ]);
    const result = await platform.result(id, 100_000);
    expect(result).toMatchObject({ model: 'scripted', simulated: true, integrity_flags: [] });
    await until('the webhooks have arrived', () =>
      ['session.completed', 'result.done'].every((type) =>
        received.some((one) => one.type === type && one.data.session_id === id),
      ),
    );
    const usage = await until('its usage is recorded', async () => {
      const { rows } = await db.query('select test, cost_usd from public.machine_usage where session_id = $1', [id]);
      return rows[0];
    });
    expect(usage).toMatchObject({ test: true });
    expect(stack.cloud.voice.calls()).toEqual([]);
  });

  test.concurrent('a candidate that loses the network returns and completes', async () => {
    const id = await begin('loses_network');
    expect(await endOf(id)).toMatchObject({ status: 'completed', reason: 'interviewer_finished', epoch: 1 });
    expect(await eventsOf(id)).toEqual(expect.arrayContaining(['candidate.present', 'candidate.lost']));
    expect((await spoken(id)).filter((line) => line.startsWith('candidate'))).toHaveLength(2);
  });

  test.concurrent('a killed VM is replaced, and the interview continues after the last answer', async () => {
    const id = await begin('completes', ['One?', 'Two?', 'Three?']);
    await answered(id);
    const machine = machinesOf(stack, id).find(({ state }) => state === 'started');
    stack.cloud.fly.killMachineProcess(machine?.id ?? '', 'SIGKILL');
    expect(await endOf(id)).toMatchObject({ status: 'completed', reason: 'interviewer_finished', epoch: 2 });
    expect(machinesOf(stack, id)).toHaveLength(2);
    const questions = (await spoken(id)).filter((line) => line.endsWith('?'));
    expect([...new Set(questions)]).toEqual(['ai: One?', 'ai: Two?', 'ai: Three?']);
    const { rows } = await db.query('select ordinal, hung_up_at from public.realtime_calls where session_id = $1', [
      id,
    ]);
    expect(rows.length).toBeGreaterThan(1);
    await until('no call is left to hang up', async () => {
      const { rows: open } = await db.query(
        'select 1 from public.realtime_calls where session_id = $1 and hung_up_at is null',
        [id],
      );
      return open.length === 0;
    });
  });

  test.concurrent('a silent candidate ends the session at its time limit', async () => {
    const created = await platform.createSession(sessionBody({ placement: 'on_join', region: undefined }));
    const { session_id: id } = created;
    await db.query('update public.interview_sessions set max_duration_ms = 2500 where id = $1', [id]);
    await simulate(id, 'is_silent');
    expect(await endOf(id)).toMatchObject({ outcome: 'expired', reason: 'candidate_silent' });
  });

  test.concurrent('a candidate that injects prompts is flagged', async () => {
    const id = await begin('injects_prompts');
    expect(await endOf(id)).toMatchObject({ status: 'completed' });
    const result = await platform.result(id, 100_000);
    expect(result.integrity_flags.map(({ kind }: { kind: string }) => kind).sort()).toEqual([
      'foreign_item',
      'foreign_session_update',
    ]);
  });

  test('when the orchestrator that runs the candidate is killed, another one continues', async () => {
    await stack.addOrchestrator({ RECONNECT_GRACE_MS: '600000' });
    const id = await begin('completes', ['One?', 'Two?', 'Three?']);
    await answered(id);
    const runs = stack.orchestrators.find(({ log }) =>
      log.some((line) => line.includes('a simulated candidate joins') && line.includes(id)),
    );
    await runs?.kill();
    stack.orchestrators.splice(stack.orchestrators.indexOf(runs!), 1);
    expect(await endOf(id)).toMatchObject({ status: 'completed', reason: 'interviewer_finished' });
    const { rows } = await db.query('select takes, status from public.simulations where session_id = $1', [id]);
    expect(rows).toEqual([{ takes: 2, status: 'done' }]);
    expect((await spoken(id)).filter((line) => line.startsWith('candidate'))).toHaveLength(3);
  });

  test('no usage, no cost and no ending of test mode is in a total of live sessions', async () => {
    await until('all usage is recorded', async () => {
      const { rows } = await db.query('select count(*)::int as n from public.machines where billed_at is null');
      return rows[0].n === 0;
    });
    const usageOf = async (tenant: string, key: string) => {
      const answer = await fetch(`${stack.publicUrl}/api/tenants/${tenant}/usage`, {
        headers: { authorization: `Bearer ${key}` },
      });
      return answer.json();
    };
    expect(await usageOf(stack.tenant.id, stack.tenant.apiKey)).toMatchObject({ machines: 0, cost_usd: 0 });
    expect((await usageOf(testTenant, testKey)).machines).toBeGreaterThan(5);
    expect((await db.query('select from app.daily_costs')).rowCount).toBe(0);
    await db.query('select app.collect_tallies()');
    const { rows } = await db.query(
      "select distinct name from app.totals where name !~ '^(machines_ended|orphan_seconds)$' union select distinct name from app.tallies where name !~ '^(machines_ended|orphan_seconds)$'",
    );
    expect(rows).toEqual([]);
  });
});
