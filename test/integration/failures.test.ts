import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FaultAction } from '../../infra/local-cloud/src/faults.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { expectWhole, storedEntries } from '../support/conversation.ts';
import { endOf, machinesOf, platformOf, saidAtProvider, startInterview, until } from '../support/session.ts';

/** Realistic failures of external services: each session ends with its reason, and nothing is left behind. */
describe('failures of providers and Postgres', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({
      voice: { turns: 3, paceMs: 100 },
      environment: {
        PROVIDER_REQUEST_MS: '1500',
        LEASE_MS: '3000',
        HEARTBEAT_MS: '800',
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '500',
        MAX_ATTEMPTS: '1',
      },
    });
  });
  afterEach(() => stack.cloud.voice.faults.clear());
  afterAll(() => stack.stop());

  const always = { times: Number.POSITIVE_INFINITY };
  const providerFailures: Array<[string, string, FaultAction, string]> = [
    ['401 for the credential', 'realtime.client_secrets', { kind: 'status', status: 401 }, 'provider_auth_failed'],
    ['401 for the call', 'realtime.calls', { kind: 'status', status: 401 }, 'provider_auth_failed'],
    ['429', 'realtime.calls', { kind: 'status', status: 429 }, 'provider_rate_limited'],
    ['500', 'realtime.calls', { kind: 'status', status: 500 }, 'provider_unavailable'],
    [
      'an answer that is not SDP',
      'realtime.calls',
      { kind: 'status', status: 201, body: 'certainly not', headers: { location: '/v1/realtime/calls/rtc_x' } },
      'provider_unavailable',
    ],
    ['nothing at all', 'realtime.calls', { kind: 'hang' }, 'provider_unavailable'],
  ];

  test.each(providerFailures)(
    'a session ends with an error code, its reason and no machine when the voice provider answers %s',
    async (_name, on, action, reason) => {
      stack.cloud.voice.faults.add({ on, action, ...always });
      const interview = await startInterview(stack);
      expect(await interview.ended).toEqual({ outcome: 'failed', reason });
      expect(interview.problems).toContain(reason);
      expect(await endOf(stack, interview.session.session_id)).toMatchObject({ status: 'failed', reason });
      expect(await storedEntries(stack, interview.session.session_id)).toEqual([]);
    },
  );

  test.each(providerFailures)(
    "a session keeps the first call's transcript and gives the reason when the second call gets %s",
    async (_name, on, action, reason) => {
      const from = stack.cloud.voice.calls().length;
      const interview = await startInterview(stack);
      await until('the conversation has begun', () => interview.said() > 1);
      stack.cloud.voice.faults.add({ on, action, ...always });
      await stack.cloud.voice.script.loseCall(stack.cloud.voice.calls().at(-1)?.id ?? '');
      expect(await interview.ended).toEqual({ outcome: 'failed', reason });
      await endOf(stack, interview.session.session_id);
      const stored = await expectWhole(stack, interview.session.session_id, from);
      expect(stored.length).toBeGreaterThan(1);
    },
  );

  test('an interview takes place when the voice provider fails once and then works', async () => {
    stack.cloud.voice.faults.add({ on: 'realtime.calls', action: { kind: 'status', status: 500 } });
    const interview = await startInterview(stack);
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
    await endOf(stack, interview.session.session_id);
  });

  test('the transcript is complete after Postgres was away for 10 s in mid-interview', async () => {
    const callsBefore = stack.cloud.voice.calls().length;
    const interview = await startInterview(stack);
    await until('the conversation has begun', () => interview.said() > 1);
    await stack.cloud.supabase.postgres.stop();
    const awaySinceMs = performance.now();
    await until('it has been away for 10 s', () => performance.now() - awaySinceMs > 10_000);
    await stack.cloud.supabase.postgres.start();
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
    const ended = await endOf(stack, interview.session.session_id);
    expect(ended.status).toBe('completed');
    const { entries, complete } = await platformOf(stack).transcript(ended.session_id);
    expect(complete).toBe(true);
    expect(entries.map((e) => e.text)).toEqual(saidAtProvider(stack, callsBefore).map((item) => item.text));
  });

  test('when a session loses the only worker it may lose, it gives the reason, its call is ended and its machine destroyed', async () => {
    const callsBefore = stack.cloud.voice.calls().length;
    const interview = await startInterview(stack);
    await until('the conversation has begun', () => interview.said() > 0);
    const [machine] = machinesOf(stack, interview.session.session_id);
    stack.cloud.fly.killMachineProcess(machine?.id ?? '', 'SIGKILL');
    const ended = await endOf(stack, interview.session.session_id);
    expect(ended).toMatchObject({ status: 'failed', reason: 'worker_lost' });
    await until('the call is hung up', () => stack.cloud.voice.calls()[callsBefore]?.state === 'ended');
    interview.client.leave();
  });
});
