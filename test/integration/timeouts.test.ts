import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { endOf, machinesOf, platformOf, sessionBody, startInterview, until } from '../support/session.ts';

/** A worker ends itself by its own timers, which are short in these tests. */
describe('time limits', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({
      voice: { turns: 200, paceMs: 300 },
      environment: {
        NEVER_JOINED_MS: '1500',
        OFFER_MS: '1500',
        RECONNECT_GRACE_MS: '1000',
        CLAIM_MS: '2000',
        HEARTBEAT_MS: '500',
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '300',
        DURATION_WARNING_MS: '59000',
      },
    });
  });
  afterAll(() => stack.stop());

  test('a session whose candidate never joins ends as expired', async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    expect(await endOf(stack, session.session_id)).toMatchObject({
      status: 'expired',
      reason: 'candidate_never_joined',
    });
  });

  test('a session whose candidate leaves and does not return ends as disconnected and keeps its transcript', async () => {
    const interview = await startInterview(stack);
    await until('the conversation has begun', () => interview.said() > 0);
    interview.client.leave();
    expect(await endOf(stack, interview.session.session_id)).toMatchObject({
      status: 'disconnected',
      reason: 'candidate_left',
    });
    expect((await platformOf(stack).transcript(interview.session.session_id)).entries.length).toBeGreaterThan(0);
  });

  test('a machine that cannot reach any orchestrator stops itself, and its session gets another', async () => {
    const [orchestrator] = stack.orchestrators.splice(0, 1);
    const platform = platformOf(stack);
    await stack.addOrchestrator({ WORKER_API_URL: 'http://127.0.0.1:9' });
    const session = await platform.createSession(sessionBody());
    await until('its machine has come and gone by itself', () => {
      const machines = machinesOf(stack, session.session_id);
      return machines.length > 0 && machines.every((m) => m.state === 'destroyed');
    });
    await stack.orchestrators.splice(0, 1)[0]?.stop();
    if (orchestrator) stack.orchestrators.push(orchestrator);
    const ended = await endOf(stack, session.session_id);
    expect(ended).toMatchObject({ status: 'expired', reason: 'candidate_never_joined', epoch: 1 });
    expect(machinesOf(stack, session.session_id).length).toBeGreaterThan(1);
  });

  test('an interview ends after a warning at its maximum duration', async () => {
    const warnings: number[] = [];
    const interview = await startInterview(stack, sessionBody({ max_duration_minutes: 1 }), {
      onMessage: (message) => {
        if (message.type === 'session_warning') warnings.push(message.ends_at);
      },
    });
    await until('the warning has come', () => warnings.length > 0, 90_000);
    expect(warnings[0]).toBeGreaterThan(Date.now() + 40_000);
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'max_duration' });
    await endOf(stack, interview.session.session_id);
  });
});
