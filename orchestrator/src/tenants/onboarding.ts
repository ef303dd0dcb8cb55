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
 * A tenant's Fly apps: made at onboarding, deleted at removal.
 *
 * O1  Every step can be repeated and finds what the one before it left: row (`planned`), app at Fly, egress policy,
 *     `ready`. What a crash or an outage leaves half done is a row, and the regular job goes on with it.
 * O2  Names of apps are one namespace of all Fly's customers, and several deployments may share an organisation: names and
 *     networks carry a mark of this deployment and its database.
 * O3  An app is ours when it lies in our organisation on the network that its row names (a network is chosen once, when an
 *     app is made, and its name carries the mark), and holds no machine of another deployment. Nothing else is used or
 *     deleted: a name that somebody else has is given up for another one.
 * O4  A machine is only ever created in an app that is `ready`: so none starts before the egress policy is there.
 * O5  An app is deleted only when its row says `removing`, which the database sets when no machine is left in it, and its
 *     row is `removed` only when Fly has it no more: a deletion takes Fly a while.
 * O6  Fly limits creates by app: a tenant with several has so many times the rate. Their machines share one network.
 * O7  No round waits for its apps, and those of one tenant take only some of the places.
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

/** O2: the same for every orchestrator of a deployment, another for every other database. */
export const deploymentMark = (deploymentId: string, databaseUrl: string): string =>
  createHash('sha256').update(`${deploymentId}\n${databaseUrl}`).digest('hex').slice(0, 8);

/** Names of a tenant's `n`-th app and of the network of all of them; at most 57 characters. */
const appNames = (slug: string, mark: string, n: number) => ({
  name: `gr-${slug}-${mark}-${n}`,
  network: `gr-${slug}-${mark}-net`,
});

/** Another name for an app whose name is taken: at most 63 characters. */
const anotherName = (name: string): string =>
  `${name.replace(/-x[0-9a-f]{4}$/, '')}-x${Buffer.from(newSecret(8)).toString('hex').slice(0, 4)}`;
const mostRenames = 3;

/** The names that are missing, of `count` apps in all. */
const missingApps = ({ slug, apps }: Pick<TenantRow, 'slug' | 'apps'>, mark: string, count: number) =>
  Array.from({ length: count }, (_, n) => appNames(slug, mark, n + 1))
    .filter(({ name }) => apps.every((app) => app.name !== name))
    .slice(0, Math.max(0, count - apps.length));

export function createOnboarding({ tenants, fly, org, deploymentId, mark, logger }: OnboardingDeps) {
  const lanes = createLanes({ total: 16, perLane: 2 });
  const underWay = new Set<string>();

  /** O3. */
  const holdsOthers = async (name: string): Promise<boolean | undefined> => {
    const listed = await fly.list(name);
    if (listed.kind !== 'listed') return undefined;
    return listed.machines.some(({ metadata: { deployment_id: by } }) => by !== undefined && by !== deploymentId);
  };

  /** O3. Whose app of this name is. */
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

  /** Whether the app is there, on its network, as ours. */
  const ensureApp = async (app: App): Promise<Owner> => {
    const created = await fly.createApp(app.name, org, app.network);
    if (created.kind === 'done') return 'ours';
    if (created.kind === 'unauthorized' || created.kind === 'rateLimited') return 'unclear';
    // Taken, or the answer to an earlier try was lost: look. Our token may make apps, so a 403 is about this one.
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

  /** The name is somebody else's: goes on under another one. */
  const rename = async (app: App, renames: number): Promise<Settled> => {
    const name = anotherName(app.name);
    logger.warn({ app_name: app.name, target: name }, 'an app of this name is not ours: another name is taken');
    if (!(await tenants.renameApp(app.name, name))) return 'foreign';
    return make({ ...app, name }, renames + 1);
  };

  const make = async (app: App, renames = 0): Promise<Settled> => {
    const owner = await ensureApp(app);
    if (owner === 'foreign') return renames < mostRenames ? rename(app, renames) : 'foreign';
    if (owner !== 'ours') return 'not yet';
    const policy = await ensurePolicy(app.name);
    if (policy === 'no policies')
      logger.error({ app_name: app.name }, 'Fly offers no network policies for this app: it is not used'); // O4
    if (policy !== 'set') return policy;
    return (await tenants.appReady(app.name)) ? 'ready' : 'not yet';
  };

  /** O5. */
  const unmake = async (app: App): Promise<Settled> => {
    const owner = await ownerOf(app);
    // A 403 here may be a wrong token as well as somebody else's app: the row stays for an operator to look at.
    if (owner === 'unclear' || owner === 'otherOrganisation') return 'not yet';
    if (owner === 'foreign') logger.error({ app_name: app.name }, 'an app that is not ours was left alone');
    if (owner === 'ours') {
      await fly.deleteApp(app.name);
      if ((await fly.getApp(app.name, org)).kind !== 'notFound') return 'not yet';
    }
    await tenants.appRemoved(app.name);
    return 'removed';
  };

  const settle = async (debt: Pick<OnboardingDebt, 'name' | 'network' | 'status'>): Promise<Settled> => {
    const settled = debt.status === 'removing' ? await unmake(debt) : await make(debt);
    logger.info({ app_name: debt.name, status: debt.status, outcome: settled }, 'a Fly app was settled');
    return settled;
  };

  /** O7. */
  const begin = (debt: OnboardingDebt): void => {
    if (underWay.has(debt.name)) return;
    underWay.add(debt.name);
    lanes
      .add(debt.tenant_id, () => settle(debt))
      .catch((error: unknown) => logger.warn({ app_name: debt.name, error }, 'a Fly app could not be settled'))
      .finally(() => underWay.delete(debt.name));
  };

  return {
    /** Plans the apps that are missing of `count` (O6) and tries to make them; what fails is tried again by `run`. */
    onboard: async (tenant: TenantRow, by: ActBy, count = 1): Promise<void> => {
      for (const { name, network } of missingApps(tenant, mark, count)) {
        const planned = await tenants.planApp(tenant.id, name, network, by);
        if (planned.kind !== 'planned' && planned.kind !== 'known') continue;
        await settle(planned.app).catch((error: unknown) =>
          logger.warn({ app_name: name, error }, 'a Fly app is not ready yet'),
        );
      }
    },
    /** Goes on with what is half done (O1). Does not wait for it (O7). */
    run: async (): Promise<void> => {
      for (const tenantId of await tenants.removalsUnderWay())
        await tenants.remove(tenantId, { actor: 'orchestrator' });
      for (const debt of await tenants.debts()) begin(debt);
    },
  };
}
