import { z } from 'zod';
import { createKeyRing } from '../../src/tokens/keys.ts';
import { ask, type Check, type Context, fail, ok, saysOf, warn } from './check.ts';
import { askDatabase, orchestratorToken } from './database.ts';

/**
 * Whether Supabase accepts tokens that DB_SIGNING_KEY signs, and the key's place in the project's rotation.
 *
 * An imported key is a standby key: Supabase shows it in its key set but accepts no token of it until it is rotated to. Whether
 * it then is the current or the previous key, only the Management API tells; it needs SUPABASE_ACCESS_TOKEN.
 */
const keySet = z.object({ keys: z.array(z.object({ kid: z.string().optional() })) });
const listed = z.object({
  keys: z.array(
    z.object({
      id: z.string(),
      status: z.enum(['in_use', 'previously_used', 'standby', 'revoked']),
      public_jwk: z.unknown(),
    }),
  ),
});
type Place = z.output<typeof listed>['keys'][number]['status'];

const kidOf = (jwk: unknown): unknown =>
  typeof jwk === 'object' && jwk !== null && 'kid' in jwk ? jwk.kid : undefined;

/** The Management API and the project's name in it. The stand-in serves it at the project's own URL. */
function managementOf(projectUrl: string): { api: string; ref: string } {
  const { hostname, origin } = new URL(projectUrl);
  const ref = /^([a-z0-9]+)\.supabase\.co$/.exec(hostname)?.[1];
  return ref === undefined ? { api: origin, ref: 'local' } : { api: 'https://api.supabase.com', ref };
}

async function placeOf({ config, environment }: Context, kid: string): Promise<Place | undefined> {
  const token = environment.SUPABASE_ACCESS_TOKEN;
  if (!token) return undefined;
  const { api, ref } = managementOf(config.supabase.url);
  const headers = { authorization: `Bearer ${token}` };
  const answer = await ask(`${api}/v1/projects/${ref}/config/auth/signing-keys`, { headers });
  return listed.safeParse(answer.body).data?.keys.find((key) => key.id === kid || kidOf(key.public_jwk) === kid)
    ?.status;
}

const rotate = 'Rotate to it (Supabase: Project Settings, JWT Keys, "Rotate keys"), then wait up to 20 minutes.';
const importIt = `Import it as a standby key (Supabase: Project Settings, JWT Keys, "Create standby key", "Import an existing private key"). ${rotate}`;

export const signingKey: Check = {
  id: 'signing-key',
  means:
    'Neither orchestrators nor workers can use the database: no interview can be created, and no transcript is stored.',
  run: async (context) => {
    const { config } = context;
    const { signing } = await createKeyRing([config.keys.db]);
    const [shown, tried, place] = await Promise.all([
      ask(`${config.supabase.url}/auth/v1/.well-known/jwks.json`),
      askDatabase(context, await orchestratorToken(context), 'rpc/session_routes', { p_session_ids: [] }),
      placeOf(context, signing.kid),
    ]);
    if (shown.status !== 200)
      return fail(`Supabase ${saysOf(shown)}.`, 'Correct SUPABASE_URL, or restore a paused project.');
    const isShown = keySet.safeParse(shown.body).data?.keys.some(({ kid }) => kid === signing.kid) ?? false;
    const isAccepted = tried.status !== 401 && tried.status !== 0;
    const key = `The key ${signing.kid} (DB_SIGNING_KEY)`;
    if (place === 'revoked')
      return fail(`${key} is revoked.`, 'Make a new key and rotate to it: docs/deploy.md, rotation.');
    if (isAccepted) {
      if (place === 'previously_used')
        return warn(
          `${key} is the previous key: its tokens are accepted until it is revoked.`,
          'Deploy the orchestrators with the current key: greenroom deploy orchestrator',
        );
      if (!isShown) return ok(`${key} is accepted, by third-party auth: it is not in the project's own key set.`);
      return ok(`${key} is accepted${place === 'in_use' ? ' and is the current key' : ''}.`);
    }
    if (!isShown) return fail(`${key} is not among the project's keys.`, importIt);
    return fail(
      `${key} is in the project's key set but its tokens are refused: it is a standby key, or was rotated to minutes ago.`,
      rotate,
    );
  },
};
