import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ProblemCode, problemCodes } from '../../client/src/problems.ts';
import type { Snapshot, Status, TranscriptLine } from '../../client/src/types.ts';
import { wrongLooks } from '../support/gallery.ts';
import { type GalleryWindow, galleryOrigin, openRoomGallery, type RoomGallery } from '../support/room-gallery.ts';

const since = Date.UTC(2026, 10, 26, 14, 3, 21);
const statuses: Record<Status['name'], Status[]> = {
  idle: [{ name: 'idle' }],
  joining: [{ name: 'joining', since }],
  waiting: (['start_time', 'machine', 'service'] as const).map((what) => ({ name: 'waiting', for: what, since })),
  connecting: (['socket', 'offer', 'audio'] as const).map((step) => ({ name: 'connecting', step, since })),
  live: (['listening', 'hearing', 'thinking', 'speaking', 'paused'] as const).map((turn) => ({
    ...{ name: 'live', turn, since },
  })),
  reconnecting: (['audio', 'both'] as const).map((lost) => ({ name: 'reconnecting', lost, since })),
  ending: [{ name: 'ending', since }],
  ended: [{ name: 'ended', outcome: 'completed', reason: 'ended_by_candidate', at: since }],
};

const line = (item: number, speaker: 'ai' | 'candidate', text: string, final: boolean): TranscriptLine => ({
  ...{ ordinal: 9, item_id: `later_${item}`, previous_item_id: null, speaker, text, final },
  ...{ confidence: null, start_ms: null, end_ms: null, interrupted: false, verified: true },
});

describe('the screens of the room', () => {
  let gallery: RoomGallery;
  beforeAll(async () => {
    gallery = await openRoomGallery();
  });
  afterAll(() => gallery.close());

  const set = (change: Partial<Snapshot>) =>
    gallery.page.evaluate((to) => (window as unknown as GalleryWindow).interview.set(to), change);
  const add = (...lines: TranscriptLine[]) =>
    gallery.page.evaluate((more) => {
      const { interview } = window as unknown as GalleryWindow;
      interview.set({ transcript: [...interview.snapshot.transcript, ...more] });
    }, lines);
  const focused = () => gallery.page.evaluate(() => document.activeElement?.textContent ?? '');

  test('without JavaScript the page says so in both languages', async () => {
    const page = await gallery.open({ javaScriptEnabled: false });
    await page.goto(galleryOrigin);
    const told = page.locator('p');
    await told.last().waitFor();
    expect(await told.allTextContents()).toEqual([
      'This page needs JavaScript. Allow it in your browser, then reload.',
      'Diese Seite braucht JavaScript. Erlauben Sie es im Browser und laden Sie neu.',
    ]);
    expect(await told.last().getAttribute('lang')).toBe('de');
    await page.context().close();
  });

  test('the title follows the state, and the language of the document follows the texts', async () => {
    const titles = async (language: 'en' | 'de') => {
      await gallery.show('lobby', language);
      const seen = new Set<string>();
      for (const status of Object.values(statuses).flat()) {
        await set({ status });
        await expect.poll(() => gallery.page.locator('main').getAttribute('data-screen')).not.toBe('looking');
        await gallery.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
        seen.add(await gallery.page.title());
      }
      return [await gallery.page.evaluate(() => document.documentElement.lang), ...seen];
    };
    expect(await titles('en')).toEqual([
      'en',
      'Backend engineer',
      'Connecting … · Backend engineer',
      '● Backend engineer',
      'Disconnected · Backend engineer',
      'The interview is over · Backend engineer',
    ]);
    expect(await titles('de')).toEqual([
      'de',
      'Backend engineer',
      'Verbindung wird aufgebaut … · Backend engineer',
      '● Backend engineer',
      'Getrennt · Backend engineer',
      'Das Gespräch ist beendet · Backend engineer',
    ]);
  });

  /** Whether a screen reader announces each line of the conversation when it changes: `off` or `polite`. */
  const announcedLines = () =>
    gallery.page
      .locator('#transcript li')
      .evaluateAll((lines) => lines.map((at) => at.closest('[aria-live]')?.getAttribute('aria-live')));

  test('captions are not read aloud, unless a switch turns it on: then only what the interviewer has said', async () => {
    const { page } = gallery;
    await gallery.show('live-listening');
    await set({ transcript: [] });
    const spoken = [
      line(1, 'ai', 'Welcome.', true),
      line(2, 'candidate', 'Hello.', true),
      line(3, 'ai', 'Tell', false),
    ];
    await add(...spoken);
    const log = page.getByRole('log', { name: 'Conversation' });
    await log.getByText('Tell').waitFor();
    expect(await log.getAttribute('aria-live')).toBe('off');
    expect(await announcedLines()).toEqual(['off', 'off', 'off']);

    await page.getByRole('button', { name: 'More', exact: true }).click();
    const readAloud = page.getByRole('checkbox', { name: "Let my screen reader read the interviewer's words" });
    expect(await readAloud.isChecked()).toBe(false);
    await readAloud.check();
    expect(await wrongLooks(page, 'read-aloud')).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
    expect(await log.getAttribute('aria-live')).toBe('polite');
    expect(await announcedLines()).toEqual(['polite', 'off', 'off']);

    // A finished line is a new element: what changes inside one is announced less reliably.
    const partial = await log.getByText('Tell').elementHandle();
    await set({ transcript: [...spoken.slice(0, 2), line(3, 'ai', 'Tell me about you.', true)] });
    await log.getByText('Tell me about you.').waitFor();
    expect(await partial?.evaluate((element) => element.isConnected)).toBe(false);
    expect(await announcedLines()).toEqual(['polite', 'off', 'polite']);

    await page.getByRole('button', { name: 'More', exact: true }).click();
    await readAloud.uncheck();
    expect(await log.getAttribute('aria-live')).toBe('off');
  });

  test('a change of the sound level draws nothing but the meter', async () => {
    const { page } = gallery;
    await gallery.show('live-listening');
    await page.waitForTimeout(500);
    const drawnWhileLoud = () =>
      page.evaluate(async () => {
        const { interview, drawn } = window as unknown as GalleryWindow;
        const before = drawn.length;
        const meter = document.querySelector('meter') as HTMLMeterElement;
        const shown = new Set<number>();
        const changed = new Set<string>();
        const observer = new MutationObserver((records) => {
          for (const { target } of records) changed.add(target.nodeName);
        });
        observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
        interview.level.input = () => shown.size / 100;
        while (shown.size < 20) {
          await new Promise((resolve) => setTimeout(resolve, 10));
          shown.add(meter.value);
        }
        observer.disconnect();
        return { drawn: drawn.slice(before), changed: [...changed] };
      });
    expect(await drawnWhileLoud()).toEqual({ drawn: [], changed: ['METER'] });
    // The counting works: another turn draws the parts that show it.
    const before = await page.evaluate(() => (window as unknown as GalleryWindow).drawn.length);
    await set({ status: { name: 'live', turn: 'speaking', since } });
    await page.getByText('Speaking').waitFor();
    expect(await page.evaluate(() => (window as unknown as GalleryWindow).drawn.length)).toBeGreaterThan(before);
  });

  test('a candidate whom nobody hears is not told to speak, and requests are off while there is nobody to ask', async () => {
    const { page } = gallery;
    const speaks = page.getByText('Speak freely');
    const repeat = page.getByRole('button', { name: 'Say that again' });
    const isOff = () => repeat.getAttribute('aria-disabled');
    await gallery.show('live-listening');
    expect([await speaks.isVisible(), await isOff()]).toEqual([true, 'false']);
    await page.getByRole('button', { name: 'Mute microphone' }).click();
    await page.getByText('Muted. You are not heard.').waitFor();
    expect([await speaks.isVisible(), await page.getByText('Listening').isVisible()]).toEqual([false, false]);
    for (const name of ['connecting', 'reconnecting', 'ending']) {
      await gallery.show(name);
      expect([name, await speaks.isVisible(), await isOff()]).toEqual([name, false, 'true']);
    }
    await gallery.show('ended-consent_withdrawn');
    expect(await page.getByText('stored').count()).toBe(0);
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('You withdrew your consent');
  });

  test('the captions follow the newest line, unless the candidate has scrolled up', async () => {
    const { page } = gallery;
    await gallery.show('live-listening');
    const log = page.getByRole('log');
    const belowView = () => log.evaluate((at) => at.scrollHeight - at.clientHeight - at.scrollTop);
    await expect.poll(belowView).toBeLessThan(2);
    await add(line(1, 'ai', 'A question that was just put.', true));
    await log.getByText('just put').waitFor();
    await expect.poll(belowView).toBeLessThan(2);
    expect(await log.evaluate((at) => at.scrollTop)).toBeGreaterThan(0);
    await log.evaluate((at) => at.scrollTo(0, 0));
    await page.waitForTimeout(200);
    await add(line(2, 'candidate', 'An answer meanwhile.', true));
    await log.getByText('An answer meanwhile.').waitFor({ state: 'attached' });
    await page.waitForTimeout(200);
    expect(await log.evaluate((at) => at.scrollTop)).toBe(0);
  });

  test('one more caption draws its own block of lines alone', async () => {
    const { page } = gallery;
    await gallery.show('live-listening');
    await set({ transcript: Array.from({ length: 60 }, (_, item) => line(item, 'ai', `Line ${item}`, true)) });
    await page.getByText('Line 59').waitFor();
    const before = await page.evaluate(() => (window as unknown as GalleryWindow).drawn.length);
    await add(line(60, 'candidate', 'Newest', true));
    await page.getByText('Newest').waitFor();
    // The panel, what decides for each block that it is the same, the new block and its line: not the other 60.
    expect(
      await page.evaluate((from) => (window as unknown as GalleryWindow).drawn.length - from, before),
    ).toBeLessThan(12);
  });

  test('the focus is kept through every change of state', async () => {
    const all = Object.values(statuses).flatMap((variants) => variants.slice(0, 1));
    const lost = await (async () => {
      await gallery.show('lobby');
      return gallery.page.evaluate(
        async ({ froms, tos }) => {
          const { interview } = window as unknown as GalleryWindow;
          const drawnAgain = () => new Promise((resolve) => setTimeout(resolve, 60));
          const found: string[] = [];
          for (const from of froms) {
            for (const to of tos) {
              interview.set({ status: from });
              await drawnAgain();
              const buttons = document.querySelectorAll<HTMLElement>('main button:not(dialog button):not(:disabled)');
              (buttons[0] ?? document.querySelector('h1'))?.focus();
              const name = `${JSON.stringify(from)} to ${JSON.stringify(to)}`;
              if (document.activeElement === document.body) found.push(`${name}: nothing to focus`);
              interview.set({ status: to });
              await drawnAgain();
              if (document.activeElement === document.body) found.push(name);
            }
          }
          return found;
        },
        { froms: all.filter(({ name }) => name !== 'ended'), tos: all },
      );
    })();
    expect(lost).toEqual([]);
  });

  test('a new screen is read from its heading', async () => {
    const { page } = gallery;
    await gallery.show('lobby');
    await page.getByRole('button', { name: 'Start the interview' }).focus();
    await set({ status: { name: 'live', turn: 'listening', since } });
    await expect.poll(focused).toBe('Backend engineer');
    await page.getByRole('button', { name: 'Mute microphone' }).focus();
    await set({ status: { name: 'reconnecting', lost: 'audio', since }, problem: 'call_failed' });
    await page.getByRole('alert').getByText('You are not heard right now').waitFor();
    expect(await focused()).toBe('Mute microphone');
    await set({ status: { name: 'ended', outcome: 'completed', reason: 'max_duration', at: since }, problem: null });
    await expect.poll(focused).toBe('The interview is over');
  });

  test('a button that solved a problem hands the focus on', async () => {
    await gallery.show('live-listening');
    const withButton: ProblemCode[] = [];
    for (const problem of problemCodes) {
      await set({ problem });
      const button = gallery.page.locator('[data-part=problem] button');
      await gallery.page.locator('[data-part=problem]:not([hidden])').waitFor();
      if ((await button.count()) === 0) continue;
      withButton.push(problem);
      await button.focus();
      await set({ problem: null });
      await expect.poll(focused, { message: problem }).toBe('Backend engineer');
    }
    expect(withButton).toContain('audio_blocked');
    expect(withButton.length).toBeGreaterThan(3);
  });

  test('a button that is replaced by what it opened hands the focus to that', async () => {
    const { page } = gallery;
    await gallery.show('lobby');
    await page.getByRole('button', { name: 'Check my microphone' }).press('Enter');
    const check = page.getByRole('group', { name: 'Check my microphone' });
    await expect.poll(() => check.evaluate((at) => at === document.activeElement)).toBe(true);
    await gallery.show('live-listening');
    await page.getByRole('button', { name: 'More', exact: true }).press('Enter');
    await page.getByRole('button', { name: 'Continue on another device' }).press('Enter');
    await expect.poll(focused).toContain('type this code: 123 456');
    await page.keyboard.press('Escape');
    await expect.poll(focused).toBe('More');
  });

  test('an alert that comes and goes takes the focus from nothing', async () => {
    const { page } = gallery;
    await gallery.show('typing');
    await page.getByLabel('Your answer').fill('I would use');
    for (const problem of problemCodes) await set({ problem });
    await set({ problem: null });
    expect(await page.getByLabel('Your answer').evaluate((at) => at === document.activeElement)).toBe(true);
    expect(await page.getByLabel('Your answer').inputValue()).toBe('I would use');
  });
});
