import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { ActBy } from '../database/audit-store.ts';
import type { AppRow, OnboardingDebt, TenantRow, TenantStore } from '../database/tenant-store.ts';
import type { FlyApps } from '../fly/apps.ts';
import { egressPolicy } from './egress-policy.ts';

/**
 * A tenant's Fly apps: made at onboarding, deleted at removal.
 *
 * O1  Every step can be repeated and finds what the one before it left: row (`planned`), app at Fly, egress policy,
 *     `ready`. What a crash or an outage leaves half done is a row, and the regular job goes on with it.
 * O2  An app of that name that lies in another organisation or on another network is not ours: it is never used, and the
 *     row stays `planned` for an operator to look at.
 * O3  A machine is only ever created in an app that is `ready`: so none starts before the egress policy is there.
 * O4  An app is deleted only when its row says `removing`, which the database sets when no machine is left in it.
 * O5  Fly limits creates by app: a tenant with several has so many times the rate. Their machines share one network.
 */
export interface OnboardingDeps {
  tenants: Pick<TenantStore, 'planApp' | 'appReady' | 'appRemoved' | 'debts' | 'removalsUnderWay' | 'remove'>;
  fly: FlyApps;
  org: string;
  logger: Logger;
}

export type Settled = 'ready' | 'removed' | 'not yet' | 'foreign';

/** Names of a tenant's `n`-th app and of the network of all of them. */
const appNames = (slug: string, n: number) => ({ name: `gr-${slug}-${n}`, network: `gr-${slug}-net` });

/** The names that are missing, of `count` apps in all. */
const missingApps = ({ slug, apps }: Pick<TenantRow, 'slug' | 'apps'>, count: number) =>
  Array.from({ length: count }, (_, n) => appNames(slug, n + 1))
    .filter(({ name }) => apps.every((app) => app.name !== name))
    .slice(0, Math.max(0, count - apps.length));

export function createOnboarding({ tenants, fly, org, logger }: OnboardingDeps) {
  /** Whether the app is there, on its network, as ours. */
  const ensureApp = async ({
    name,
    network,
  }: Pick<AppRow, 'name' | 'network'>): Promise<'ours' | 'foreign' | 'unclear'> => {
    const created = await fly.createApp(name, org, network);
    if (created.kind === 'done') return 'ours';
    // Taken, or the answer to an earlier try was lost: look.
    const found = await fly.getApp(name);
    if (found.kind !== 'found') return 'unclear';
    return found.app.organization === org && found.app.network === network ? 'ours' : 'foreign';
  };

  const ensurePolicy = async (name: string): Promise<boolean> => {
    const listed = await fly.listPolicies(name);
    if (listed.kind !== 'listed') return false;
    if (listed.names.includes(egressPolicy.name)) return true;
    return (await fly.setPolicy(name, egressPolicy)).kind === 'done';
  };

  const make = async (app: Pick<AppRow, 'name' | 'network'>): Promise<Settled> => {
    const owner = await ensureApp(app);
    if (owner === 'foreign') {
      logger.error({ app_name: app.name }, 'an app of this name exists that is not ours'); // O2
      return 'foreign';
    }
    if (owner === 'unclear' || !(await ensurePolicy(app.name))) return 'not yet';
    return (await tenants.appReady(app.name)) ? 'ready' : 'not yet'; // O3
  };

  const unmake = async (name: string): Promise<Settled> => {
    const deleted = await fly.deleteApp(name);
    if (deleted.kind !== 'done' && deleted.kind !== 'notFound') return 'not yet';
    await tenants.appRemoved(name);
    return 'removed';
  };

  const settle = async (debt: Pick<OnboardingDebt, 'name' | 'network' | 'status'>): Promise<Settled> => {
    const settled = debt.status === 'removing' ? await unmake(debt.name) : await make(debt); // O4
    logger.info({ app_name: debt.name, status: debt.status, outcome: settled }, 'a Fly app was settled');
    return settled;
  };

  return {
    /** Plans the apps that are missing of `count` (O5) and tries to make them; what fails is tried again by `run`. */
    onboard: async (tenant: TenantRow, by: ActBy, count = 1): Promise<void> => {
      for (const { name, network } of missingApps(tenant, count)) {
        const planned = await tenants.planApp(tenant.id, name, network, by);
        if (planned.kind !== 'planned' && planned.kind !== 'known') continue;
        await settle(planned.app).catch((error: unknown) =>
          logger.warn({ app_name: name, error }, 'a Fly app is not ready yet'),
        );
      }
    },
    /** Goes on with what is half done (O1). */
    run: async (): Promise<void> => {
      for (const tenantId of await tenants.removalsUnderWay())
        await tenants.remove(tenantId, { actor: 'orchestrator' });
      for (const debt of await tenants.debts()) await settle(debt);
    },
  };
}
