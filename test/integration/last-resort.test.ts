import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { saidIn, storedEntries } from '../support/conversation.ts';
import { endOf, machinesOf, platformOf, sessionBody, startInterview, until } from '../support/session.ts';

/**
 * The browser's last resort: it uploads entries whose storage was never confirmed, and they reach the transcript.
 */
describe('sessions that end before their entries are stored', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({
      voice: { turns: 3, paceMs: 80 },
      flyLimits: false,
      transcriptUploads: true,
      environment: { MAX_ATTEMPTS: '1', RECONCILE_TICK_MS: '500', ABSENCE_GRACE_MS: '400', HEARTBEAT_MS: '500' },
    });
  });
  afterAll(() => stack.stop());

  test('the browser uploads unstored entries once and in order, and the result is made from them', async () => {
    const delivered: number[] = [];
    const interview = await startInterview(stack, sessionBody(), { onDelivered: (left) => delivered.push(left) });
    const { session_id } = interview.session;
    await until('the conversation has begun', () => interview.said() >= 2);
    await stack.cloud.supabase.postgres.stop();
    for (const machine of machinesOf(stack, session_id)) stack.cloud.fly.killMachineProcess(machine.id, 'SIGKILL');
    const lines = () => stack.cloud.voice.calls().flatMap((call) => call.said);
    // Three questions and answers. The goodbye waits until the interviewer's wish to end has been delivered.
    await until('the rest is said without us', () => lines().filter((line) => line.transcribed).length === 6);
    await until('the browser has it', () => interview.client.snapshot.saving.pending >= 4);
    await stack.cloud.supabase.postgres.start();
    expect(await interview.ended).toMatchObject({ outcome: 'completed', reason: 'already_ended' });
    await until('the upload is over', () => delivered.length === 1);
    expect(delivered).toEqual([0]);
    const ended = await endOf(stack, session_id);
    expect(ended).toMatchObject({ status: 'failed', reason: 'worker_lost' });
    const stored = await storedEntries(stack, session_id);
    const told = ({ item_id, speaker, text }: { item_id: string; speaker: string; text: string }) => ({
      item_id,
      speaker,
      text,
    });
    expect(stored.map(told)).toEqual(saidIn(stack.cloud.voice.calls()).map(told));
    expect(stored.at(-1)?.verified).toBe(false);
    expect(await platformOf(stack).result(session_id, 90_000)).toMatchObject({ status: 'done' });
  });
});
