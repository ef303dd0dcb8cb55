import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { egressPolicy } from '../../src/tenants/egress-policy.ts';
import { type Check, type Context, fail, ok, type Result, saysOf } from './check.ts';
import { askFly } from './fly.ts';

const policies = z.array(z.object({ name: z.string() }));

/** Sets the policy in an empty app and reads it back: only Fly's documentation page says that this works. */
async function tryPolicy(context: Context, path: string): Promise<Result> {
  const support = 'Ask Fly to enable network policies for the organisation. Without them no tenant gets an app.';
  const set = await askFly(context, 'POST', `${path}/network_policies`, egressPolicy);
  if (set.status < 200 || set.status >= 300) return fail(`Fly takes no network policy: it ${saysOf(set)}.`, support);
  const read = await askFly(context, 'GET', `${path}/network_policies`);
  const found = policies.safeParse(read.body).data;
  if (!found?.some(({ name }) => name === egressPolicy.name))
    return fail('Fly took the network policy but does not list it by its name.', support);
  return ok('An app was made on its own network, got the egress policy, and was deleted.');
}

/** Makes an app as onboarding makes one, and deletes it. */
export const flyNetworkPolicies: Check = {
  id: 'fly-network-policies',
  means: 'No app of a new tenant becomes ready: its sessions stay pending and fail.',
  live: true,
  run: async (context) => {
    const { org } = context.config.fly;
    const name = `gr-doctor-${randomBytes(5).toString('hex')}`;
    const path = `/apps/${name}`;
    const made = await askFly(context, 'POST', '/apps', {
      app_name: name,
      name,
      org_slug: org,
      network: `${name}-net`,
    });
    if (made.status !== 201 && made.status !== 200)
      return fail(
        `Fly makes no app in ${org}: it ${saysOf(made)}.`,
        'Correct the check fly-token first. A new organisation needs a payment method.',
      );
    try {
      return await tryPolicy(context, path);
    } finally {
      await askFly(context, 'DELETE', path);
    }
  },
};
