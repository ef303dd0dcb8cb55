import { z } from 'zod';
import { classifyRefusal, type FlyRefusal, type Raw } from './classify.ts';
import { type CommandOutcome, commandOutcome, type Send } from './send.ts';

/** Apps at Fly: made and deleted with their tenants, each on a network of its own. */
export interface FlyAppView {
  name: string;
  organization: string;
  network: string;
}
export type AppOutcome = { kind: 'found'; app: FlyAppView } | FlyRefusal;
export type PoliciesOutcome = { kind: 'listed'; names: string[] } | FlyRefusal;

export interface FlyApps {
  createApp(name: string, org: string, network: string): Promise<CommandOutcome>;
  getApp(name: string): Promise<AppOutcome>;
  /** Its machines go with it. */
  deleteApp(name: string): Promise<CommandOutcome>;
  listPolicies(app: string): Promise<PoliciesOutcome>;
  setPolicy(app: string, policy: object): Promise<CommandOutcome>;
}

const appBody = z.object({
  name: z.string(),
  organization: z.object({ slug: z.string() }),
  network: z.string().optional(),
});
const policiesBody = z.array(z.object({ name: z.string() }));

const bodyOf = (raw: Raw): unknown => ('body' in raw ? raw.body : undefined);

export function createFlyApps(send: Send): FlyApps {
  const pathOf = (app: string) => `/apps/${encodeURIComponent(app)}`;
  return {
    createApp: async (name, org, network) =>
      commandOutcome(await send({ method: 'POST', path: '/apps', body: { app_name: name, org_slug: org, network } })),
    getApp: async (name) => {
      const raw = await send({ method: 'GET', path: pathOf(name), app: name });
      const parsed = appBody.safeParse(bodyOf(raw));
      if (raw.status !== 200 || !parsed.success)
        return raw.status === 200 ? { kind: 'ambiguous' } : classifyRefusal(raw);
      const { organization, network = 'default' } = parsed.data;
      return { kind: 'found', app: { name, organization: organization.slug, network } };
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
