import { z } from 'zod';
import { authorizationOf } from '../../src/fly/send.ts';
import { type Check, fail, ok, saysOf, warn } from './check.ts';
import { askFly } from './fly.ts';

const current = z.object({
  tokens: z
    .array(
      z.object({
        org_slug: z.string().default(''),
        apps: z.array(z.string()).nullish(),
        user: z.string().default(''),
      }),
    )
    .min(1),
});
const verified = z.array(
  z.object({ caveats: z.array(z.object({ type: z.string().optional(), body: z.unknown() })).nullish() }),
);
const validity = z.object({ not_after: z.number() });

const dayMs = 86_400_000;
const soonMs = 14 * dayMs;
/** `fly tokens create org` makes tokens for 20 years unless it is told otherwise. */
const longMs = 400 * dayMs;

/** When a token ends, Unix ms, by its caveats. Undefined if Fly does not tell. */
function endOf(body: unknown): number | undefined {
  const caveats = verified.safeParse(body).data?.flatMap((token) => token.caveats ?? []) ?? [];
  const ends = caveats.flatMap((caveat) =>
    caveat.type === 'ValidityWindow' ? [validity.safeParse(caveat.body).data?.not_after ?? []].flat() : [],
  );
  return ends.length === 0 ? undefined : Math.min(...ends) * 1_000;
}

/** Kind, scope and expiry of FLY_API_TOKEN. */
export const flyToken: Check = {
  id: 'fly-token',
  means: 'No machine can be started or ended: sessions stay pending and fail.',
  run: async (context) => {
    const { config, now } = context;
    const make = `Make an organisation token and set FLY_API_TOKEN: fly tokens create org --org ${config.fly.org} --expiry 2160h`;
    const answer = await askFly(context, 'GET', '/tokens/current');
    if (answer.status === 401 || answer.status === 403)
      return fail('Fly refuses the token: it is wrong, expired or revoked.', make);
    const tokens = current.safeParse(answer.body).data?.tokens;
    if (answer.status !== 200 || tokens === undefined)
      return fail(
        `Fly's Machines API ${saysOf(answer)}.`,
        'Correct FLY_API_URL, or wait for Fly: https://status.fly.io',
      );
    const apps = tokens.flatMap((token) => token.apps ?? []).filter((app) => app !== '*');
    if (apps.length > 0)
      return fail(`The token is only for the app ${apps.join(', ')}; tenants have apps of their own.`, make);
    if (tokens.some(({ user }) => user !== ''))
      return warn(
        'The token is that of a person: it has all the rights of that person and ends with the account.',
        make,
      );
    if (!tokens.some(({ org_slug }) => org_slug === config.fly.org))
      return fail(`The token is of organisation ${tokens[0]?.org_slug}, not of ${config.fly.org} (FLY_ORG).`, make);
    const header = authorizationOf(config.fly.token);
    const end = endOf((await askFly(context, 'POST', '/tokens/authenticate', { header })).body);
    if (end === undefined) return ok(`An organisation token of ${config.fly.org}; Fly does not say when it ends.`);
    const days = Math.floor((end - now()) / dayMs);
    const detail = `An organisation token of ${config.fly.org}, valid for another ${days} days.`;
    if (end - now() < soonMs) return warn(detail, make);
    return end - now() > longMs ? warn(`${detail} That is longer than needed.`, make) : ok(detail);
  },
};
