import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import pg from 'pg';
import { type Browser, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import type { Stack } from '../../tools/stack/stack.ts';
import type { Relay } from './relay.ts';
import { endOf, platformOf, until } from './session.ts';

export interface ChromiumOptions {
  /** The service is reached through it alone. The audio does not pass through it. */
  relay?: Relay;
  /** Arguments of the usual ones to leave out. */
  without?: string[];
  /** Further arguments. */
  more?: string[];
}

export const fakeDevice = '--use-fake-device-for-media-stream';
export const fakePermission = '--use-fake-ui-for-media-stream';
export const soundWithoutPress = '--autoplay-policy=no-user-gesture-required';

export function launchChromium(
  stack: Stack,
  { relay, without = [], more = [] }: ChromiumOptions = {},
): Promise<Browser> {
  const host = (url: string) => new URL(url).host;
  const rules = relay ? [`--host-resolver-rules=MAP ${host(stack.publicUrl)} ${host(relay.url)}`] : [];
  const args = [...browserArguments.filter((argument) => !without.includes(argument)), ...rules, ...more];
  return chromium.launch({ executablePath: browserPath(), headless: true, args });
}

/** The calls of a session, as the voice provider knows them, in their order. */
export async function callsOf(stack: Stack, sessionId: string) {
  const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
  await db.connect();
  const { rows } = await db.query<{ call_id: string }>(
    'select call_id from public.realtime_calls where session_id = $1 order by ordinal',
    [sessionId],
  );
  await db.end();
  const calls = stack.cloud.voice.calls();
  return rows.flatMap(({ call_id }) => calls.find(({ id }) => id === call_id) ?? []);
}

/** Number of lines that have been said in a session. */
export const linesSaid = async (stack: Stack, sessionId: string): Promise<number> =>
  (await callsOf(stack, sessionId)).reduce((sum, { said }) => sum + said.length, 0);

/**
 * Waits for the end of a session and compares its stored transcript with what was said in its calls: every whole line
 * once, in order, and nothing else. A line that the end of its call cut off may be stored or not.
 */
export async function expectStoredAsSaid(stack: Stack, sessionId: string): Promise<SessionView> {
  const ended = await endOf(stack, sessionId);
  const { entries } = await platformOf(stack).transcript(sessionId);
  const said = (await callsOf(stack, sessionId)).flatMap((call) => call.said);
  const whole = said.filter((line) => line.transcribed);
  const cutOff = new Set(said.filter((line) => !line.transcribed).map((line) => line.item_id));
  expect(entries.filter((entry) => !cutOff.has(entry.item_id)).map((entry) => [entry.speaker, entry.text])).toEqual(
    whole.map((line) => [line.speaker === 'interviewer' ? 'ai' : 'candidate', line.text]),
  );
  return ended;
}

/** On the last page: nothing is left on this device. */
export const allStored = /answers? (are|is) stored\./;

/** What a candidate sees and presses, in English. */
export const roomOf = (page: Page) => {
  const waitFor = (text: string | RegExp) => page.getByText(text).first().waitFor({ timeout: 60_000 });
  const answers = page.locator('#transcript li[data-speaker=candidate]:not(.partial)');
  return {
    waitFor,
    alert: page.getByRole('alert'),
    start: () => page.getByRole('button', { name: 'Start the interview' }).click(),
    isRunning: () => waitFor('The interview is running'),
    /** Number of the candidate's answers on the screen. */
    answers: () => answers.count(),
    hasAnswered: (count = 1) => until(`${count} answers are shown`, async () => (await answers.count()) >= count),
    end: async () => {
      await page.getByRole('button', { name: 'End the interview' }).click();
      await page.getByRole('button', { name: 'End it' }).click();
      await waitFor('You ended the interview');
    },
    /** Whether the alert says nothing. */
    isCalm: () => page.getByRole('alert').waitFor({ state: 'hidden', timeout: 60_000 }),
    /** How it ended, as `outcome/reason`. */
    ended: async () => {
      await page.waitForFunction(() => document.body.dataset.ended !== undefined, undefined, { timeout: 120_000 });
      return page.evaluate(() => document.body.dataset.ended);
    },
  };
};
