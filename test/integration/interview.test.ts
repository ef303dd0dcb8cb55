import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listeningPorts, processesLeft, processesLeftAfter } from '../../tools/stack/leftovers.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import {
  endOf,
  machinesOf,
  platformOf,
  saidAtProvider,
  sessionBody,
  startInterview,
  until,
} from '../support/session.ts';

describe('one interview from the API call to the clean-up', () => {
  let stack: Stack;
  const portsBefore = listeningPorts();

  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 3, paceMs: 100 } });
  });
  afterAll(() => stack.stop());

  test('the scripted interview is stored whole, in order and once, and its machine is destroyed', async () => {
    const interview = await startInterview(stack);
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });

    const ended = await endOf(stack, interview.session.session_id);
    expect(ended).toMatchObject({
      status: 'completed',
      reason: 'interviewer_finished',
      region: 'fra',
      epoch: 1,
      simulated: true,
    });
    const transcript = await platformOf(stack).transcript(ended.session_id);
    expect(transcript.complete).toBe(true);
    expect(transcript.entries.map(({ item_id, speaker, text }) => ({ item_id, speaker, text }))).toEqual(
      saidAtProvider(stack),
    );
    expect(transcript.entries.length).toBeGreaterThanOrEqual(7);
    expect(machinesOf(stack, ended.session_id).map((m) => m.state)).toEqual(['destroyed']);
    expect(stack.cloud.voice.calls().map((call) => call.state)).toEqual(['ended']);
    expect(interview.problems).toEqual([]);
    expect(interview.client.snapshot.saving.pending).toBe(0);
  });

  test('the same Idempotency-Key returns the same session, and another body with it is refused', async () => {
    const platform = platformOf(stack);
    const key = { 'idempotency-key': 'order-4711' };
    const [first, second] = await Promise.all([
      platform.createSession(sessionBody(), key),
      platform.createSession(sessionBody(), key),
    ]);
    expect(second.session_id).toBe(first.session_id);
    expect(second.websocket_url).toBe(first.websocket_url);
    await until('it has one machine', () => machinesOf(stack, first.session_id).length === 1);
    await expect(platform.createSession(sessionBody({ region: 'lhr' }), key)).rejects.toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
    await platform.deleteSession(first.session_id);
    await endOf(stack, first.session_id);
    expect(machinesOf(stack, first.session_id)).toHaveLength(1);
  });

  test('the platform can end a running interview: it ends promptly with its reason, and the call is ended', async () => {
    const interview = await startInterview(stack);
    await until('the conversation has begun', () => interview.said() > 0);
    await platformOf(stack).deleteSession(interview.session.session_id);
    expect(await interview.ended).toEqual({ outcome: 'cancelled', reason: 'ended_by_platform' });
    expect(await endOf(stack, interview.session.session_id)).toMatchObject({
      status: 'cancelled',
      reason: 'ended_by_platform',
    });
    await until('the call is over', () => stack.cloud.voice.calls().every((call) => call.state === 'ended'));
  });

  test('the candidate can end the interview', async () => {
    const interview = await startInterview(stack);
    await until('the conversation has begun', () => interview.said() > 0);
    void interview.client.end();
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'ended_by_candidate' });
    expect(await endOf(stack, interview.session.session_id)).toMatchObject({
      status: 'completed',
      reason: 'ended_by_candidate',
    });
  });

  test('a candidate whose socket drops returns to the same call, and nothing is lost', async () => {
    const callsBefore = stack.cloud.voice.calls().length;
    const interview = await startInterview(stack);
    await until('the conversation has begun', () => interview.said() > 0);
    interview.dropSocket();
    expect(await interview.ended).toEqual({ outcome: 'completed', reason: 'interviewer_finished' });
    await endOf(stack, interview.session.session_id);
    const calls = stack.cloud.voice.calls().slice(callsBefore);
    expect(calls).toHaveLength(1);
    const { entries } = await platformOf(stack).transcript(interview.session.session_id);
    expect(entries.map((e) => e.text)).toEqual(saidAtProvider(stack, callsBefore).map((item) => item.text));
  });

  test('the logs contain no token, key, SDP or transcript text', () => {
    const log = stack.logLines.join('\n');
    // Control: something was logged, and the secrets searched for are the real ones.
    expect(stack.logLines.length).toBeGreaterThan(20);
    expect(log).toContain('session_id');
    const secrets: Array<[string, string | RegExp]> = [
      ['a JWT', /eyJ[\w-]{10,}\.[\w-]{10,}/],
      ['the API key', stack.tenant.apiKey],
      ['the voice provider key', stack.cloud.voice.apiKey],
      ['an ephemeral credential', /ek_[\w-]{8,}/],
      ['the credentials key', stack.keys.credentials],
      ['a private signing key', String(stack.keys.db.d)],
      ['the database secret key', stack.cloud.supabase.secretKey],
      ['SDP', /a=ice-pwd|m=audio/],
      ...saidAtProvider(stack).map(({ text }): [string, string] => ['what was said', text.slice(0, 30)]),
    ];
    for (const [what, secret] of secrets) {
      const found = stack.logLines.find((line) =>
        typeof secret === 'string' ? line.includes(secret) : secret.test(line),
      );
      expect(found, `${what} in the log`).toBeUndefined();
    }
  });

  test('after the stack stops, no process and no listening port remains', async () => {
    expect(processesLeft(stack.dir).length).toBeGreaterThan(2);
    expect(listeningPorts().length).toBeGreaterThan(portsBefore.length);
    await stack.stop();
    expect(await processesLeftAfter(stack.dir)).toEqual([]);
    expect(listeningPorts().filter((port) => !portsBefore.includes(port))).toEqual([]);
  });
});
