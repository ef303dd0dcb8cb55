import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { en } from '../../client/react/en.ts';
import type { Messages } from '../../client/react/messages.ts';
import { looks, wrongLooks } from '../support/gallery.ts';
import { openRoomGallery, type RoomGallery } from '../support/room-gallery.ts';

/** Stands for what a fixture fills in: names, times, a code. */
const anything = '§';
const effects = ['erase_interview', 'erase_candidate', 'review'] as const;
type Function = (...values: never[]) => string;
/** The texts that depend on something: each of their forms. */
const forms: { [K in keyof Messages as Messages[K] extends Function ? K : never]: (messages: Messages) => string[] } = {
  greeting: (messages) => [messages.greeting(anything)],
  about: (messages) => [messages.about(anything, 50)],
  extraTime: (messages) => [messages.extraTime(15)],
  consentElsewhere: (messages) => [messages.consentElsewhere(anything, anything)],
  declineText: (messages) => [messages.declineText(anything)],
  withdrawText: (messages) => effects.map((effect) => messages.withdrawText(anything, effect)),
  withdrawnText: (messages) => effects.map((effect) => messages.withdrawnText(anything, effect)),
  opensAt: (messages) => [messages.opensAt(anything)],
  waitingStart: (messages) => [messages.waitingStart(anything)],
  savedUpTo: (messages) => [messages.savedUpTo('14:03:21')],
  allStored: (messages) => [0, 1, 5].map((count) => messages.allStored(count)),
  nextStep: (messages) => [messages.nextStep(anything)],
  onDevice: (messages) => [1, 3].map((count) => messages.onDevice(count)),
  timeWarning: (messages) => [1, 5].map((minutes) => messages.timeWarning(minutes)),
  timeLeft: (messages) => [messages.timeLeft(anything)],
  timeGone: (messages) => [0, 0.3, 0.5, 0.7, 1].map((share) => messages.timeGone(share)),
  handOverCode: (messages) => [messages.handOverCode(anything)],
};
/** Texts that no fixture can show. */
const notHere = (messages: Messages): string[] => [
  messages.lang,
  // A platform's own page shows them.
  ...Object.values(messages.statusWords),
  messages.recordStart,
  // room.test.ts waits for them: they need a microphone.
  ...[messages.rehearsal.recording, messages.rehearsal.playing, messages.rehearsal.done],
];
function textsOf(messages: Messages): string[] {
  const all = Object.entries(messages).flatMap(([key, text]: [string, string | object]) => {
    if (typeof text === 'function') return forms[key as keyof typeof forms](messages);
    return typeof text === 'string' ? [text] : (Object.values(text) as string[]);
  });
  const except = notHere(messages);
  return all.filter((text) => !except.includes(text));
}

/** Every screen and state of the room from fixtures, without a service. */
describe('the gallery of the room', () => {
  let gallery: RoomGallery;
  let page: Page;
  beforeAll(async () => {
    gallery = await openRoomGallery();
    page = gallery.page;
  });
  afterAll(() => gallery.close());
  const show = (name: string, language: 'en' | 'de') => gallery.show(name, language);
  const names = () => gallery.names();

  /** The four looks of a state are shared out between the languages. */
  const looksIn = (language: 'en' | 'de') =>
    looks.filter(({ width, colorScheme }) => ((width === 360) === (colorScheme === 'light')) === (language === 'en'));

  test('every text of the room is shown in some state', async () => {
    const shown = new Set<string>();
    for (const name of await names()) {
      await show(name, 'en');
      const texts = await page.evaluate(() => {
        const visible = [...document.querySelectorAll('*')].filter((element) => element.checkVisibility());
        return visible.flatMap((element) => [
          ...[...element.childNodes].flatMap((node) =>
            node.nodeType === Node.TEXT_NODE ? (node.textContent ?? '') : [],
          ),
          ...['aria-label', 'placeholder'].flatMap((attribute) => element.getAttribute(attribute) ?? []),
        ]);
      });
      for (const text of texts) shown.add(text);
    }
    const all = [...shown].join('\n');
    const missing = textsOf(en).filter((text) => !text.split(anything).every((piece) => all.includes(piece)));
    expect(missing).toEqual([]);
  });

  test('shows no state that axe complains about or that is wider than the window', async () => {
    const found: string[] = [];
    for (const name of await names()) {
      for (const language of ['en', 'de'] as const) {
        await show(name, language);
        found.push(...(await wrongLooks(page, `${name} ${language}`, looksIn(language))));
      }
    }
    expect(found).toEqual([]);
  });

  test('fits the live screen into the window of a phone: only the conversation scrolls', async () => {
    const found: string[] = [];
    const windows = [
      { width: 360, height: 740 },
      { width: 360, height: 640 },
      { width: 1280, height: 800 },
    ];
    for (const name of (await names()).filter((one) => /^(live|saving|empty|problem|reconnecting)/.test(one))) {
      for (const language of ['en', 'de'] as const) {
        for (const size of windows) {
          await page.setViewportSize(size);
          await show(name, language);
          const at = await page.evaluate(() => ({
            screen: document.querySelector('main')?.dataset.screen,
            page: document.documentElement.scrollHeight - innerHeight,
            log: document.querySelector('[data-part=transcript]')?.clientHeight ?? 0,
            end: document.querySelector('button[data-part=end]')?.getBoundingClientRect().bottom ?? Infinity,
            innerHeight,
          }));
          if (at.screen !== 'interview') continue;
          if (at.page > 0 || at.log < 90 || at.end > at.innerHeight)
            found.push(`${name} ${language} ${size.width}x${size.height}: ${JSON.stringify(at)}`);
        }
      }
    }
    expect(found).toEqual([]);
  });

  test('keeps every control reachable at 320 px with text at 200 %', async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    const found: string[] = [];
    for (const name of (await names()).filter((one) => !/^(problem|ended|more-after)-(?!correct)/.test(one))) {
      await show(name, 'de');
      await page.evaluate(() => {
        document.documentElement.style.fontSize = '200%';
      });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) found.push(`${name}: ${overflow} px too wide`);
      for (const button of await page.getByRole('button').all()) {
        await button.evaluate((at) => at.scrollIntoView({ block: 'center' }));
        const box = await button.boundingBox();
        if (!box || box.y < 0 || box.y + box.height > 641 || box.height < 44)
          found.push(`${name}: ${await button.textContent()} ${JSON.stringify(box)}`);
      }
    }
    expect(found).toEqual([]);
  });

  test('does not say that the page can be closed while something is still on the device', async () => {
    const canBeClosed = async (name: string) => {
      await show(name, 'en');
      return page.getByText('You can close this page.').isVisible();
    };
    expect([await canBeClosed('ended-max_duration'), await canBeClosed('ended-three-left')]).toEqual([true, false]);
    expect(await canBeClosed('camera-uploading')).toBe(false);
  });

  test('tells states apart in forced colours, where tints and shadows are gone', async () => {
    await page.emulateMedia({ forcedColors: 'active' });
    const styleOf = (selector: string, property: 'backgroundColor' | 'borderTopWidth') =>
      page
        .locator(selector)
        .first()
        .evaluate((at, name) => getComputedStyle(at)[name], property);
    await show('live-listening', 'en');
    const listening = await styleOf('.circle', 'backgroundColor');
    const free = await styleOf('button[data-part=mute]', 'borderTopWidth');
    await page.getByRole('button', { name: 'Mute microphone' }).click();
    expect(await styleOf('button[data-part=mute][aria-pressed=true]', 'borderTopWidth')).not.toBe(free);
    await show('live-speaking', 'en');
    expect(await styleOf('.circle', 'backgroundColor')).not.toBe(listening);
    await page.emulateMedia({ forcedColors: 'none' });
  });

  test('moves nothing for a person who asks for reduced motion', async () => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    const moving: string[] = [];
    for (const name of await names()) {
      await show(name, 'en');
      const count = await page.evaluate(() => document.getAnimations().length);
      if (count > 0) moving.push(`${name}: ${count}`);
    }
    expect(moving).toEqual([]);
    await page.emulateMedia({ reducedMotion: 'no-preference' });
  });
});
