import { z } from 'zod';
import { authorizationOf } from '../../src/fly/send.ts';
import { type Answer, ask, type Context, saysOf } from './check.ts';

/** Requests of the checks to Fly: its Machines API and its GraphQL API, which alone knows an organisation's settings. */
const machinesApi = 'https://api.machines.dev';

/** The stand-in serves GraphQL beside the Machines API. */
const graphqlOf = (apiUrl: string): string =>
  apiUrl === machinesApi ? 'https://api.fly.io/graphql' : `${apiUrl}/graphql`;

export function askFly({ config }: Context, method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: authorizationOf(config.fly.token), 'content-type': 'application/json' };
  return ask(`${config.fly.apiUrl}/v1${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
}

export interface Organisation {
  slug: string;
  /** The name in identity tokens. It differs from the slug for a personal organisation. */
  rawSlug: string;
  allowAllCrossNetworkReplays: boolean;
}

const organisationBody = z.object({
  data: z.object({
    organization: z.object({ slug: z.string(), rawSlug: z.string(), allowAllCrossNetworkReplays: z.boolean() }),
  }),
});

const organisationQuery =
  'query($slug: String!) { organization(slug: $slug) { slug rawSlug allowAllCrossNetworkReplays } }';

/** The organisation of FLY_ORG as our token sees it. Throws if it cannot be read. */
export async function readOrganisation({ config }: Context): Promise<Organisation> {
  const answer = await ask(graphqlOf(config.fly.apiUrl), {
    method: 'POST',
    headers: { authorization: authorizationOf(config.fly.token), 'content-type': 'application/json' },
    body: JSON.stringify({ query: organisationQuery, variables: { slug: config.fly.org } }),
  });
  const parsed = organisationBody.safeParse(answer.body);
  if (answer.status === 200 && parsed.success) return parsed.data.data.organization;
  if (answer.status === 200) throw new Error(`Fly shows no organisation ${config.fly.org} to this token.`);
  throw new Error(`Fly's GraphQL API ${saysOf(answer)}.`);
}
