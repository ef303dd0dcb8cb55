import pg from 'pg';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { withAxe, wrongLooks } from '../support/gallery.ts';
import { allStored, expectStoredAsSaid, roomOf } from '../support/room.ts';
import { endOf, platformOf, sessionBody, until } from '../support/session.ts';

describe('the candidate’s room', () => {
  let stack: Stack;
  let browser: Browser;
  beforeAll(async () => {
    const environment = { VIDEO_GRACE_MS: '12000' };
    // More questions than the slowest machine gets through: candidates end these interviews.
    stack = await startStack({ environment, voice: { turns: 500, paceMs: 300, maxTurnMs: 1_500 } });
    browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  });
  afterAll(async () => {
    await browser.close();
    await stack.stop();
  });
  const openRoom = async (locale: string, more: Record<string, unknown> = {}, prepare?: (page: Page) => unknown) => {
    const session = await platformOf(stack).createSession(sessionBody(more));
    const context = await browser.newContext({ locale, bypassCSP: true, viewport: { width: 360, height: 740 } });
    const page = await context.newPage();
    await prepare?.(page);
    await withAxe(page);
    await page.goto(session.join_url ?? '');
    return { session, context, page };
  };

  test('a candidate completes an interview by keyboard alone, at phone width, in German', async () => {
    const { session, context, page } = await openRoom('de-DE');
    const press = async (name: string) => {
      const button = page.getByRole('button', { name, exact: true });
      await button.waitFor();
      for (let tabs = 0; tabs < 40 && !(await button.evaluate((at) => at === document.activeElement)); tabs += 1)
        await page.keyboard.press('Tab');
      expect(await button.evaluate((at) => at === document.activeElement), name).toBe(true);
      await page.keyboard.press('Enter');
    };
    await page.getByText('Wann immer Sie bereit sind.').waitFor();
    expect(await page.evaluate(() => document.documentElement.lang)).toBe('de');
    await press('Gespräch beginnen');
    await page.getByText('Das Gespräch läuft.').waitFor({ timeout: 60_000 });
    // The button that had the focus is gone, so the heading of the new screen has the focus.
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
    await page.locator('#transcript li[data-speaker=candidate]:not(.partial)').first().waitFor({ timeout: 60_000 });
    await page.getByText(/Gespeichert bis \d/).waitFor();
    await press('Moment, bitte');
    await page.getByText('Pause. Sie sind nicht zu hören.').waitFor();
    await press('Weiter');
    await press('Gespräch beenden');
    await page.keyboard.press('Escape');
    expect(await page.evaluate(() => document.activeElement?.getAttribute('data-part'))).toBe('end');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Sie haben das Gespräch beendet.').waitFor({ timeout: 60_000 });
    await page.getByText(/Antwort(en sind| ist) gespeichert\./).waitFor({ timeout: 60_000 });
    const ended = await endOf(stack, session.session_id);
    expect([ended.status, ended.reason]).toEqual(['completed', 'ended_by_candidate']);
    await expectStoredAsSaid(stack, session.session_id);
    await context.close();
  });

  test('a page that was opened too early says when the interview opens, and opens by itself', async () => {
    const inAnHour = { scheduled_at: new Date(Date.now() + 3_600_000).toISOString() };
    const withClock = (page: Page) => page.clock.install();
    const [looking, waiting] = [
      await openRoom('en-GB', inAnHour, withClock),
      await openRoom('en-GB', inAnHour, withClock),
    ];
    await looking.page.getByRole('status').getByText('Your interview opens at').waitFor();
    await waiting.page.getByRole('button', { name: 'Start the interview' }).click();
    await waiting.page.getByRole('status').getByText('This page starts by itself.').waitFor();
    for (const { session, page } of [looking, waiting]) {
      await fetch(`${stack.publicUrl}/api/sessions/${session.session_id}`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${stack.tenant.apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ scheduled_at: new Date(Date.now() + 2_000).toISOString() }),
      });
      await platformOf(stack).waitFor(session.session_id, ({ status }) => status === 'ready', 60_000);
      await page.clock.fastForward(3_600_000);
    }
    await looking.page.getByRole('status').getByText('Ready when you are.').waitFor();
    await waiting.page.getByText('The interview is running').waitFor({ timeout: 60_000 });
    for (const { session, context } of [looking, waiting]) {
      await context.close();
      await platformOf(stack).deleteSession(session.session_id);
    }
  });

  test('the link of an interview that is over says how it ended, in any browser, and offers no start', async () => {
    const { session, page } = await openRoom('en-GB');
    const room = roomOf(page);
    await room.start();
    await room.isRunning();
    await room.hasAnswered();
    await room.end();
    await page.reload();
    await room.waitFor('You ended the interview. Thank you for your time.');
    const other = await (await browser.newContext({ locale: 'de-DE' })).newPage();
    await other.goto(session.join_url ?? '');
    await other.getByRole('status').getByText('Sie haben das Gespräch beendet.').waitFor();
    // Where the candidate joined, the whole conversation can be read, kept and corrected.
    await room.hasAnswered();
    await room.waitFor(allStored);
    for (const at of [page, other]) {
      expect(await at.getByRole('button', { name: /Start the interview|Gespräch beginnen/ }).count()).toBe(0);
    }
    expect(await other.locator('#transcript li').count()).toBe(0);
    for (const at of [page, other]) await at.context().close();
    await expectStoredAsSaid(stack, session.session_id);
  });

  test('a typed answer is in the transcript, and the interviewer continues from it', async () => {
    const { session, context, page } = await openRoom('en-GB');
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.getByText('The interview is running').waitFor({ timeout: 60_000 });
    await page.getByText('Type instead').click();
    await page.getByLabel('Your answer').fill('I would use Postgres.');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('#transcript').getByText('I would use Postgres.').waitFor({ timeout: 60_000 });
    await until('it is stored', async () =>
      (await platformOf(stack).transcript(session.session_id)).entries.some(
        (entry) => entry.text === 'I would use Postgres.' && entry.speaker === 'candidate',
      ),
    );
    await context.close();
    await platformOf(stack).deleteSession(session.session_id);
  });

  test('a candidate corrects an answer on the last page, beside what was written down', async () => {
    const { session, context, page } = await openRoom('en-GB');
    const room = roomOf(page);
    await room.start();
    await room.isRunning();
    await room.hasAnswered();
    await room.end();
    await room.waitFor(allStored);
    await page.getByRole('button', { name: 'Correct this' }).first().click();
    const field = page.getByLabel('What you really said');
    expect(await field.evaluate((at) => at === document.activeElement)).toBe(true);
    const said = await field.inputValue();
    await field.fill('I said Redis.');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('You corrected this: I said Redis.').waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Correct this');
    const { entries } = await platformOf(stack).transcript(session.session_id);
    expect(entries.filter(({ correction }) => correction !== null)).toMatchObject([
      { speaker: 'candidate', text: said, correction: 'I said Redis.' },
    ]);
    await context.close();
  });

  test('a candidate hears a test tone and their own voice before joining, and nothing of it leaves the device', async () => {
    const { session, context, page } = await openRoom('en-GB');
    await page.getByRole('button', { name: 'Check my microphone' }).click();
    const sent: string[] = [];
    page.on('request', (request) => sent.push(request.url()));
    page.on('websocket', (socket) => sent.push(socket.url()));
    await page.getByRole('button', { name: 'Play a test tone' }).click();
    await page.getByText('You heard nothing?').waitFor();
    await page.getByRole('button', { name: 'Hear yourself' }).click();
    await page.getByText('Speak now').waitFor();
    await page.getByText('This is how you sound.').waitFor();
    await page.getByText('Deleted.').waitFor();
    expect(sent).toEqual([]);
    await context.close();
    await platformOf(stack).deleteSession(session.session_id);
  });

  test('a candidate turns the camera on, is recorded from the start to the end of the interview, and may leave the camera off', async () => {
    const { session, context, page } = await openRoom('en-GB', { settings: { record_video: true } });
    const uploads: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/upload?')) uploads.push(request.url());
    });
    await page.getByRole('button', { name: 'Turn on my camera' }).click();
    await page.getByText('Your camera is on. It is not recorded.').waitFor();
    expect(await wrongLooks(page, 'lobby-camera')).toEqual([]);
    await page.getByRole('button', { name: 'Turn off my camera' }).click();
    await page.getByRole('button', { name: 'Turn on my camera' }).click();
    await page.getByText('It is not recorded.').waitFor();
    expect(uploads).toEqual([]);
    await page.getByRole('button', { name: 'Start the interview' }).click();
    await page.getByText('Recording starts in a moment.').waitFor({ timeout: 60_000 });
    await page.getByText('Your camera is recorded.').waitFor({ timeout: 60_000 });
    expect(await wrongLooks(page, 'interview-camera')).toEqual([]);
    await page.waitForTimeout(3_000);
    await page.getByRole('button', { name: 'End the interview' }).click();
    await page.getByRole('button', { name: 'End it' }).click();
    await page.getByText('You ended the interview.').waitFor({ timeout: 60_000 });
    await until('the recording is uploaded', () =>
      stack.cloud.video.snapshots().videos.some((video) => video.ingest === 'uploaded' && video.bytes > 10_000),
    );
    await endOf(stack, session.session_id);
    // The token is deleted twelve seconds later; only then the recording is listed.
    const listed = await until(
      'the recording is listed with the call that it shows',
      async () => {
        const url = `${stack.publicUrl}/api/sessions/${session.session_id}/recordings`;
        const answer = await fetch(url, { headers: { authorization: `Bearer ${stack.tenant.apiKey}` } });
        const { data } = (await answer.json()) as { data: Array<{ calls: Array<{ begins_ms: number }> }> };
        return data[0];
      },
      120_000,
    );
    // It was counted down for three seconds after the call was up.
    expect(listed.calls).toHaveLength(1);
    expect(listed.calls[0]?.begins_ms).toBeLessThan(-2_500);
    expect(listed.calls[0]?.begins_ms).toBeGreaterThan(-60_000);
    await context.close();

    const other = await openRoom('en-GB', { settings: { record_video: true } });
    await other.page.getByRole('button', { name: 'Start the interview' }).click();
    await other.page.getByText('The interview is running').waitFor({ timeout: 60_000 });
    await other.page.getByText('Your camera is off.').waitFor();
    await other.context.close();
    await platformOf(stack).deleteSession(other.session.session_id);
  });

  /** How long an interview may last, ms. */
  const longestMs = async (sessionId: string): Promise<number> => {
    const db = new pg.Client({ connectionString: stack.cloud.supabase.adminDbUrl });
    await db.connect();
    const { rows } = await db.query('select max_duration_ms from public.interview_sessions where id = $1', [sessionId]);
    await db.end();
    return rows[0].max_duration_ms;
  };

  test('a link opened on one device is joined on a second and continued on a third with the code shown', async () => {
    const { session, context, page: phone } = await openRoom('en-GB');
    await phone.getByText('Ready when you are.').waitFor();
    const laptop = await (await browser.newContext({ locale: 'en-GB' })).newPage();
    await laptop.goto(session.join_url ?? '');
    await laptop.getByRole('button', { name: 'Start the interview' }).click();
    await laptop.getByText('The interview is running').waitFor({ timeout: 60_000 });
    await laptop.getByRole('button', { name: 'More', exact: true }).click();
    await laptop.getByLabel('Show a clock').check();
    await laptop.getByText(/\d+:\d\d left/).waitFor();
    const given = await longestMs(session.session_id);
    await laptop.getByRole('button', { name: 'Continue on another device' }).click();
    const code = (await laptop.getByText('type this code').textContent())?.match(/\d{3} \d{3}/)?.[0] ?? '';
    await phone.reload();
    await phone.getByLabel('Code shown on the other device').fill(code.startsWith('0') ? '111 111' : '000 000');
    await phone.getByRole('button', { name: 'Continue here' }).click();
    await phone.getByText('That code is not right').waitFor();
    await phone.getByLabel('Code shown on the other device').fill(code);
    await phone.getByRole('button', { name: 'Continue here' }).click();
    await phone.getByRole('button', { name: 'Start the interview' }).click();
    await phone.getByText('The interview is running').waitFor({ timeout: 60_000 });
    await laptop.getByText('opened in another tab or on another device').waitFor();
    // The time between the code, or the last answer after it, and the call in the new browser is given back.
    expect(await longestMs(session.session_id)).toBeGreaterThan(given);
    const room = roomOf(phone);
    await room.hasAnswered((await room.answers()) + 1);
    await room.end();
    await room.waitFor(allStored);
    await expectStoredAsSaid(stack, session.session_id);
    await context.close();
    await laptop.context().close();
  });

  test('axe finds no problem on any screen, in light and dark, narrow and wide', async () => {
    const { session, context, page } = await openRoom('de-DE');
    await page.getByRole('button', { name: 'Mikrofon prüfen' }).click();
    await page.getByRole('meter').waitFor();
    const found = await wrongLooks(page, 'lobby');
    await page.getByRole('button', { name: 'Gespräch beginnen' }).click();
    await page.locator('#transcript li[data-speaker=candidate]:not(.partial)').first().waitFor({ timeout: 60_000 });
    found.push(...(await wrongLooks(page, 'interview')));
    await page.getByRole('button', { name: 'Gespräch beenden' }).click();
    found.push(...(await wrongLooks(page, 'end-dialog')));
    await page.getByRole('button', { name: 'Beenden', exact: true }).click();
    await page.getByText('Sie haben das Gespräch beendet.').waitFor({ timeout: 60_000 });
    found.push(...(await wrongLooks(page, 'end')));
    await page.goto((session.join_url ?? '').replace(/#.*/, '#a-code-that-is-wrong'));
    await page.reload();
    await page.getByRole('alert').getByText('Dieser Link gilt nicht mehr').waitFor();
    found.push(...(await wrongLooks(page, 'problem')));
    expect(found).toEqual([]);
    await context.close();
    await endOf(stack, session.session_id);
  });

  test('the page files are compressed and cached permanently under names that change with their content', async () => {
    const { context, page } = await openRoom('en-GB');
    const script = (await page.locator('script[src]').getAttribute('src')) ?? '';
    const answer = await fetch(new URL(script, page.url()), { headers: { 'accept-encoding': 'br' } });
    expect([answer.headers.get('content-encoding'), answer.headers.get('cache-control')]).toEqual([
      'br',
      'public, max-age=31536000, immutable',
    ]);
    const plain = await fetch(new URL(script, page.url()), { headers: { 'accept-encoding': 'identity' } });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(await plain.text()).toBe(await answer.text());
    expect((await fetch(page.url().replace(/#.*/, ''))).headers.get('cache-control')).toBe('no-cache');
    await context.close();
  });
});
