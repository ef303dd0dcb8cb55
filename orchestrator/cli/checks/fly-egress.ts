import { z } from 'zod';
import { egressPolicy } from '../../src/tenants/egress-policy.ts';
import { type Check, fail, ok, saysOf, unknown } from './check.ts';
import { readRows } from './database.ts';
import { askFly } from './fly.ts';

const app = z.object({ name: z.string() });
const policies = z.array(z.object({ name: z.string() })).nullable();
const most = 50;

/** Whether the machines of tenants may send only what they need: each app has our egress policy. */
export const flyEgress: Check = {
  id: 'fly-egress',
  means: 'Interviews run, but a worker that was taken over could send anything anywhere.',
  run: async (context) => {
    const query = `tenant_apps?status=eq.ready&select=name&order=created_at.desc&limit=${most}`;
    const apps = await readRows(context, query, (row) => app.parse(row).name).catch(() => undefined);
    if (apps === undefined)
      return unknown('The apps of the tenants cannot be read.', 'Correct the checks of the database first.');
    for (const name of apps) {
      const answer = await askFly(context, 'GET', `/apps/${encodeURIComponent(name)}/network_policies`);
      const found = policies.safeParse(answer.body ?? null);
      if (answer.status !== 200 || !found.success)
        return fail(
          `The policies of app ${name} cannot be read: Fly ${saysOf(answer)}.`,
          'Correct the check fly-token first. If it is ok, report it to Fly.',
        );
      if (!found.data?.some((policy) => policy.name === egressPolicy.name))
        return fail(
          `App ${name} has no policy ${egressPolicy.name}.`,
          `Set it again: curl -X POST -H "Authorization: $FLY_API_TOKEN" ${context.config.fly.apiUrl}/v1/apps/${name}/network_policies -d '${JSON.stringify(egressPolicy)}'`,
        );
    }
    if (apps.length === 0) return ok('There is no tenant yet.');
    return ok(`${apps.length} apps have the policy ${egressPolicy.name}.`);
  },
};
