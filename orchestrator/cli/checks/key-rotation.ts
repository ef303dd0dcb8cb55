import { z } from 'zod';
import { createVault } from '../../src/tokens/vault.ts';
import { ask, type Check, fail, ok, type Result, unknown, warn } from './check.ts';
import { askDatabase, orchestratorToken } from './database.ts';

/** Whether a rotation of keys (docs/security.md, "Rotation") is half done. */
const keySet = z.object({ keys: z.array(z.looseObject({ kid: z.string(), d: z.unknown().optional() })) });
const deploy = 'greenroom deploy orchestrator';

/** @param configured key ids of JOIN_SIGNING_KEYS @param served the key set that the orchestrators show */
export function judgeJoinKeys(configured: string[], served: z.output<typeof keySet>['keys']): Result {
  if (served.some(({ d }) => d !== undefined))
    return fail('A private key is published.', 'Take the orchestrators down and replace every join key.');
  const kids = served.map(({ kid }) => kid);
  const missing = configured.filter((kid) => !kids.includes(kid));
  const extra = kids.filter((kid) => !configured.includes(kid));
  if (missing.length > 0)
    return fail(`The orchestrators do not know ${missing.join(', ')} yet.`, `Before a new key comes first: ${deploy}`);
  if (extra.length > 0)
    return warn(`The orchestrators still know ${extra.join(', ')}.`, `If these were removed on purpose: ${deploy}`);
  return configured.length > 1
    ? warn(
        `There are ${configured.length} keys.`,
        'A day after the longest interview under the old ones, remove those after the first.',
      )
    : ok('There is one key, and the orchestrators know it.');
}

export const joinKeys: Check = {
  id: 'join-keys',
  means: 'Some links and open rooms are refused, depending on which orchestrator answers.',
  run: async ({ config }) => {
    const shown = keySet.safeParse((await ask(`${config.publicUrl}/.well-known/jwks.json`)).body).data;
    return shown === undefined
      ? unknown('The orchestrators do not show their keys.', 'Correct the check public-url first.')
      : judgeJoinKeys(
          config.keys.join.map(({ kid }) => kid),
          shown.keys,
        );
  },
};

/** @param left credentials and secrets that are encrypted with another key than CREDENTIALS_KEY */
export function judgeCredentialsKey(left: number, hasPrevious: boolean): Result {
  const rotate = 'Run: npm run rotate-credentials';
  if (left > 0 && !hasPrevious)
    return fail(
      `${left} or more are encrypted with a key that is not configured.`,
      `Set CREDENTIALS_KEY_PREVIOUS to the key before, deploy, then: ${rotate}`,
    );
  if (left > 0) return warn(`${left} or more are encrypted with another key.`, rotate);
  return hasPrevious
    ? warn('Everything is encrypted with CREDENTIALS_KEY.', `An hour later, remove CREDENTIALS_KEY_PREVIOUS: ${deploy}`)
    : ok('Everything is encrypted with CREDENTIALS_KEY.');
}

export const credentialsKey: Check = {
  id: 'credentials-key',
  means: 'Interviews of tenants with a provider key of their own fail, and webhooks are not sent.',
  run: async (context) => {
    const { credentials, previousCredentials } = context.config.keys;
    const { keyId } = createVault(credentials);
    const token = await orchestratorToken(context);
    const answers = await Promise.all(
      ['provider_credentials_to_rotate', 'webhook_secrets_to_rotate'].map((name) =>
        askDatabase(context, token, `rpc/${name}`, { p_key_id: keyId }),
      ),
    );
    const lists = answers.map(({ status, body }) => (status === 200 && Array.isArray(body) ? body.length : undefined));
    const left = lists.reduce<number | undefined>(
      (sum, n) => (sum === undefined || n === undefined ? undefined : sum + n),
      0,
    );
    return left === undefined
      ? unknown('The database does not say.', 'Correct the check database-orchestrator first.')
      : judgeCredentialsKey(left, previousCredentials !== null);
  },
};
