import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPlatform } from '../../tools/demo/platform.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { sessionBody, until } from '../support/session.ts';

/** Two deployments in one Fly organisation, each with its own database: neither changes the other's apps or rows. */
let production: Stack;
let staging: Stack;

beforeAll(async () => {
  production = await startStack({ flyLimits: false, voice: { turns: 1, paceMs: 50 } });
  const { fly } = production.cloud;
  staging = await startStack({
    environment: {
      ...{ DEPLOYMENT_ID: production.deploymentId, RECONCILE_TICK_MS: '300', ABSENCE_GRACE_MS: '200' },
      ...{ FLY_API_URL: fly.apiUrl, FLY_API_TOKEN: production.flyToken, FLY_OIDC_ISSUER: fly.oidcIssuer('local') },
    },
  });
});
afterAll(async () => {
  await staging?.stop();
  await production?.stop();
});

const operate = async (stack: Stack, method: string, path: string, body?: object) => {
  const answer = await fetch(`${stack.publicUrl}/api/tenants${path}`, {
    method,
    headers: {
      authorization: `Bearer ${stack.operatorToken}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  return (await answer.json()) as { id: string; status: string; key: string; apps: Array<{ name: string }> };
};

test('deleting a tenant in one deployment leaves the app and session of the same tenant in another deployment alone', async () => {
  const [ours, theirs] = [production, staging].map((stack) =>
    operate(stack, 'POST', '', { slug: 'acme', name: 'Acme' }),
  );
  const [live, test] = [await ours, await theirs];
  const [app, other] = [live?.apps[0]?.name, test?.apps[0]?.name];
  expect(app).not.toBe(other);
  const { key } = await operate(production, 'POST', `/${live?.id}/api-keys`, {
    name: 'k',
    scopes: ['sessions:read', 'sessions:write'],
  });
  const platform = createPlatform(production.publicUrl, key);
  const session = await platform.createSession(sessionBody(), { prefer: 'wait=20' });
  expect(session.status).toBe('ready');

  await until(
    'staging has removed its tenant',
    async () => (await operate(staging, 'DELETE', `/${test?.id}`)).status === 'removed',
    90_000,
  );
  const appStatus = async (name: string | undefined) =>
    (
      await fetch(`${production.cloud.fly.apiUrl}/v1/apps/${name}`, {
        headers: { authorization: `Bearer ${production.flyToken}` },
      })
    ).status;
  expect([await appStatus(app), await appStatus(other)]).toEqual([200, 404]);
  expect(await platform.getSession(session.session_id)).toMatchObject({ status: 'ready', epoch: 1 });
  await platform.deleteSession(session.session_id);
});
