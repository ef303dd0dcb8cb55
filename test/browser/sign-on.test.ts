import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DashboardWorld, startDashboard } from '../support/dashboard.ts';
import { type SignOnProvider, startSignOnProvider } from '../support/sign-on-provider.ts';

/** The dashboard's sign-in by OpenID Connect in Chromium. `test/integration/sign-on.test.ts` covers what can go wrong. */
let provider: SignOnProvider;
let shown: DashboardWorld;
beforeAll(async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  provider = await startSignOnProvider(() => `${url}/ops/api/sign-in/oidc/callback`);
  shown = await startDashboard({
    port,
    environment: {
      OPERATOR_OIDC_ISSUER: provider.issuer,
      OPERATOR_OIDC_CLIENT_ID: provider.clientId,
      OPERATOR_OIDC_CLIENT_SECRET: provider.clientSecret,
      OPERATOR_OIDC_ROLES: 'on-call:operator,everybody:viewer',
      OPS_URL: url,
    },
  });
});
afterAll(async () => {
  await shown?.stop();
  provider?.stop();
});

test('an operator signs in with the button, sees the overview with the role of the group, and signs out', async () => {
  const page = await shown.newPage();
  await page.goto(shown.url);
  await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  expect(await page.locator('.me summary').textContent()).toContain('operator');
  await page.locator('.me summary').click();
  expect(await page.locator('.me p').textContent()).toContain('kim, operator');
  await page.getByRole('link', { name: 'Regions' }).click();
  const drain = page.getByRole('row', { name: 'Tokyo' }).getByRole('button', { name: 'Drain' });
  await drain.waitFor();
  expect(await drain.isEnabled()).toBe(true);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Operator’s token').waitFor();
  expect((await page.request.get(`${shown.url}/ops/api/me`)).status()).toBe(401);
  await page.context().close();
});

test('an operator who is removed from every group is told so on the open page', async () => {
  const page = await shown.newPage();
  await page.goto(`${shown.url}/ops/api/sign-in/oidc`);
  await page.getByRole('link', { name: 'Regions' }).click();
  await page.getByRole('row', { name: 'Tokyo' }).waitFor();
  provider.groups = [];
  await page.getByText('Your organisation no longer gives you a role here.').waitFor();
  expect(await page.getByRole('row').count()).toBe(0);
  await page.getByRole('link', { name: 'Sign in with your organisation' }).waitFor();
  await page.context().close();
});

test('a person whose groups have no role is told so on the page of the sign-in', async () => {
  provider.groups = ['marketing'];
  const page = await shown.newPage();
  await page.goto(shown.url);
  await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
  await page.getByRole('alert').waitFor();
  expect(await page.getByRole('alert').textContent()).toBe('None of your groups has a role here. Ask an admin.');
  await page.context().close();
});
