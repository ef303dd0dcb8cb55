import type { LineFault } from '@greenroom/local-cloud/voice/line.ts';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { allStored, callsOf, expectStoredAsSaid, launchChromium, roomOf } from '../support/room.ts';
import { platformOf, sessionBody, until } from '../support/session.ts';

/** The audio between a candidate and the voice provider is bad, or flows in one direction only. */
const weak = 'Your connection is weak';
const silences = [
  { silent: 'from_candidate', words: 'Your voice does not reach the interviewer', from: 'listening' },
  { silent: 'to_candidate', words: 'no sound reaches you', from: 'responding' },
] as const;
/** How soon the candidate is told. */
const toldMs = 10_000;

describe('a candidate whose sound', () => {
  let stack: Stack;
  let browser: Browser;
  let context: BrowserContext;
  let sessionId: string;
  let room: ReturnType<typeof roomOf>;
  beforeAll(async () => {
    stack = await startStack({ voice: { turns: 200, paceMs: 3_000, maxTurnMs: 1_500 } });
    browser = await launchChromium(stack);
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });
  beforeEach(async () => {
    const session = await platformOf(stack).createSession(sessionBody());
    sessionId = session.session_id;
    context = await browser.newContext({ locale: 'en-GB' });
    const page = await context.newPage();
    await page.goto(session.join_url ?? '');
    room = roomOf(page);
    await room.start();
    await room.hasAnswered();
  });
  afterEach(async () => {
    stack.cloud.voice.faults.clear('realtime.line');
    await context.close();
  });

  const newest = async () => {
    const call = (await callsOf(stack, sessionId)).at(-1);
    if (!call) throw new Error('there is no call');
    return call;
  };
  const setLine = async (fault: LineFault | undefined) => stack.cloud.voice.script.line((await newest()).id, fault);
  /** Waits until the candidate is told, and returns how long that took, ms. */
  const told = async (words: string) => {
    const beganMs = performance.now();
    await room.alert.getByText(words).waitFor({ timeout: 60_000 });
    return performance.now() - beganMs;
  };
  /** Says something more, ends the interview and compares. */
  const finish = async () => {
    await room.hasAnswered((await room.answers()) + 1);
    await room.isCalm();
    await room.end();
    await room.waitFor(allStored);
    const ended = await expectStoredAsSaid(stack, sessionId);
    expect([ended.status, ended.reason]).toEqual(['completed', 'ended_by_candidate']);
  };

  test.each<[string, LineFault]>([
    ['is lost in part', { loss: 0.3 }],
    ['is delayed', { delayMs: 400 }],
    ['arrives in disorder', { jitterMs: 600 }],
  ])('%s is told that the connection is weak, and stays in the same call', async (_name, fault) => {
    await setLine(fault);
    expect(await told(weak)).toBeLessThan(toldMs);
    await setLine(undefined);
    await finish();
    expect(await callsOf(stack, sessionId)).toHaveLength(1);
  });

  test.each(silences)(
    'passes in one direction only ($silent silent) is told so, and goes on in another call',
    async ({ silent, words, from }) => {
      await until('it begins', async () => (await newest()).phase === from);
      await setLine({ silent });
      expect(await told(words)).toBeLessThan(toldMs);
      await finish();
      expect(await callsOf(stack, sessionId)).toHaveLength(2);
    },
  );

  test('passes in no call in both directions is asked for another network after six calls, and can go on there', async () => {
    const value: LineFault = { silent: 'to_candidate' };
    const action = { kind: 'special', name: 'line', value } as const;
    stack.cloud.voice.faults.add({ on: 'realtime.line', action, times: Number.POSITIVE_INFINITY });
    await setLine(value);
    await room.alert.getByText('No sound gets through your network').waitFor({ timeout: 300_000 });
    expect(await callsOf(stack, sessionId)).toHaveLength(6);
    stack.cloud.voice.faults.clear('realtime.line');
    await room.alert.getByRole('button', { name: 'Try again' }).click();
    await room.isRunning();
    await finish();
    expect(await callsOf(stack, sessionId)).toHaveLength(7);
  });
});
