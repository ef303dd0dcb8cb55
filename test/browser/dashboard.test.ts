import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
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
/** A live session that no test here ends, and its machine. */
const running = async (): Promise<{ session: string; machine: string }> => {
  const { rows } = await shown.world.db.query(
    `select s.id as session, m.id as machine from public.interview_sessions s join public.machines m on m.session_id = s.id
    where s.status = 'in_progress' and s.presence = 'present' and m.state = 'claimed' and s.id <> $1
    order by s.created_at desc limit 1`,
    [shown.fleet.live],
  );
  return rows[0];
};
const newSession = async (): Promise<string> => {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Cook' }, region: 'fra' };
  const made = await shown.world.send('/api/sessions', { method: 'POST', as: shown.tenant.apiKey, body });
  expect(made.status).toBe(201);
  return made.json.session_id;
};

type Row = Record<string, unknown>;
interface Burst {
  /** `redrawnAt`: when the document has changed, ms. `commits`: of React, also those that changed nothing. */
  burst: { redrawnAt: number[]; commits: number; sent: number; read: number };
}
/**
 * Runs in the page: replaces the stream by one with 1,500 messages a second, has every query read again 20 times a second, with
 * something new in each answer, and notes when the page is redrawn.
 */
function burst(rows: Row[]): void {
  const noted: Burst['burst'] = { redrawnAt: [], commits: 0, sent: 0, read: 0 };
  Object.assign(window, {
    burst: noted,
    __REACT_DEVTOOLS_GLOBAL_HOOK__: {
      ...{ supportsFiber: true, inject: () => 1, onCommitFiberUnmount: () => undefined, checkDCE: () => undefined },
      onCommitFiberRoot: () => {
        noted.commits += 1;
      },
    },
  });
  // All changes of one commit are one redraw, and so are those before the next picture.
  const isNew = () => performance.now() - (noted.redrawnAt.at(-1) ?? Number.NEGATIVE_INFINITY) > 16;
  // The first second belongs to the loading of the view.
  new MutationObserver(() => noted.sent > 500 && isNew() && noted.redrawnAt.push(performance.now())).observe(document, {
    ...{ subtree: true, childList: true, characterData: true, attributes: true },
  });
  const ask = window.fetch;
  window.fetch = async (input, init) => {
    if (!String(input).includes('/stream')) {
      const answer = await ask(input, init);
      if (noted.sent === 0 || String(input).includes('/me')) return answer;
      noted.read += 1;
      const changed = { type: `read ${noted.read}`, reason: `read_${noted.read}`, present: noted.read };
      const { data, ...others } = await answer.json();
      const rows = data?.map((row: Row) => ({ ...row, ...changed }));
      return Response.json({ ...others, ...changed, ...(rows ? { data: rows } : {}) });
    }
    const text = (name: string, data: object) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
    const overview = await (await ask('/ops/api/overview')).json();
    const list = await (await ask('/ops/api/sessions?limit=50')).json();
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        const send = (chunk: string) => stream.enqueue(new TextEncoder().encode(chunk));
        send(text('hello', {}));
        setInterval(() => dispatchEvent(new Event('visibilitychange')), 50);
        setInterval(() => {
          for (let n = 0; n < 5; n += 1) {
            noted.sent += 1;
            const at = { created_at: new Date().toISOString() };
            const row = rows[noted.sent % rows.length] as Row;
            send(
              text('event', {
                ...at,
                id: 1e9 + noted.sent,
                type: 'session.ready',
                data: {},
                session_id: row.id,
                tenant_id: row.tenant_id,
                tenant: 'acme',
              }),
            );
            send(text('overview', { ...overview, present: noted.sent }));
            const changed = {
              ...list.data[noted.sent % list.data.length],
              cost_usd: noted.sent,
              reason: `reason_${noted.sent}`,
            };
            send(text('changed', { sessions: [changed], machines: [] }));
          }
        }, 10);
      },
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };
}

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

  test('says why it shows nothing any more when the role is taken away, and asks for nothing until somebody signs in', async () => {
    const { session } = await running();
    const page = await shown.open('admin');
    const failed: number[] = [];
    page.on('response', (answer) => answer.status() >= 500 && failed.push(answer.status()));
    await withAxe(page);
    await page.clock.install();
    await page.goto(`${shown.url}/sessions/${session}`);
    await page.getByRole('button', { name: /^Read the transcript/ }).click();
    await page.getByText('No entry is stored.').waitFor();
    await isLive(page);
    const giveBack = shown.setRole('admin', 'none');
    onTestFinished(giveBack);
    await page.getByText('Your operator token was removed. Ask an admin for another one.').waitFor();
    expect(await page.locator('.panel, .top, [data-row-link]').count()).toBe(0);
    await expect.poll(() => shown.world.deps.operatorApi.feed.watchers).toBe(0);
    expect(await wrongLooks(page, 'dashboard role taken away')).toEqual([]);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.clock.runFor(120_000);
    expect(asked).toEqual([]);
    await page.reload();
    await page.getByText('Your operator token was removed. Ask an admin for another one.').waitFor();
    giveBack();

    // The next person on this page has a lower role, and sees nothing that the one before was shown.
    await page.getByLabel('Operator’s token').fill(shown.tokens.viewer);
    await page.getByRole('button', { name: 'Sign in' }).click();
    const read = page.getByRole('button', { name: /^Read the transcript/ });
    await read.waitFor();
    expect([await read.isDisabled(), new URL(page.url()).pathname]).toEqual([true, `/sessions/${session}`]);
    expect(failed).toEqual([]);
    await close(page);
  });

  test('when the role is lowered, the page says so, hides the transcript and refuses acts, also in an open dialog', async () => {
    const { session } = await running();
    const page = await shown.open('admin', `/sessions/${session}`);
    const failed: number[] = [];
    page.on('response', (answer) => answer.status() >= 400 && failed.push(answer.status()));
    await withAxe(page);
    await page.reload();
    await page.getByRole('button', { name: /^Read the transcript/ }).click();
    await page.getByText('No entry is stored.').waitFor();
    const send = page.getByRole('button', { name: 'End', exact: true }).first();
    await send.click();
    await dialog(page).getByText('Affects').waitFor();
    await isLive(page);
    onTestFinished(shown.setRole('admin', 'viewer'));
    await page
      .getByText('Your role was changed from admin to viewer. Acts that need a higher role are disabled.')
      .waitFor();
    await dialog(page).getByText('This needs the role operator; yours is viewer.').waitFor();
    expect(await dialog(page).getByRole('button', { name: 'End' }).isDisabled()).toBe(true);
    expect(await wrongLooks(page, 'dashboard role lowered in a dialog')).toEqual([]);
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    expect([await send.isDisabled(), await page.getByText('No entry is stored.').count()]).toEqual([true, 0]);
    await isLive(page);
    expect(await wrongLooks(page, 'dashboard role lowered')).toEqual([]);
    expect(failed).toEqual([]);
    await close(page);
  });

  test('when the role is raised, an operator who comes back to the window may act', async () => {
    const page = await shown.open('viewer');
    await page.clock.install();
    await page.goto(`${shown.url}/machines/${(await running()).machine}`);
    const stop = page.getByRole('button', { name: 'Stop', exact: true });
    await stop.waitFor();
    expect(await stop.isDisabled()).toBe(true);
    await isLive(page);
    // The regular reading would tell too, half a minute later.
    await page.clock.pauseAt(Date.now() + 60_000);
    await page.clock.runFor(1_000);
    onTestFinished(shown.setRole('viewer', 'operator'));
    await Promise.all([
      page.waitForResponse(/\/ops\/api\/me$/),
      page.evaluate(() => dispatchEvent(new Event('focus'))),
    ]);
    await page.clock.runFor(1_000);
    await page.getByText('Your role was changed from viewer to operator.').waitFor();
    expect(await stop.isEnabled()).toBe(true);
    await close(page);
  });

  test('refuses an act with the reason when the role became lower while the page was paused', async () => {
    const page = await shown.open('operator', `/machines/${(await running()).machine}`);
    await isLive(page);
    await page.getByRole('button', { name: /pause updates/ }).click();
    await page.getByText('Paused').waitFor();
    onTestFinished(shown.setRole('operator', 'viewer'));
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await dialog(page).getByText('This needs the role operator; yours is viewer.').waitFor();
    expect(await dialog(page).getByRole('button').allTextContents()).toEqual(['Cancel']);
    await dialog(page).getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Your role was changed from operator to viewer.').waitFor();
    expect(await page.getByRole('button', { name: 'Stop', exact: true }).isDisabled()).toBe(true);
    await close(page);
  });

  test('finds anything by any of its ids, with the keyboard alone', async () => {
    const page = await shown.open('viewer');
    await page.keyboard.press('Control+k');
    await page.keyboard.type(shown.fleet.machine.slice(0, 13));
    await dialog(page).getByText('1 found.').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `Machine ${shown.fleet.machine.slice(0, 8)}` }).waitFor();
    // The id of a request leads to the act in the audit log that it carried out.
    const own = { authorization: `Bearer ${shown.tokens.operator}`, 'content-type': 'application/json' };
    const act = { method: 'PUT', headers: own, body: '{"state":"drained","why":"A test of jumping"}' };
    const request = (await fetch(`${shown.url}/ops/api/regions/jnb`, act)).headers.get('x-request-id');
    await page.keyboard.press('Control+k');
    await page.keyboard.type(String(request));
    await dialog(page).getByText('1 found.').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('row').filter({ hasText: 'A test of jumping' }).waitFor();
    expect(await page.getByRole('row').count()).toBe(2);
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
    page.on('request', (request) => {
      // The code of the other views may still be on its way.
      const { pathname } = new URL(request.url());
      if (!pathname.startsWith('/assets/')) asked.push(pathname);
    });
    await page.evaluate(() => {
      const seen: string[] = [];
      Object.assign(window, { seen });
      new MutationObserver((records) => {
        for (const { type, target } of records) seen.push(`${type} of ${target.nodeName}: ${target.textContent}`);
      }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    });
    await expect.poll(() => shown.world.deps.operatorApi.feed.watchers).toBe(0);
    const id = await newSession();
    await page.clock.runFor(60_000);
    expect(asked).toEqual([]);
    expect(await page.evaluate(() => (window as unknown as { seen: string[] }).seen)).toEqual([]);
    await pause.click();
    await page.clock.runFor(5_000);
    await expect.poll(() => asked).toEqual(expect.arrayContaining(['/ops/api/stream', '/ops/api/events']));
    await page.clock.resume();
    await page.locator(`a[title="${id}"]`).first().waitFor();
    await close(page);
  });

  test('is redrawn at most once in 250 ms while hundreds of changes arrive each second', async () => {
    const page = await shown.open('viewer');
    const { rows } = await shown.world.db.query('select id, tenant_id from public.interview_sessions limit 50');
    await page.addInitScript(burst, rows as Row[]);
    const read = () => page.evaluate(() => (window as unknown as Burst).burst);
    const sentMore = (count: number) =>
      page.waitForFunction((least) => (window as unknown as Burst).burst.sent >= least, count);
    for (const view of ['events', 'sessions', '']) {
      await page.goto(`${shown.url}/${view}`);
      await sentMore(1_200);
      await page.waitForFunction(() => (window as unknown as Burst).burst.redrawnAt.length > 5);
      const { redrawnAt, sent, read: answers } = await read();
      const lastedMs = (redrawnAt.at(-1) ?? 0) - (redrawnAt[0] ?? 0);
      // The first of them may be seen late.
      const most = Math.ceil(lastedMs / 250) + 1;
      expect(redrawnAt.length, `redraws of /${view} in ${lastedMs} ms`).toBeLessThanOrEqual(most);
      expect(answers, `what was read again of /${view}`).toBeGreaterThan(10);

      await page.getByRole('button', { name: /pause updates/ }).click();
      await page.getByText('Paused').waitFor();
      const before = await read();
      await sentMore(sent + 500);
      const after = await read();
      expect([view, after.redrawnAt.length, after.commits]).toEqual([view, before.redrawnAt.length, before.commits]);
    }
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
    // A view that is opened while nobody answers says so, and is filled afterwards.
    const other = await shown.open('viewer');
    await isLive(other);
    await shown.goAway();
    await page.getByText('Reconnecting').waitFor();
    await other.getByRole('link', { name: 'Regions' }).click();
    await other.getByText('The orchestrator does not answer.').waitFor();
    const missed = await newSession();
    await shown.comeBack();
    await isLive(page);
    await page.locator(`a[title="${missed}"]`).first().waitFor();
    await other.getByRole('row', { name: 'Tokyo' }).waitFor();
    await Promise.all([close(page), close(other)]);
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
