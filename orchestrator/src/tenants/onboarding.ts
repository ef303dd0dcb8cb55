import { createHash } from 'node:crypto';
import { newSecret } from '@greenroom/shared/runtime/ids.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { ActBy } from '../database/audit-store.ts';
import type { AppRow, OnboardingDebt, TenantRow, TenantStore } from '../database/tenant-store.ts';
import type { FlyApps } from '../fly/apps.ts';
import type { FlyClient } from '../fly/client.ts';
import { createLanes } from '../runtime/lanes.ts';
import { egressPolicy } from './egress-policy.ts';

/**
 * A tenant's Fly apps: created at onboarding, deleted at removal.
 *
 * - The steps are: row (`planned`), app at Fly, egress policy, row `ready`. Each step can be repeated. If a
 *   crash or an outage interrupts them, the row remains and the regular job continues.
 * - App names are global at Fly, and several deployments may share an organisation. App and network names
 *   therefore contain a mark that is derived from this deployment and its database.
 * - An app is ours if it is in our organisation, on the network named in its row, and holds no machine of
 *   another deployment. (The network is set when an app is created and cannot be changed.) Other apps are
 *   neither used nor deleted. If a name is taken by someone else, another name is chosen.
 * - Machines are created only in apps that are `ready`, so no machine starts before the egress policy exists.
 * - An app is deleted only if its row is `removing`. The database sets that when the app has no machines left.
 *   The row becomes `removed` only when Fly no longer has the app, because Fly takes a while to delete one.
 * - Fly limits the creation of machines per app, so several apps multiply a tenant's rate. They share one
 *   network.
 * - The regular job does not wait for the apps it works on, and one tenant's apps cannot take all of its
 *   places.
 */
export interface OnboardingDeps {
  tenants: Pick<
    TenantStore,
    'planApp' | 'renameApp' | 'appReady' | 'appRemoved' | 'debts' | 'removalsUnderWay' | 'remove'
  >;
  fly: FlyApps & Pick<FlyClient, 'list'>;
  org: string;
  deploymentId: string;
  /** `deploymentMark`. */
  mark: string;
  logger: Logger;
}

export type Settled = 'ready' | 'removed' | 'not yet' | 'no policies' | 'foreign';
type App = Pick<AppRow, 'name' | 'network'>;
type Owner = 'ours' | 'foreign' | 'otherOrganisation' | 'absent' | 'unclear';

/** A mark that is the same for all orchestrators of a deployment and differs between databases. */
export const deploymentMark = (deploymentId: string, databaseUrl: string): string =>
  createHash('sha256').update(`${deploymentId}\n${databaseUrl}`).digest('hex').slice(0, 8);

/** The names of a tenant's `n`-th app and of the network that all its apps share. At most 57 characters. */
const appNames = (slug: string, mark: string, n: number) => ({
  name: `gr-${slug}-${mark}-${n}`,
  network: `gr-${slug}-${mark}-net`,
});

/** Another name for an app whose name is taken. At most 63 characters. */
const anotherName = (name: string): string =>
  `${name.replace(/-x[0-9a-f]{4}$/, '')}-x${Buffer.from(newSecret(8)).toString('hex').slice(0, 4)}`;
const mostRenames = 3;

/** The names of the apps that are still missing so that the tenant has `count`. */
const missingApps = ({ slug, apps }: Pick<TenantRow, 'slug' | 'apps'>, mark: string, count: number) =>
  Array.from({ length: count }, (_, n) => appNames(slug, mark, n + 1))
    .filter(({ name }) => apps.every((app) => app.name !== name))
    .slice(0, Math.max(0, count - apps.length));

export function createOnboarding({ tenants, fly, org, deploymentId, mark, logger }: OnboardingDeps) {
  const lanes = createLanes({ total: 16, perLane: 2 });
  const underWay = new Set<string>();

  /** Whether the app holds a machine of another deployment. Undefined if Fly does not answer. */
  const holdsOthers = async (name: string): Promise<boolean | undefined> => {
    const listed = await fly.list(name);
    if (listed.kind !== 'listed') return undefined;
    return listed.machines.some(({ metadata: { deployment_id: by } }) => by !== undefined && by !== deploymentId);
  };

  /** Who owns the Fly app of this name. */
  const ownerOf = async ({ name, network }: App): Promise<Owner> => {
    const found = await fly.getApp(name, org);
    if (found.kind === 'notFound') return 'absent';
    if (found.kind === 'otherOrganisation') return 'otherOrganisation';
    if (found.kind !== 'found') return 'unclear';
    if (found.app.organization !== org || found.app.network !== network) return 'foreign';
    const others = await holdsOthers(name);
    if (others === undefined) return 'unclear';
    return others ? 'foreign' : 'ours';
  };

  /** Creates the app if it does not exist. Returns who owns it. */
  const ensureApp = async (app: App): Promise<Owner> => {
    const created = await fly.createApp(app.name, org, app.network);
    if (created.kind === 'done') return 'ours';
    if (created.kind === 'unauthorized' || created.kind === 'rateLimited') return 'unclear';
    // The name is taken, or an earlier request succeeded and its answer was lost: read the app. Our token may create
    // apps, so a 403 means that this app belongs to another organisation.
    const owner = await ownerOf(app);
    if (owner === 'otherOrganisation') return 'foreign';
    return owner === 'absent' ? 'unclear' : owner;
  };

  const ensurePolicy = async (name: string): Promise<'set' | 'not yet' | 'no policies'> => {
    const listed = await fly.listPolicies(name);
    if (listed.kind === 'notFound') return 'no policies';
    if (listed.kind !== 'listed') return 'not yet';
    if (listed.names.includes(egressPolicy.name)) return 'set';
    return (await fly.setPolicy(name, egressPolicy)).kind === 'done' ? 'set' : 'not yet';
  };

  /** Someone else has the name: continues with another one. */
  const rename = async (app: App, renames: number): Promise<Settled> => {
    const name = anotherName(app.name);
    logger.warn({ app_name: app.name, target: name }, 'the app name belongs to someone else; using another name');
    if (!(await tenants.renameApp(app.name, name))) return 'foreign';
    return make({ ...app, name }, renames + 1);
  };

  const make = async (app: App, renames = 0): Promise<Settled> => {
    const owner = await ensureApp(app);
    if (owner === 'foreign') return renames < mostRenames ? rename(app, renames) : 'foreign';
    if (owner !== 'ours') return 'not yet';
    const policy = await ensurePolicy(app.name);
    if (policy === 'no policies')
      logger.error({ app_name: app.name }, 'Fly has no network policies for this app; the app is not used');
    if (policy !== 'set') return policy;
    return (await tenants.appReady(app.name)) ? 'ready' : 'not yet';
  };

  const unmake = async (app: App): Promise<Settled> => {
    const owner = await ownerOf(app);
    // A 403 can mean a wrong token or someone else's app. The row is kept, so that an operator can look into it.
    if (owner === 'unclear' || owner === 'otherOrganisation') return 'not yet';
    if (owner === 'foreign') logger.error({ app_name: app.name }, 'the app is not ours; it was not deleted');
    if (owner === 'ours') {
      await fly.deleteApp(app.name);
      if ((await fly.getApp(app.name, org)).kind !== 'notFound') return 'not yet';
    }
    await tenants.appRemoved(app.name);
    return 'removed';
  };

  const settle = async (debt: Pick<OnboardingDebt, 'name' | 'network' | 'status'>): Promise<Settled> => {
    const settled = debt.status === 'removing' ? await unmake(debt) : await make(debt);
    logger.info({ app_name: debt.name, status: debt.status, outcome: settled }, 'worked on a Fly app');
    return settled;
  };

  const begin = (debt: OnboardingDebt): void => {
    if (underWay.has(debt.name)) return;
    underWay.add(debt.name);
    lanes
      .add(debt.tenant_id, () => settle(debt))
      .catch((error: unknown) => logger.warn({ app_name: debt.name, error }, 'work on a Fly app failed; will retry'))
      .finally(() => underWay.delete(debt.name));
  };

  return {
    /**
     * Plans the missing apps, so that the tenant has `count`, and tries to create them. `run` retries what
     * fails.
     */
    onboard: async (tenant: TenantRow, by: ActBy, count = 1): Promise<void> => {
      for (const { name, network } of missingApps(tenant, mark, count)) {
        const planned = await tenants.planApp(tenant.id, name, network, by);
        if (planned.kind !== 'planned' && planned.kind !== 'known') continue;
        await settle(planned.app).catch((error: unknown) =>
          logger.warn({ app_name: name, error }, 'could not prepare a Fly app; will retry'),
        );
      }
    },
    /**
     * The regular job: starts work on every app and removal that is not complete. Does not wait for the apps.
     */
    run: async (): Promise<void> => {
      for (const tenantId of await tenants.removalsUnderWay())
        await tenants.remove(tenantId, { actor: 'orchestrator' });
      for (const debt of await tenants.debts()) begin(debt);
    },
  };
}
