import { z } from 'zod';
import { classifyRefusal, type FlyRefusal, type Raw } from './classify.ts';
import { type CommandOutcome, commandOutcome, type Send } from './send.ts';

/** A 403 means that another organisation has the name, as fly-go's `AppNameAvailable` reads it. */
function refusalOf(raw: Raw): AppOutcome {
  const refusal = classifyRefusal(raw);
  return raw.status === 403 && refusal.kind === 'unauthorized' ? { kind: 'otherOrganisation' } : refusal;
}

/** Apps at Fly. They are created and deleted with their tenants, each on its own network. */
export interface FlyAppView {
  name: string;
  organization: string;
  network: string;
}
/** `otherOrganisation`: the app exists, but our token has no access to it. */
export type AppOutcome = { kind: 'found'; app: FlyAppView } | { kind: 'otherOrganisation' } | FlyRefusal;
export type PoliciesOutcome = { kind: 'listed'; names: string[] } | FlyRefusal;

export interface FlyApps {
  createApp(name: string, org: string, network: string): Promise<CommandOutcome>;
  /** @param org organisation whose list of apps is read if the app itself does not show its network */
  getApp(name: string, org: string): Promise<AppOutcome>;
  /** Deletes the app and all its machines. */
  deleteApp(name: string): Promise<CommandOutcome>;
  listPolicies(app: string): Promise<PoliciesOutcome>;
  setPolicy(app: string, policy: object): Promise<CommandOutcome>;
}

const appBody = z.object({
  name: z.string(),
  organization: z.object({ slug: z.string() }),
  network: z.string().optional(),
});
const listBody = z.object({ apps: z.array(z.object({ name: z.string(), network: z.string().optional() })) });
const policiesBody = z.array(z.object({ name: z.string() }));

const bodyOf = (raw: Raw): unknown => ('body' in raw ? raw.body : undefined);

export function createFlyApps(send: Send): FlyApps {
  const pathOf = (app: string) => `/apps/${encodeURIComponent(app)}`;
  /** The OpenAPI file has the network in the answer about the app; the docs have it only in the list of apps. */
  const networkInList = async (name: string, org: string): Promise<string | undefined> => {
    const raw = await send({ method: 'GET', path: `/apps?org_slug=${encodeURIComponent(org)}` });
    const apps = listBody.safeParse(bodyOf(raw)).data?.apps ?? [];
    return apps.find((app) => app.name === name)?.network;
  };
  return {
    createApp: async (name, org, network) =>
      // The docs use `app_name`, the OpenAPI file and fly-go use `name`. Both are sent.
      commandOutcome(
        await send({ method: 'POST', path: '/apps', body: { app_name: name, name, org_slug: org, network } }),
      ),
    getApp: async (name, org) => {
      const raw = await send({ method: 'GET', path: pathOf(name), app: name });
      const parsed = appBody.safeParse(bodyOf(raw));
      if (raw.status !== 200) return refusalOf(raw);
      if (!parsed.success) return { kind: 'ambiguous' };
      const network = parsed.data.network ?? (await networkInList(name, org));
      if (network === undefined) return { kind: 'ambiguous' };
      return { kind: 'found', app: { name, organization: parsed.data.organization.slug, network } };
    },
    deleteApp: async (name) => commandOutcome(await send({ method: 'DELETE', path: pathOf(name), app: name })),
    listPolicies: async (app) => {
      const raw = await send({ method: 'GET', path: `${pathOf(app)}/network_policies`, app });
      const parsed = policiesBody.safeParse(bodyOf(raw) ?? []);
      if (raw.status !== 200 || !parsed.success)
        return raw.status === 200 ? { kind: 'ambiguous' } : classifyRefusal(raw);
      return { kind: 'listed', names: parsed.data.map((policy) => policy.name) };
    },
    setPolicy: async (app, policy) =>
      commandOutcome(await send({ method: 'POST', path: `${pathOf(app)}/network_policies`, app, body: policy })),
  };
}
