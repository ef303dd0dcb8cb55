import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FaultRule } from '../../infra/local-cloud/src/faults.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { callsFrom, expectFinished, saidIn, storedEntries } from '../support/conversation.ts';
import {
  endOf,
  machinesOf,
  platformOf,
  type RunningInterview,
  sessionBody,
  startInterview,
  until,
} from '../support/session.ts';

/**
 * Failures in each phase of a teardown, with real processes: the session ends as requested, the call is ended,
 * and the stored transcript holds the spoken words.
 */
describe('failures during teardown', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({
      voice: { turns: 4, paceMs: 300 },
      flyLimits: false,
      transcriptUploads: true,
      environment: {
        LATE_TRANSCRIPT_MS: '1000',
        HEARTBEAT_MS: '500',
        HEARTBEAT_FLUSH_MS: '200',
        LEASE_MS: '2500',
        RECONCILE_TICK_MS: '500',
        ABSENCE_GRACE_MS: '400',
      },
    });
  });
  afterEach(() => {
    stack.cloud.voice.faults.clear();
    stack.cloud.supabase.faults.clear();
  });
  afterAll(() => stack.stop());

  const held = { kind: 'delay', delayMs: 1_200 } as const;
  const rpc = (name: string): FaultRule => ({
    on: 'supabase.rest',
    name,
    action: held,
    match: { method: 'POST', path: `/rpc/${name}` },
  });
  const phases: Array<[string, string, () => void]> = [
    ['the ending is told', 'worker_report', () => stack.cloud.supabase.faults.add(rpc('worker_report'))],
    [
      'the call is hung up',
      'hangup',
      () => stack.cloud.voice.faults.add({ on: 'realtime.hangup', name: 'hangup', action: held }),
    ],
    ['the hang-up is noted', 'record_calls', () => stack.cloud.supabase.faults.add(rpc('record_calls'))],
    [
      'the last entries are written',
      'append_transcript',
      () => stack.cloud.supabase.faults.add(rpc('append_transcript')),
    ],
    ['the last word is said', 'finish_session', () => stack.cloud.supabase.faults.add(rpc('finish_session'))],
  ];
  const firedOf = (name: string) =>
    (stack.cloud.supabase.faults.fired[name] ?? 0) + (stack.cloud.voice.faults.fired[name] ?? 0);

  /** The candidate ends the interview while the interviewer speaks; resolves when the phase is under way. */
  const endedIn = async (name: string, arm: () => void) => {
    const from = stack.cloud.voice.calls().length;
    const delivered: number[] = [];
    let replies = 0;
    const interview = await startInterview(stack, sessionBody(), {
      onDelivered: (left) => delivered.push(left),
      onProviderEvent: ({ type }) => {
        if (type === 'output_audio_buffer.started') replies += 1;
      },
    });
    await until('the interviewer is in the middle of its second reply', () => replies === 2);
    const before = firedOf(name);
    arm();
    void interview.client.end();
    await until('the phase is under way', () => firedOf(name) > before);
    return { from, interview, delivered };
  };
  const strikeAll = ({ session }: RunningInterview, signal: NodeJS.Signals) => {
    for (const machine of machinesOf(stack, session.session_id))
      if (machine.state === 'started') stack.cloud.fly.killMachineProcess(machine.id, signal);
  };

  const faults: Array<[string, (interview: RunningInterview) => Promise<void> | void]> = [
    ['SIGTERM comes', (interview) => strikeAll(interview, 'SIGTERM')],
    ['the machine is killed', (interview) => strikeAll(interview, 'SIGKILL')],
    [
      'Postgres goes away for two seconds',
      async () => {
        await stack.cloud.supabase.postgres.stop();
        const sinceMs = performance.now();
        await until('two seconds have passed', () => performance.now() - sinceMs > 2_000);
        await stack.cloud.supabase.postgres.start();
      },
    ],
  ];
  const all = faults.flatMap(([what, injectFault]) =>
    phases.map(([when, name, arm]) => [when, what, name, arm, injectFault] as const),
  );

  test.each(all)(
    'the interview ends as requested with its whole log when, in the teardown phase "%s", %s',
    async (_when, what, name, arm, injectFault) => {
      const { from, interview, delivered } = await endedIn(name, arm);
      await injectFault(interview);
      await interview.ended;
      await until('the browser has handed in what it kept', () => delivered.length === 1);
      expect(delivered).toEqual([0]);
      const ended = await endOf(stack, interview.session.session_id);
      expect(ended).toMatchObject({ status: 'completed', reason: 'ended_by_candidate' });
      await until('its calls are over', () => callsFrom(stack, from).every((call) => call.state === 'ended'));
      const seen = (await storedEntries(stack, interview.session.session_id)).map(({ item_id, speaker, text }) => ({
        item_id,
        speaker,
        text,
      }));
      const lines = saidIn(callsFrom(stack, from));
      const said = lines.map(({ item_id, speaker, text }) => ({ item_id, speaker, text }));
      // The sentence that was cut off when the machine was killed: no other process heard it to its end.
      const whole = lines
        .filter((line) => !line.interrupted)
        .map(({ item_id, speaker, text }) => ({ item_id, speaker, text }));
      if (what === 'the machine is killed' && seen.length < said.length) expect(seen).toEqual(whole);
      else expect(seen).toEqual(said);
    },
  );

  test('an interview whose machine is asked to stop while Postgres is away continues whole on another machine', async () => {
    const from = stack.cloud.voice.calls().length;
    const interview = await startInterview(stack);
    await until('the conversation is under way', () => interview.said() >= 2);
    await stack.cloud.supabase.postgres.stop();
    strikeAll(interview, 'SIGTERM');
    await until('two more answers are given meanwhile', () => answers(from) >= 3);
    await stack.cloud.supabase.postgres.start();
    await expectFinished(stack, interview, from);
  });

  test('a browser that connects while Postgres is away retries until it is back', async () => {
    const from = stack.cloud.voice.calls().length;
    const session = await platformOf(stack).createSession(sessionBody());
    await platformOf(stack).waitFor(session.session_id, ({ status }) => status === 'ready', 15_000);
    await stack.cloud.supabase.postgres.stop();
    const interview = await startInterview(stack, {}, {}, session);
    const sinceMs = performance.now();
    await until('two seconds have passed', () => performance.now() - sinceMs > 2_000);
    await stack.cloud.supabase.postgres.start();
    await expectFinished(stack, interview, from);
  });

  test('a result is made although Postgres is away in the middle', async () => {
    const from = stack.cloud.voice.calls().length;
    const asked = () => stack.cloud.voice.faults.fired.responses ?? 0;
    const before = asked();
    stack.cloud.voice.faults.add({ on: 'responses', action: { kind: 'delay', delayMs: 1_500 } });
    const interview = await startInterview(stack);
    await expectFinished(stack, interview, from);
    await until('the model is asked', () => asked() > before);
    await faults[2]?.[1](interview);
    const result = await platformOf(stack).result(interview.session.session_id, 60_000);
    expect(result).toMatchObject({ status: 'done', human_reviewed: false });
  });
  const answers = (from: number) =>
    callsFrom(stack, from).flatMap(({ said }) => said.filter(({ speaker }) => speaker === 'candidate')).length;
});
