import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DashboardWorld, startDashboard } from '../support/dashboard.ts';
import { withAxe, wrongLooks } from '../support/gallery.ts';

/** The operators' dashboard in Chromium, with a busy fleet. `test/full/dashboard.test.ts` checks the layout of every view. */
let shown: DashboardWorld;
beforeAll(async () => {
  shown = await startDashboard();
});
afterAll(() => shown?.stop());

const close = (page: Page) => page.context().close();
const dialog = (page: Page) => page.getByRole('dialog');
const isLive = (page: Page) => page.locator('.pause', { hasText: 'Live' }).waitFor();
const newSession = async (): Promise<string> => {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Cook' }, region: 'fra' };
  const made = await shown.world.send('/api/sessions', { method: 'POST', as: shown.tenant.apiKey, body });
  expect(made.status).toBe(201);
  return made.json.session_id;
};

describe('the dashboard', () => {
  test('leads to the reason of a slow start with three clicks', async () => {
    const page = await shown.open('viewer');
    await page.getByRole('link', { name: '80 slow cold starts' }).click();
    await page.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor();
    expect(page.url()).toContain('sort=start&path=cold');
    const first = page.getByRole('row').nth(1);
    expect(await first.textContent()).toContain("waited 29.0 s for Fly's create limit");
    await first.getByRole('link').first().click();
    const sentence = page.locator('.sentence');
    await sentence.waitFor();
    expect(await sentence.textContent()).toMatch(
      /^Slow by 29\.4 s: waited 29\.0 s for Fly's create limit \(30th of 100/,
    );
    await page.getByText('The same as a table').click();
    expect(await page.getByRole('row', { name: 'Fly’s create limit' }).textContent()).toContain('29.0 s');
    await close(page);
  });

  test('ends an interview after a dry run, with a reason and the number of live candidates, and keeps who did it', async () => {
    const page = await shown.open('operator', `/sessions/${shown.fleet.live}`);
    const other = await shown.open('admin', `/sessions/${shown.fleet.live}`);
    for (const one of [page, other]) {
      await one.getByRole('button', { name: 'End', exact: true }).click();
      await dialog(one).getByText('The candidate is in the room and is told that the interview has ended.').waitFor();
      await dialog(one)
        .getByLabel(/^Why\?/)
        .fill('A test of the dashboard');
    }
    const end = dialog(page).getByRole('button', { name: 'End' });
    expect(await end.isDisabled()).toBe(true);
    expect(await dialog(page).textContent()).toContain('This cannot be undone.');
    await dialog(page)
      .getByLabel(/^Type 1 to confirm/)
      .fill('1');
    await end.click();
    await dialog(page).getByText('Done: end').waitFor();
    await dialog(page).getByRole('button', { name: 'Close' }).click();
    await page.getByText('operator stopped').first().waitFor();

    await dialog(other)
      .getByLabel(/^Type 1 to confirm/)
      .fill('1');
    await dialog(other).getByRole('button', { name: 'End' }).click();
    await dialog(other).getByText('Already ended').waitFor();
    await other.goto(`${shown.url}/audit?target=${shown.fleet.live}`);
    await other.getByText('A test of the dashboard').waitFor();
    expect(await other.getByRole('row').nth(1).textContent()).toContain('operator:operator-kim');
    await Promise.all([close(page), close(other)]);
  });

  test('disables acts for a viewer, and shows the sign-in form on the same page when the cookie is gone', async () => {
    const page = await shown.open('viewer', `/machines/${shown.fleet.machine}`);
    const stop = page.getByRole('button', { name: 'Stop' });
    await stop.waitFor();
    expect([await stop.isDisabled(), await stop.getAttribute('title')]).toEqual([
      true,
      'This needs the role operator; yours is viewer.',
    ]);
    await page.context().clearCookies();
    await page.getByLabel('Operator’s token').waitFor();
    expect(new URL(page.url()).pathname).toBe(`/machines/${shown.fleet.machine}`);
    await close(page);
  });

  test('finds anything by any of its ids, with the keyboard alone', async () => {
    const page = await shown.open('viewer');
    await page.keyboard.press('Control+k');
    await page.keyboard.type(shown.fleet.machine.slice(0, 13));
    await dialog(page).getByText('1 found.').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `Machine ${shown.fleet.machine.slice(0, 8)}` }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    await page.getByRole('heading', { name: 'Sessions' }).waitFor();
    await page.locator('[data-row-link]').first().waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: /^Session / }).waitFor();
    await close(page);
  });

  test('asks for nothing and redraws nothing while it is paused, and catches up afterwards', async () => {
    const page = await shown.open('viewer');
    await page.clock.install();
    await page.goto(`${shown.url}/events`);
    await page.locator('[data-row-link]').first().waitFor();
    await isLive(page);
    const pause = page.getByRole('button', { name: /pause updates/ });
    await pause.click();
    await page.getByText('Paused').waitFor();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.evaluate(() => {
      const seen = { redraws: 0 };
      Object.assign(window, { seen });
      new MutationObserver(({ length }) => {
        seen.redraws += length;
      }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    });
    await expect.poll(() => shown.world.deps.operatorApi.feed.watchers).toBe(0);
    const id = await newSession();
    await page.clock.runFor(60_000);
    expect(asked).toEqual([]);
    expect(await page.evaluate(() => (window as unknown as { seen: { redraws: number } }).seen.redraws)).toBe(0);
    await pause.click();
    await page.clock.runFor(5_000);
    await expect.poll(() => asked).toEqual(expect.arrayContaining(['/ops/api/stream', '/ops/api/events']));
    await page.clock.resume();
    await page.locator(`a[title="${id}"]`).first().waitFor();
    await close(page);
  });

  test('shows changes that the stream brings, without asking for them', async () => {
    const page = await shown.open('viewer');
    await isLive(page);
    const live = page.getByRole('link', { name: /^\d+$/ }).first();
    const before = Number(await live.textContent());
    await page.route('**/ops/api/overview', (route) => route.abort());
    await newSession();
    await expect.poll(async () => Number(await live.textContent())).toBe(before + 1);

    const id = await newSession();
    await page.goto(`${shown.url}/sessions`);
    const row = page.getByRole('row').filter({ has: page.locator(`a[title="${id}"]`) });
    await row.getByText('provisioning').waitFor();
    await isLive(page);
    // Past the reading that follows the connection, so that only the stream can tell of the end.
    await page.waitForResponse(/\/ops\/api\/sessions\?/);
    await page.route('**/ops/api/sessions?*', (route) => route.abort());
    const ended = await shown.world.send(`/api/sessions/${id}`, { method: 'DELETE', as: shown.tenant.apiKey });
    expect(ended.status).toBeLessThan(300);
    await row.getByText('cancelled').waitFor();
    await close(page);
  });

  test('says that it reconnects, and continues after the last event when the orchestrator is back', async () => {
    const page = await shown.open('viewer', '/events');
    await isLive(page);
    const shownFirst = await newSession();
    await page.locator(`a[title="${shownFirst}"]`).first().waitFor();
    // From here on the list is never read again: only the stream can bring an event.
    await page.route('**/ops/api/events?*', (route) => route.abort());
    const seen = await newSession();
    await page.locator(`a[title="${seen}"]`).first().waitFor();
    await shown.goAway();
    await page.getByText('Reconnecting').waitFor();
    const missed = await newSession();
    await shown.comeBack();
    await isLive(page);
    await page.locator(`a[title="${missed}"]`).first().waitFor();
    await close(page);
  });

  test('shows on a map where sessions run, in words too', async () => {
    const page = await shown.open('viewer');
    const map = page.locator('.world');
    await map.locator('[data-region="fra"] .busy').waitFor({ state: 'attached' });
    await map.getByText(/Frankfurt \d+/).waitFor();
    await close(page);
  });

  test('closes the stream when its operator signs out', async () => {
    const page = await shown.open('operator');
    await isLive(page);
    await expect.poll(() => shown.world.deps.operatorApi.feed.watchers).toBe(1);
    await page.getByText('operator-kim').first().click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Operator’s token').waitFor();
    await expect.poll(() => shown.world.deps.operatorApi.feed.watchers).toBe(0);
    await close(page);
  });

  test('breaks no rule of axe and logs no error, such as a violation of its content security policy', async () => {
    const page = await shown.open('viewer');
    const refused: string[] = [];
    page.on('console', (message) => message.type() === 'error' && refused.push(message.text()));
    await withAxe(page);
    for (const [name, at] of [
      ['overview', '/'],
      ['sessions', '/sessions'],
      ['session', `/sessions/${shown.fleet.limited}`],
    ] as const) {
      await page.goto(`${shown.url}${at}`);
      await page.locator('.panel, .list').first().waitFor();
      const found = await wrongLooks(page, `dashboard ${name}`, [
        { colorScheme: 'light', width: 360 },
        { colorScheme: 'dark', width: 1280 },
      ]);
      expect(found).toEqual([]);
    }
    expect(refused).toEqual([]);
    await close(page);
  });

  test('offers to search further when a page finds nothing among the rows that it may look at, and shows what it finds', async () => {
    const { db } = shown.world;
    // A page looks at so few rows here that its 200 ms end long before the list does.
    await db.query(
      `create or replace function app.walk_window() returns integer language sql immutable set search_path = '' as 'select 3'`,
    );
    const { rows } = await db.query<{ id: string }>(
      `with like_it as (select * from public.interview_sessions where id = $1),
      sessions as (
        insert into public.interview_sessions (tenant_id, candidate_id, candidate, position_id, status, outcome, reason, created_at, expires_at)
        select tenant_id, candidate_id, candidate, position_id, 'cancelled', 'cancelled', 'ended_by_platform',
          now() - make_interval(days => 30, mins => i), now() from like_it, generate_series(1, 3000) i
        returning id, tenant_id, created_at)
      insert into public.session_phases (session_id, tenant_id, path)
        select id, tenant_id, 'hot' from sessions order by created_at limit 1 returning session_id as id`,
      [shown.fleet.dead],
    );
    const page = await shown.open('viewer');
    await withAxe(page);
    await page.goto(`${shown.url}/sessions?path=hot`);
    await page.getByText('Nothing found yet.').waitFor();
    await page.getByText('0 rows and more').waitFor();
    await page.getByRole('button', { name: /pause updates/ }).click();
    expect(await wrongLooks(page, 'dashboard search further')).toEqual([]);

    const further = page.locator('button:enabled', { hasText: 'Search further' });
    const found = page.getByRole('table').locator(`a[title="${rows[0]?.id}"]`);
    for (;;) {
      await found.or(further).first().waitFor();
      if ((await found.count()) > 0) break;
      await Promise.all([page.waitForResponse(/\/ops\/api\/sessions\?/), further.click()]);
    }
    await page.getByText('1 row', { exact: true }).waitFor();
    expect(await further.count()).toBe(0);
    expect(await wrongLooks(page, 'dashboard searched further')).toEqual([]);
    await close(page);
  });
});
