import { createRequire } from 'node:module';
import type client from 'fly-admin/dist/client.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, IN_PROCESS, startHarness, TOKEN, until } from './testing/harness.ts';

/** An unmodified public client of Fly. */
// A CommonJS module: the test runner and Node give its default export differently.
const { default: Client } = createRequire(import.meta.url)('fly-admin/dist/client.js') as typeof client;
let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

it('creates, uses and destroys an app and a machine', async () => {
  const fly = new Client(TOKEN, { apiUrl: harness.fly.apiUrl, graphqlUrl: harness.fly.apiUrl });
  const app_name = 'by-fly-admin';
  await fly.App.createApp({ org_slug: 'local', app_name });
  expect(await fly.App.getApp(app_name)).toMatchObject({ name: app_name, organization: { slug: 'local' } });
  expect((await fly.App.listApps('local')).apps.map(({ name }) => name)).toContain(app_name);

  const made = await fly.Machine.createMachine({ app_name, region: 'fra', config: { image: IN_PROCESS } });
  const machine_id = made.id as string;
  const state = async () => (await fly.Machine.getMachine({ app_name, machine_id })).state as string;
  await until(async () => (await state()) === 'started' || undefined);
  expect((await fly.Machine.listMachines(app_name)).map(({ id }) => id)).toEqual([machine_id]);
  await fly.Machine.stopMachine({ app_name, machine_id });
  await until(async () => (await state()) === 'stopped' || undefined);
  await fly.Machine.startMachine({ app_name, machine_id });
  await until(async () => (await state()) === 'started' || undefined);
  expect((await fly.Machine.listEvents({ app_name, machine_id })).map(({ type }) => type)).toContain('exit');
  await fly.Machine.deleteMachine({ app_name, machine_id, force: true });
  await until(async () => (await state()) === 'destroyed' || undefined);

  await fly.App.deleteApp(app_name);
  await until(() =>
    fly.App.getApp(app_name).then(
      () => undefined,
      (error: Error) => error.message.startsWith('404'),
    ),
  );
});

it('receives Fly’s refusals', async () => {
  const fly = new Client(TOKEN, { apiUrl: harness.fly.apiUrl });
  harness.fly.takeAppName('somebody-elses');
  await expect(fly.App.createApp({ org_slug: 'local', app_name: 'somebody-elses' })).rejects.toThrow(/422.*taken/);
  await expect(fly.App.getApp('somebody-elses')).rejects.toThrow(/^403/);
});
