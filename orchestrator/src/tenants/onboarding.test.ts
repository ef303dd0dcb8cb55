import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import type { TenantRow } from '../database/tenant-store.ts';
import type { AppOutcome, PoliciesOutcome } from '../fly/apps.ts';
import type { FlyMachine } from '../fly/classify.ts';
import type { ListOutcome } from '../fly/client.ts';
import { createOnboarding, deploymentMark } from './onboarding.ts';

const by = { actor: 'operator:test', remote_address: '127.0.0.1', request_id: 'req-1' };
const acme = { id: 'tenant-1', slug: 'acme', apps: [] } as unknown as TenantRow;
const name = 'gr-acme-0a1b2c3d-1';
const network = 'gr-acme-0a1b2c3d-net';
const taken = { kind: 'fatal' } as const;
const found = (changes: object = {}): AppOutcome => ({
  kind: 'found',
  app: { name, organization: 'local', network, ...changes },
});
const machineOf = (deployment: string) => ({ metadata: { deployment_id: deployment } }) as unknown as FlyMachine;

interface World {
  create?: Array<{ kind: 'done' } | typeof taken>;
  get?: AppOutcome[];
  machines?: ListOutcome;
  policies?: PoliciesOutcome;
  debts?: Array<{ name: string; network: string; status: 'planned' | 'removing'; tenant_id: string }>;
  /** Whether requests about this app never return. */
  hanging?: (app: string) => boolean;
}

function make(world: World) {
  const done: string[] = [];
  const next = <T>(answers: T[] | undefined, otherwise: T): T =>
    (answers && answers.length > 1 ? answers.shift() : answers?.[0]) ?? otherwise;
  const reach = async (what: string, app: string) => {
    done.push(`${what} ${app}`);
    if (world.hanging?.(app)) await new Promise(() => undefined);
  };
  const onboarding = createOnboarding({
    tenants: {
      planApp: async (_tenant, app) => ({ kind: 'planned', app: { name: app, network, status: 'planned' } }),
      renameApp: async (_name, to) => done.push(`rename to ${to}`) > 0,
      appReady: async (app) => done.push(`ready ${app}`) > 0,
      appRemoved: async (app) => ({ kind: String(done.push(`removed ${app}`)) }),
      debts: async () => world.debts ?? [],
      removalsUnderWay: async () => [],
      remove: async () => ({ kind: 'removed' }),
    },
    fly: {
      createApp: async (app) => {
        await reach('create', app);
        return next(world.create, { kind: 'done' });
      },
      getApp: async (app) => {
        await reach('get', app);
        return next(world.get, found());
      },
      deleteApp: async (app) => {
        await reach('DELETE', app);
        return { kind: 'done' };
      },
      list: async () => world.machines ?? { kind: 'listed', machines: [] },
      listPolicies: async () => world.policies ?? { kind: 'listed', names: [] },
      setPolicy: async () => ({ kind: 'done' }),
    },
    org: 'local',
    deploymentId: 'ours',
    mark: '0a1b2c3d',
    logger: silentLogger(),
  });
  return { done, onboarding };
}

describe('creating an app', () => {
  test('uses a name made of tenant, deployment mark and number', async () => {
    const { done, onboarding } = make({});
    await onboarding.onboard(acme, by);
    expect(done).toEqual([`create ${name}`, `ready ${name}`]);
    expect(deploymentMark('live', 'https://a.example')).not.toBe(deploymentMark('live', 'https://b.example'));
    expect(deploymentMark('live', 'https://a.example')).toMatch(/^[0-9a-f]{8}$/);
  });

  test('continues with the existing app when the answer to an earlier request was lost', async () => {
    const { done, onboarding } = make({ create: [taken] });
    await onboarding.onboard(acme, by);
    expect(done.at(-1)).toBe(`ready ${name}`);
  });

  test.each<[string, World]>([
    ['an app of another organisation, which Fly answers with 403', { get: [{ kind: 'otherOrganisation' }] }],
    ['an app on another network', { get: [found({ network: 'elsewhere' })] }],
    ["an app with another deployment's machines", { machines: { kind: 'listed', machines: [machineOf('theirs')] } }],
  ])('uses another name when the name is taken by %s', async (_what, world) => {
    const { done, onboarding } = make({ ...world, create: [taken, { kind: 'done' }] });
    await onboarding.onboard(acme, by);
    const other = /^rename to (gr-acme-0a1b2c3d-1-x[0-9a-f]{4})$/.exec(done.find((d) => d.startsWith('rename')) ?? '');
    expect(done.slice(-2)).toEqual([`create ${other?.[1]}`, `ready ${other?.[1]}`]);
    expect(done).not.toContain(`ready ${name}`);
  });

  test('leaves the app unused when Fly has no network policies for it', async () => {
    const { done, onboarding } = make({ policies: { kind: 'notFound' } });
    await onboarding.onboard(acme, by);
    expect(done).toEqual([`create ${name}`]);
  });
});

describe('removing an app', () => {
  const removing = { name, network, status: 'removing' as const, tenant_id: 'tenant-1' };
  const remove = async (world: World) => {
    const { done, onboarding } = make({ debts: [removing], ...world });
    await onboarding.run();
    await new Promise((resolve) => setImmediate(resolve));
    return done.filter((step) => !step.startsWith('get'));
  };

  test('deletes it, and marks the row as removed only when Fly no longer has it', async () => {
    expect(await remove({ get: [found(), found()] })).toEqual([`DELETE ${name}`]);
    expect(await remove({ get: [found(), { kind: 'notFound' }] })).toEqual([`DELETE ${name}`, `removed ${name}`]);
  });

  test.each<[string, World]>([
    ['is on another network', { get: [found({ network: 'elsewhere' })] }],
    ["holds another deployment's machines", { machines: { kind: 'listed', machines: [machineOf('theirs')] } }],
  ])('does not delete an app that %s', async (_what, world) => {
    expect(await remove(world)).toEqual([`removed ${name}`]);
  });

  test.each<[string, AppOutcome]>([
    ['gives no clear answer', { kind: 'ambiguous' }],
    ['refuses our token', { kind: 'otherOrganisation' }],
  ])('changes nothing while Fly %s', async (_what, outcome) => {
    expect(await remove({ get: [outcome] })).toEqual([]);
  });

  test("does not wait for another tenant's apps whose requests never return", async () => {
    const hung = Array.from({ length: 20 }, (_, n) => ({ ...removing, name: `gr-hung-${n}`, tenant_id: 'hung' }));
    const world: World = { debts: [...hung, removing], hanging: (app) => app.startsWith('gr-hung') };
    expect(await remove({ ...world, get: [found(), { kind: 'notFound' }] })).toContain(`removed ${name}`);
  });
});
