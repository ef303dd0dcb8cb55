import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import type pg from 'pg';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserArguments, browserPath } from '../../tools/demo/browser.ts';
import { createPlatform } from '../../tools/demo/platform.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { sessionBody, startInterview, until } from '../support/session.ts';

/**
 * Seven interviews start slowly, each for a different reason. An operator finds the reason of each with at most three clicks from
 * the overview, and `greenroom sessions why` prints the same sentence.
 */
const root = path.resolve(import.meta.dirname, '../..');
/** A machine that has not started by then gets a hedge in the next region. */
const createMs = 10_000;

let stack: Stack;
let db: pg.Pool;
let browser: Browser;
let page: Page;
let ops: string;

beforeAll(async () => {
  stack = await startStack({
    ...{ dashboard: true, flyLatency: 'zero', flyLimits: false, voice: { turns: 1, maxTurnMs: 1_500 } },
    environment: { CREATE_MS: String(createMs), RECONCILE_TICK_MS: '1000' },
  });
  db = ownerPool(stack.cloud.supabase.dbUrl, 2);
  ops = stack.orchestrators[0]?.opsUrl as string;
  browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: browserArguments });
  page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(ops);
  await page.getByLabel('Operator’s token').fill(stack.operatorToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  await db?.end();
  await stack?.stop();
});

type Why = { verdict: string; sentence: string };
const why = async (id: string): Promise<Why> => {
  const headers = { authorization: `Bearer ${stack.operatorToken}` };
  return (await fetch(`${ops}/ops/api/sessions/${id}/why`, { headers })).json() as Promise<Why>;
};
const create = ({ apiKey }: SeededTenant, extra: Record<string, unknown> = {}) =>
  createPlatform(stack.publicUrl, apiKey).createSession(sessionBody(extra));
const isReady = (id: string) =>
  until('it is ready', async () => {
    const { rows } = await db.query('select ready_at from public.session_phases where session_id = $1', [id]);
    return rows[0]?.ready_at;
  });
let tenants = 0;
const newTenant = () => {
  tenants += 1;
  return stack.addTenant(`tenant-${tenants}`, `Tenant ${tenants}`);
};

/** Each provokes its reason, and returns the session once the reason can be known. */
const provoke: Record<string, () => Promise<string>> = {
  create_limit: async () => {
    const tenant = await newTenant();
    await db.query('update public.tenant_apps set creates_per_second = 0.2 where name = $1', [tenant.appName]);
    // Fly lets three machines be created at once. The fifth session waits 10 s.
    const all = await Promise.all(Array.from({ length: 5 }, () => create(tenant)));
    await Promise.all(all.map(({ session_id }) => isReady(session_id)));
    const { rows } = await db.query(
      'select session_id from public.session_phases where tenant_id = $1 order by start_ms desc limit 1',
      [tenant.id],
    );
    return rows[0].session_id;
  },
  region_full: async () => {
    const { appName, ...tenant } = await newTenant();
    // Fly takes its time before it says that the region is full.
    const action = { kind: 'delay', delayMs: 7_000 } as const;
    stack.cloud.fly.faults.add({ on: 'machines.create', match: { app: appName, region: 'syd' }, action });
    stack.cloud.fly.setCapacity('syd', 'none');
    const { session_id } = await create({ appName, ...tenant }, { region: 'syd' });
    await isReady(session_id);
    return session_id;
  },
  slow_boot: async () => {
    const tenant = await newTenant();
    const action = { kind: 'delay', delayMs: 7_500 } as const;
    stack.cloud.fly.faults.add({ on: 'machines.boot', match: { app: tenant.appName }, action });
    const { session_id } = await create(tenant);
    await isReady(session_id);
    return session_id;
  },
  hedged: async () => {
    const tenant = await newTenant();
    const action = { kind: 'special', name: 'stuck_in_created' } as const;
    stack.cloud.fly.faults.add({ on: 'machines.create', match: { app: tenant.appName }, action });
    const { session_id } = await create(tenant);
    await isReady(session_id);
    return session_id;
  },
  no_standby: async () => {
    // No step takes longer than usual, but together they take longer than a standby start. On a busy machine one may.
    for (let attempt = 1; ; attempt += 1) {
      const tenant = await newTenant();
      await db.query(`insert into public.pool_policies (tenant_id, region, floor, ceiling) values ($1, 'fra', 0, 1)`, [
        tenant.id,
      ]);
      const [created, booted] = [2_500, 1_600].map((delayMs) => ({ kind: 'delay', delayMs }) as const);
      stack.cloud.fly.faults.add({ on: 'machines.create', match: { app: tenant.appName }, action: created as never });
      stack.cloud.fly.faults.add({ on: 'machines.boot', match: { app: tenant.appName }, action: booted as never });
      const { session_id } = await create(tenant);
      await isReady(session_id);
      if ((await why(session_id)).verdict === 'no_standby' || attempt === 5) return session_id;
    }
  },
  slow_provider: async () => {
    const tenant = await newTenant();
    const session = await create(tenant);
    await isReady(session.session_id);
    stack.cloud.voice.faults.add({ on: 'realtime.calls', action: { kind: 'delay', delayMs: 7_000 } });
    const { ended } = await startInterview(stack, undefined, {}, session);
    await ended;
    return session.session_id;
  },
  late_candidate: async () => {
    const tenant = await newTenant();
    const session = await create(tenant);
    await isReady(session.session_id);
    // A candidate counts as late after a minute.
    await new Promise((resolve) => setTimeout(resolve, 63_000));
    const { ended } = await startInterview(stack, undefined, {}, session);
    await ended;
    return session.session_id;
  },
};

const command = async (id: string): Promise<string> => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(root, 'orchestrator/cli/main.ts'), 'sessions', 'why', id],
    { cwd: tmpdir(), env: { PATH: process.env.PATH, GREENROOM_URL: ops, GREENROOM_TOKEN: stack.operatorToken } },
  );
  return stdout;
};

test.each([
  ['create_limit', /waited \S+ s for Fly's create limit \(.*no standby in fra\)/, 'slow cold starts'],
  ['region_full', /syd was full, and the next machine, in \w{3}, was asked for \S+ s later/, 'slow cold starts'],
  ['slow_boot', /the (machine|VM) took \S+ s (to boot|from its boot)/, 'slow cold starts'],
  ['hedged', /the machine in fra was late, so a second one was tried after \S+ s in \w{3}/, 'slow cold starts'],
  ['no_standby', /no standby in fra, so a machine was created, which took \S+ s/, 'Sessions'],
  ['slow_provider', /the voice provider took \S+ s to answer the call/, 'Sessions'],
  ['late_candidate', /the candidate came \S+ s after the interview was ready/, 'Sessions'],
] as const)(
  '%s is found with three clicks, and the command prints the same sentence',
  async (verdict, words, first) => {
    const id = await (provoke[verdict] as () => Promise<string>)();
    await until(`${verdict} is the verdict`, async () => (await why(id)).verdict === verdict, 30_000).catch(async () =>
      expect(await why(id)).toMatchObject({ verdict }),
    );
    const { sentence } = await why(id);
    expect(sentence).toMatch(words);

    await page.goto(ops);
    let clicks = 0;
    const click = async (name: string | RegExp) => {
      clicks += 1;
      await page.getByRole('link', { name }).first().click();
    };
    await click(first === 'Sessions' ? 'Sessions' : new RegExp(`^\\d+ ${first.slice(0, -1)}s?$`));
    await page.locator(`tr:has(a[title="${id}"])`).getByText(sentence).waitFor();
    clicks += 1;
    await page.locator(`a[title="${id}"]`).first().click();
    await expect.poll(() => page.locator('.sentence').textContent()).toBe(sentence);
    expect(clicks).toBeLessThanOrEqual(3);

    expect(await command(id)).toContain(sentence);
  },
);
