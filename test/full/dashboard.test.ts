import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DashboardWorld, startDashboard } from '../support/dashboard.ts';
import { withAxe, wrongLooks } from '../support/gallery.ts';

/** The operators' dashboard: acts and lists that test/browser/dashboard.test.ts does not cover, and the layout of every view on a phone and a desktop. */
let shown: DashboardWorld;
beforeAll(async () => {
  shown = await startDashboard();
});
afterAll(() => shown?.stop());

const close = (page: Page) => page.context().close();
const dialog = (page: Page) => page.getByRole('dialog');

test('acts on many rows at once', async () => {
  const page = await shown.open('operator', `/work?state=dead`);
  const boxes = page.getByRole('checkbox', { name: /^Select/ });
  await boxes.first().waitFor();
  expect(await boxes.count()).toBe(2);
  for (const box of await boxes.all()) await box.check();
  await page.getByRole('button', { name: 'Retry now' }).click();
  await dialog(page).getByText('The evaluation runs again with all its attempts.').waitFor();
  await dialog(page)
    .getByLabel(/^Why\?/)
    .fill('The model was changed');
  await dialog(page).getByRole('button', { name: 'Retry now' }).click();
  await dialog(page).getByText('Done: retry now, 2 of 2.').waitFor();
  await close(page);
});

test('drains and opens a region, and the overview offers to undo it', async () => {
  const page = await shown.open('operator');
  const act = async (verb: string) => {
    await dialog(page)
      .getByLabel(/^Why\?/)
      .fill('Fly works on it');
    await dialog(page).getByRole('button', { name: verb }).click();
    await dialog(page).getByText(`Done: ${verb.toLowerCase()}`).waitFor();
    await dialog(page).getByRole('button', { name: 'Close' }).click();
  };
  await page.getByRole('link', { name: 'Regions' }).click();
  await page.getByRole('row', { name: 'Tokyo' }).getByRole('button', { name: 'Drain' }).click();
  await act('Drain');
  await page.getByRole('link', { name: 'Overview' }).click();
  await page.getByText('nrt is drained: Fly works on it').waitFor();
  await page.getByRole('listitem').filter({ hasText: 'nrt is drained' }).getByRole('button', { name: 'Open' }).click();
  await act('Open');
  await page.getByText('nrt is drained').waitFor({ state: 'detached' });
  await close(page);
});

test('changes one number of a pool, and leaves the others as another operator has just set them', async () => {
  await shown.world.db.query('update public.tenants set max_standby = 100');
  const page = await shown.open('operator', '/pools');
  const row = page.getByRole('row', { name: 'Frankfurt' });
  await row.getByText('Change').click();
  await row.getByLabel('Ceiling', { exact: true }).fill('21');
  await shown.world.db.query(`update public.pool_policies set floor = 6 where region = 'fra'`);
  const sent: unknown[] = [];
  page.on('request', (request) => request.method() === 'PUT' && sent.push(request.postDataJSON()));
  await row.getByRole('button', { name: 'Set pool' }).click();
  await dialog(page)
    .getByLabel(/^Why\?/)
    .fill('More interviews tomorrow');
  await dialog(page).getByText('acme keeps 6 to 21 standby machines in fra (now 6 to 20).').waitFor();
  await dialog(page).getByRole('button', { name: 'Set pool' }).click();
  await dialog(page).getByText('Done: set pool').waitFor();
  expect(sent.at(-1)).toEqual({ ceiling: 21, why: 'More interviews tomorrow' });
  const { rows } = await shown.world.db.query(`select floor, ceiling from public.pool_policies where region = 'fra'`);
  expect(rows).toEqual([{ floor: 6, ceiling: 21 }]);
  await close(page);
});

test('offers, for sessions that will be late, the pool of the region that the advice names', async () => {
  await shown.world.db.query('update public.tenant_apps set creates_per_second = 0.01');
  const page = await shown.open('operator', '/next-hour');
  const row = page.getByRole('row', { name: /Raise the floor of acme's pool in fra/ });
  await row.getByText('Change').click();
  await row.getByLabel('Floor', { exact: true }).fill('9');
  await row.getByRole('button', { name: 'Set pool' }).click();
  await dialog(page).getByText('standby machines in fra').waitFor();
  await close(page);
});

test('shows what the brake holds, and lets only an admin release it', async () => {
  const page = await shown.open('operator', `/work`);
  await page.getByRole('heading', { name: /^The brake holds 7 machines/ }).waitFor();
  expect(await page.getByRole('table', { name: /brake/ }).getByRole('row').count()).toBe(8);
  const release = page.getByRole('button', { name: 'Release' });
  expect([await release.isDisabled(), await release.getAttribute('title')]).toEqual([
    true,
    'This needs the role admin; yours is operator.',
  ]);
  await close(page);
});

test('an admin releases the brake, sees first what that ends, and another admin learns that it is done', async () => {
  const { rows: before } = await shown.world.db.query(
    'select count(*) from public.brake_holds where released_at is null',
  );
  expect(before).toEqual([{ count: '1' }]);
  const pages = [await shown.open('admin', '/work'), await shown.open('admin', '/work')];
  for (const page of pages) {
    await page.getByRole('button', { name: 'Release' }).click();
    await dialog(page)
      .getByText(/^The next round ends the 7 machines of .* that are listed, and no others\.$/)
      .waitFor();
    await dialog(page)
      .getByLabel(/^Why\?/)
      .fill('Fly lists them again');
  }
  const [page, other] = pages as [Page, Page];
  await dialog(page).getByRole('button', { name: 'Release' }).click();
  await dialog(page).getByText('Done: release').waitFor();
  await dialog(other).getByRole('button', { name: 'Release' }).click();
  await dialog(other).getByText('Already released').waitFor();
  const { rows } = await shown.world.db.query(
    'select released_by from public.brake_holds where released_at is not null',
  );
  expect(rows).toEqual([{ released_by: 'operator:admin-kim' }]);
  for (const one of pages) await close(one);
});

test('reads further pages while scrolling, and draws only the rows in sight', async () => {
  const page = await shown.open('viewer', `/events`);
  const count = page.getByRole('status').filter({ hasText: 'rows and more' });
  const rows = async () => Number.parseInt((await count.textContent()) ?? '', 10);
  // The stream may add events meanwhile.
  const first = await rows();
  expect(first).toBeGreaterThanOrEqual(50);
  expect(await page.getByRole('row').count()).toBeLessThan(40);
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await expect.poll(rows).toBeGreaterThanOrEqual(first + 50);
  expect(await page.getByRole('row').count()).toBeLessThan(60);
  await close(page);
});

test('shows on a phone which view is open', async () => {
  const page = await shown.open('viewer');
  await page.setViewportSize({ width: 360, height: 740 });
  await page.goto(`${shown.url}/audit`);
  const isInSight = () =>
    page.getByRole('link', { name: 'Audit' }).evaluate((at) => {
      const { left, right } = at.getBoundingClientRect();
      return left >= 0 && right <= innerWidth;
    });
  await expect.poll(isInSight).toBe(true);
  await close(page);
});

test('counts no further than 1,000 rows', async () => {
  await shown.world.db.query(
    `insert into public.session_events (session_id, tenant_id, type)
    select $1, tenant_id, 'session.ready' from public.interview_sessions, generate_series(1, 1100) where id = $1`,
    [shown.fleet.dead],
  );
  const page = await shown.open('viewer', `/events?session=${shown.fleet.dead}`);
  const count = page.getByRole('status').filter({ hasText: 'rows' });
  await expect
    .poll(async () => {
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      return count.textContent();
    })
    .toMatch(/^1,000\+ rows/);
  await close(page);
});

test('keeps filters and order of a list as a view under a name, in this browser', async () => {
  const page = await shown.open('viewer', '/sessions?sort=start&path=cold');
  await page.getByText('Saved views').click();
  await page.getByLabel('Save this view as').fill('Slow cold starts');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.goto(`${shown.url}/sessions`);
  await page.getByText('Saved views').click();
  await page.getByRole('button', { name: 'Slow cold starts', exact: true }).click();
  await page.waitForURL(/sessions\?(?=.*sort=start)(?=.*path=cold)/);
  await page.reload();
  await page.locator('summary', { hasText: 'Slow cold starts' }).click();
  await page.getByRole('button', { name: 'Forget Slow cold starts' }).click();
  await page.locator('summary', { hasText: 'Saved views' }).waitFor();
  await close(page);
});

test('says what is wrong with an address, and that an id is unknown', async () => {
  const page = await shown.open('viewer', `/sessions?status=asleep`);
  expect(await page.getByRole('alert').textContent()).toContain('status');
  await page.goto(`${shown.url}/sessions/00000000-0000-4000-8000-000000000000`);
  await page.getByText('No session with this id. It may have been erased.').waitFor();
  await page.goto(`${shown.url}/sessions?reason=no_capacity`);
  await page.getByText('Nothing matches these filters.').waitFor();
  await close(page);
});

test.each([
  ['sessions?cursor=AAAA', 'cursor'],
  ['sessions?limit=0', 'limit'],
  ['machines?colour=red', 'colour'],
  ['events?session=x', 'session'],
  ['work?kind=nonsense', 'kind'],
  ['audit?outcome=perhaps', 'outcome'],
  ['pools?tenant=x', 'tenant'],
])('names what is wrong with the address /%s, and the view works again without it', async (at, named) => {
  const page = await shown.open('viewer', `/${at}`);
  await page.getByRole('alert').filter({ hasText: named }).waitFor();
  expect(await page.getByRole('alert').textContent()).not.toMatch(/undefined|\[object/);
  await page.goto(`${shown.url}/${at.split('?')[0]}`);
  await page.locator('table, .empty').first().waitFor();
  await close(page);
});

test('every view that shows one thing by its id says when that id is unknown or malformed', async () => {
  const page = await shown.open('viewer');
  for (const name of ['session', 'machine', 'tenant'])
    for (const id of ['00000000-0000-4000-8000-000000000000', 'x', "'%20or%201=1"]) {
      await page.goto(`${shown.url}/${name}s/${id}`);
      await page.getByRole('alert').waitFor();
      expect([name, id, await page.getByRole('alert').textContent()]).toEqual([
        name,
        id,
        expect.stringMatching(/\w.*id/),
      ]);
    }
  await close(page);
});

/** What goes wrong in the page unseen. */
function faultsOf(page: Page): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('response', (answer) => answer.status() >= 500 && faults.push(`${answer.status()} ${answer.url()}`));
  return faults;
}

test('says in words that there is nothing at a broken or unknown address, and finds what was meant', async () => {
  const page = await shown.open('viewer');
  const faults = faultsOf(page);
  for (const at of [
    ...[
      'sessions/%00',
      'machines/%ff',
      'tenants/%E0%A4%A',
      'sessions/%',
      'sessions/..%2Foverview',
      'sessions/%E2%80%AEx',
    ],
    ...['tenants/x%3Flimit=1', 'events/%00', 'work/1', 'nonsense', '%E0%A4%A', `machines/${'x'.repeat(600)}`],
  ]) {
    await page.goto(`${shown.url}/${at}`);
    await page.getByRole('heading', { name: /^No such (page|session|machine|tenant)$/ }).waitFor();
    await page.getByRole('button', { name: 'Find by any id' }).click();
    await dialog(page)
      .getByLabel(/^Any id/)
      .fill(shown.fleet.machine);
    await dialog(page).getByText('1 found.').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `Machine ${shown.fleet.machine.slice(0, 8)}` }).waitFor();
  }
  await page.goto(`${shown.url}/sessions/${shown.fleet.live.toUpperCase()}`);
  await page.getByRole('heading', { name: `Session ${shown.fleet.live.slice(0, 8)}` }).waitFor();
  expect(faults).toEqual([]);
  await close(page);
});

test('a program that asks for an unknown path of the listener gets a problem document, not the page', async () => {
  for (const at of ['nonsense', 'sessions/%', 'ops/api/nonsense', 'assets/nonsense.js']) {
    const accept = at.startsWith('ops') || at.startsWith('assets') ? 'text/html' : '*/*';
    const answer = await fetch(`${shown.url}/${at}`, { headers: { accept } });
    expect([at, answer.status, (await answer.json()).code]).toEqual([at, 404, 'not_found']);
  }
});

test('the search answers any text in words', async () => {
  const page = await shown.open('viewer');
  const faults = faultsOf(page);
  await page.keyboard.press('Control+k');
  const status = dialog(page).getByRole('status');
  for (const text of [
    '\u0000',
    '%',
    '%E0%A4%A',
    '\uD800',
    'x'.repeat(10_000),
    '\u202Eabc',
    '👩‍🚀',
    '\u200B',
    "' or 1=1 --",
    '../..',
  ]) {
    await dialog(page).getByRole('textbox').fill(text);
    await expect.poll(() => status.textContent()).toMatch(/^(0 found\.|.*\bq: [\w ]+)/);
    expect(await status.textContent()).not.toMatch(/undefined|malformed URI|\[object/i);
  }
  expect(faults).toEqual([]);
  await close(page);
});

test('does not read the transcript of the next session because that of the one before was read', async () => {
  const page = await shown.open('admin', `/sessions/${shown.fleet.live}`);
  const read: string[] = [];
  page.on('request', (request) => request.url().endsWith('/transcript') && read.push(request.url()));
  await page.getByRole('button', { name: /^Read the transcript/ }).click();
  await page.locator('.transcript').waitFor();
  await page.keyboard.press('Control+k');
  await dialog(page).getByRole('textbox').fill(shown.fleet.dead);
  await dialog(page)
    .getByText(/^[1-9]\d* found\.$/)
    .waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: `Session ${shown.fleet.dead.slice(0, 8)}` }).waitFor();
  await page.getByRole('button', { name: /^Read the transcript/ }).waitFor();
  expect(read.length).toBe(1);
  await close(page);
});

test('asks once for a further page that is refused, says so, and asks again when told to', async () => {
  const page = await shown.open('viewer');
  let asked = 0;
  const refusal = { status: 400, title: 'Invalid cursor', code: 'invalid_cursor', detail: 'The cursor does not fit.' };
  await page.route('**/ops/api/events?*cursor=*', async (route) => {
    asked += 1;
    await (asked > 1 ? route.continue() : route.fulfill({ status: 400, json: refusal }));
  });
  await page.clock.install();
  await page.goto(`${shown.url}/events`);
  await page.locator('[data-row-link]').first().waitFor();
  await page.getByRole('button', { name: /pause updates/ }).click();
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.getByText('The next rows could not be read. The cursor does not fit.').waitFor();
  await page.clock.runFor(30_000);
  expect(asked).toBe(1);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText(/^1\d\d rows and more/).waitFor();
  await close(page);
});

test('shows how long ago something was by the orchestrator’s clock, whatever the clock of the computer says', async () => {
  for (const wrongMs of [-7_200_000, 7_200_000]) {
    const page = await shown.open('viewer');
    await page.clock.install({ time: Date.now() + wrongMs });
    await shown.world.db.query(
      `update public.machines set last_heartbeat_at = now() - interval '5 min' where id = $1`,
      [shown.fleet.machine],
    );
    await page.goto(`${shown.url}/machines/${shown.fleet.machine}`);
    const heartbeat = page.locator('.facts > div', { hasText: 'Last heartbeat' });
    await heartbeat.getByText(/^[5-9] min/).waitFor();
    await close(page);
  }
});

test('a view that is saved in one tab is there in the other, and is not lost when that saves one too', async () => {
  const page = await shown.open('viewer', '/sessions?path=hot');
  const other = await page.context().newPage();
  await other.goto(`${shown.url}/sessions?path=cold`);
  for (const [tab, name] of [
    [page, 'Hot ones'],
    [other, 'Cold ones'],
  ] as const) {
    await tab.getByText('Saved views').click();
    await tab.getByLabel('Save this view as').fill(name);
    await tab.getByRole('button', { name: 'Save', exact: true }).click();
  }
  for (const tab of [page, other])
    for (const name of ['Hot ones', 'Cold ones']) await tab.getByRole('button', { name, exact: true }).waitFor();
  // What another version has kept there does not break the page.
  await page.evaluate(() => {
    for (const key of Object.keys(localStorage)) localStorage.setItem(key, '7');
    localStorage.setItem('greenroom:zone', '"mars"');
  });
  await page.goto(`${shown.url}/sessions`);
  await page.locator('[data-row-link]').first().waitFor();
  await page.getByText('UTC', { exact: true }).waitFor();
  await close(page);
});

test('Escape closes an open menu, and leaves neither the view nor the dashboard', async () => {
  const page = await shown.open('viewer');
  await page.goto('about:blank');
  await page.goto(`${shown.url}/sessions`);
  const menu = page.locator('details.choices', { hasText: 'Status' });
  await menu.locator('summary').click();
  await menu.getByRole('checkbox').first().focus();
  await page.keyboard.press('Escape');
  await expect.poll(() => menu.getAttribute('open')).toBe(null);
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'Regions' }).click();
  await page.getByRole('heading', { name: 'Regions' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  await close(page);
});

test('ends those of several sessions that have not ended meanwhile, and says of each other one when it ended', async () => {
  // The seeded sessions were not counted when they were made.
  await shown.world.db.query('update public.tenant_counters set live_sessions = 200');
  const page = await shown.open('operator', '/sessions?live=true');
  const boxes = page.getByRole('checkbox', { name: /^Select/ });
  await boxes.first().waitFor();
  for (const box of (await boxes.all()).slice(0, 3)) await box.check();
  const ids = await page
    .locator('tr:has(input:checked) [data-row-link]')
    .evaluateAll((links) => links.map((link) => link.getAttribute('title')));
  expect(ids.length).toBe(3);
  await page.getByRole('button', { name: 'End', exact: true }).click();
  await dialog(page).getByText('Affects 3 sessions').waitFor();
  const other = {
    method: 'POST',
    headers: { authorization: `Bearer ${shown.tokens.operator}`, 'content-type': 'application/json' },
  };
  const first = await fetch(`${shown.url}/ops/api/sessions/${ids[0]}/end`, { ...other, body: '{"why":"I was first"}' });
  expect(first.status).toBe(200);
  await dialog(page)
    .getByLabel(/^Why\?/)
    .fill('A test of bulk acts');
  const confirm = dialog(page).getByLabel(/to confirm/);
  if ((await confirm.count()) > 0) {
    const label =
      (await dialog(page)
        .getByText(/^Type \d+ to confirm/)
        .textContent()) ?? '';
    await confirm.fill(/\d+/.exec(label)?.[0] ?? '');
  }
  await dialog(page).getByRole('button', { name: 'End' }).click();
  await dialog(page).getByText('Done: end, 2 of 3.').waitFor();
  await dialog(page)
    .getByText(new RegExp(`session ${ids[0]?.slice(0, 8)}: Already ended at`))
    .waitFor();
  await close(page);
});

test('no name and no message of others makes a view wider than the window, however long its words are', async () => {
  const { db } = shown.world;
  const hostile = `\u202Egpj.exe \u200B👩‍🚀<img src=x onerror=alert(1)> ${'W'.repeat(60)}`;
  await db.query('update public.tenants set name = $1', [hostile]);
  await db.query('update public.machines set evidence = $1', [hostile]);
  await db.query('update public.interview_results set last_error = $1', [hostile]);
  await db.query('update public.api_keys set name = $1', [hostile]);
  const headers = { authorization: `Bearer ${shown.tokens.operator}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ state: 'drained', why: hostile });
  expect((await fetch(`${shown.url}/ops/api/regions/syd`, { method: 'PUT', headers, body })).status).toBe(200);
  const page = await shown.open('viewer');
  const faults = faultsOf(page);
  for (const width of [240, 360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    for (const [name, at] of Object.entries(views)) {
      await page.goto(`${shown.url}/${at()}`);
      await page.locator('.panel, .list, .empty').first().waitFor();
      if (at() === '' || name === 'regions') await page.getByText('WWWWW').first().waitFor();
      const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect([name, width, tooWide]).toEqual([name, width, 0]);
    }
  }
  expect(faults).toEqual([]);
  await close(page);
});

test.each([360, 1280])('a menu stays within a window of %d px', async (width) => {
  const page = await shown.open('operator');
  await page.setViewportSize({ width, height: 800 });
  for (const [at, menu] of [
    ['sessions', 'Saved views'],
    ['sessions', 'Reason'],
    ['pools', 'Change'],
    [`tenants/${shown.tenant.id}`, 'Change'],
  ] as const) {
    await page.goto(`${shown.url}/${at}`);
    const summary = page.locator('.choices > summary', { hasText: menu }).first();
    await summary.waitFor({ state: 'attached' });
    if (!(await summary.isVisible())) await page.locator('.filters > summary').click();
    await summary.click();
    const outside = await summary.evaluate(({ nextElementSibling }) => {
      const { left, right } = nextElementSibling?.getBoundingClientRect() ?? new DOMRect();
      return [left < 0, right > innerWidth, document.documentElement.scrollWidth > innerWidth];
    });
    expect([at, menu, ...outside]).toEqual([at, menu, false, false, false]);
  }
  await close(page);
});

const views: Record<string, () => string> = {
  overview: () => '',
  sessions: () => 'sessions',
  'one session': () => `sessions/${shown.fleet.limited}`,
  'no session that matches': () => 'sessions?reason=no_capacity',
  machines: () => 'machines',
  'one machine': () => `machines/${shown.fleet.machine}`,
  'the next hour': () => 'next-hour',
  pools: () => 'pools',
  regions: () => 'regions',
  tenants: () => 'tenants',
  'one tenant': () => `tenants/${shown.tenant.id}`,
  work: () => 'work',
  events: () => 'events',
  audit: () => 'audit',
};
/** Layout depends only on the width, colours only on the theme. So two looks cover both widths and both themes. */
const twoLooks = [
  { colorScheme: 'light', width: 360 },
  { colorScheme: 'dark', width: 1280 },
] as const;

test.each(Object.keys(views))('the view of %s breaks no rule of axe and is not wider than the window', async (name) => {
  const page = await shown.open('admin');
  await withAxe(page);
  await page.goto(`${shown.url}/${views[name]?.()}`);
  await page.locator('.panel, .list, .empty').first().waitFor();
  expect(await wrongLooks(page, `dashboard ${name}`, twoLooks)).toEqual([]);
  await close(page);
});
