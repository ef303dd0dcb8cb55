import { type Check, fail, ok } from './check.ts';
import { readOrganisation } from './fly.ts';

/** Whether our token sees the organisation of FLY_ORG. */
export const flyOrganisation: Check = {
  id: 'fly-organisation',
  means: 'No app can be made for a tenant: its sessions stay pending and fail.',
  run: async (context) => {
    const found = await readOrganisation(context).catch((error: Error) => error);
    if (found instanceof Error)
      return fail(
        found.message,
        'Set FLY_ORG to a slug of fly orgs list, and FLY_API_TOKEN to a token of that organisation.',
      );
    return ok(`${found.slug} exists; identity tokens call it ${found.rawSlug}.`);
  },
};

/** Every tenant's app has a network of its own, so replays cross networks. Fly refuses them until they are enabled. */
export const flyReplay: Check = {
  id: 'fly-replay',
  means: 'No candidate reaches the machine of the interview: every socket is refused.',
  run: async (context) => {
    const { allowAllCrossNetworkReplays } = await readOrganisation(context);
    if (allowAllCrossNetworkReplays) return ok('Replay across networks is enabled.');
    return fail(
      'Replay across networks is not enabled.',
      `An admin of the organisation runs once: fly orgs cross-network-replays enable --org ${context.config.fly.org}`,
    );
  },
};
