import { defaultDeadlines } from '@greenroom/shared/session/deadlines.ts';
import { isEnded } from '@greenroom/shared/session/states.ts';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { type Relay, startRelay } from '../support/relay.ts';
import { allStored, callsOf, expectStoredAsSaid, launchChromium, linesSaid, roomOf } from '../support/room.ts';
import { platformOf, sessionBody, until } from '../support/session.ts';

/**
 * A candidate's network that fails for 5 s, for 30 s and for longer than the grace, with the shipped deadlines. The
 * connections to the service fail at a TCP relay. The audio goes from the browser to the voice provider all the time.
 */
interface Fault {
  name: string;
  fail(relay: Relay): void;
  /** Whether the candidate is told: short delays are not worth a word. */
  isTold: boolean;
}
const cut: Fault = { name: 'cuts the connections', fail: (relay) => relay.cut(), isTold: true };
const halfOpen: Fault = { name: 'leaves the connections half-open', fail: (relay) => relay.halfOpen(), isTold: true };
const slow: Fault = { name: 'delays each message by 2 s', fail: (relay) => relay.slow(2_000), isTold: false };
/** Longer than the service waits for a candidate whose connection is lost. */
const beyondGrace = defaultDeadlines.reconnectGraceMs / 1_000 + 30;
const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1_000));

describe('a network that fails', () => {
  let stack: Stack;
  beforeAll(async () => {
    // More questions than fit into the longest test, at a second for each: the interviewer must not finish first.
    stack = await startStack({ voice: { turns: 500, paceMs: 1_000, maxTurnMs: 1_500 }, transcriptUploads: true });
  });
  afterAll(() => stack.stop());

  const join = async (browser: Browser) => {
    const { session_id, join_url } = await platformOf(stack).createSession(sessionBody());
    const page = await (await browser.newContext({ locale: 'en-GB' })).newPage();
    await page.goto(join_url ?? '');
    const room = roomOf(page);
    await room.start();
    await room.hasAnswered();
    await room.waitFor('Saved up to');
    return { session_id, page, room };
  };

  /** Fails for a time in which the interview goes on, then ends it and compares. */
  const goesOn = async (browser: Browser, relay: Relay, { fail, isTold }: Fault, failedSeconds: number) => {
    const { session_id, page, room } = await join(browser);
    const before = await linesSaid(stack, session_id);
    fail(relay);
    if (isTold && failedSeconds > 20) await room.waitFor('Saving is behind');
    await seconds(failedSeconds);
    // The interviewer hears the candidate all the time.
    expect(await page.getByRole('status').textContent()).toContain('The interview is running');
    await until('more is said', async () => (await linesSaid(stack, session_id)) > before);
    relay.restore();
    await room.waitFor('Saved up to');
    await room.isCalm();
    await room.end();
    await room.waitFor(allStored);
    await page.context().close();
    const ended = await expectStoredAsSaid(stack, session_id);
    expect(ended).toMatchObject({ status: 'completed', reason: 'ended_by_candidate', epoch: 1 });
    expect(await callsOf(stack, session_id)).toHaveLength(1);
  };

  test.each([cut, halfOpen, slow])('that $name for 5 s and for 30 s loses no word and no call', async (fault) => {
    const relay = await startRelay(() => new URL(stack.publicUrl));
    const browser = await launchChromium(stack, { relay });
    await goesOn(browser, relay, fault, 5);
    await goesOn(browser, relay, fault, 30);
    await browser.close();
    await relay.stop();
  });

  test.concurrent(`that ${slow.name} for longer than the grace loses no word and no call`, async () => {
    const relay = await startRelay(() => new URL(stack.publicUrl));
    const browser = await launchChromium(stack, { relay });
    await goesOn(browser, relay, slow, beyondGrace);
    await browser.close();
    await relay.stop();
  });

  test.concurrent.each([cut, halfOpen])(
    'that $name for longer than the grace ends the interview, and every word said until then is stored',
    async ({ fail }) => {
      const relay = await startRelay(() => new URL(stack.publicUrl));
      const browser = await launchChromium(stack, { relay });
      const { session_id, page, room } = await join(browser);
      fail(relay);
      await room.waitFor('Saving is behind');
      const ended = await platformOf(stack).waitFor(session_id, ({ status }) => isEnded(status), 240_000);
      expect([ended.status, ended.reason]).toEqual(['disconnected', 'candidate_left']);
      relay.restore();
      await room.waitFor('The interview is over');
      await room.waitFor(allStored);
      await page.context().close();
      await expectStoredAsSaid(stack, session_id);
      await browser.close();
      await relay.stop();
    },
  );
});
