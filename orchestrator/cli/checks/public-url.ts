import { z } from 'zod';
import { createKeyRing } from '../../src/tokens/keys.ts';
import { ask, type Check, fail, ok, saysOf } from './check.ts';

const keySet = z.object({ keys: z.array(z.object({ kid: z.string() })) });

/** Whether PUBLIC_URL leads to orchestrators of this deployment: they show the public parts of the same join keys. */
export const publicUrl: Check = {
  id: 'public-url',
  means: 'Join links lead nowhere, or to another deployment, which refuses them.',
  run: async ({ config }) => {
    const [health, shown] = await Promise.all([
      ask(`${config.publicUrl}/healthz`),
      ask(`${config.publicUrl}/.well-known/jwks.json`),
    ]);
    const deploy = 'Deploy the orchestrators (greenroom deploy orchestrator), or correct PUBLIC_URL.';
    if (health.status !== 200) return fail(`${config.publicUrl} ${saysOf(health)}.`, deploy);
    const served = keySet.safeParse(shown.body).data?.keys.map(({ kid }) => kid) ?? [];
    const { signing } = await createKeyRing(config.keys.join);
    if (!served.includes(signing.kid))
      return fail(
        `The orchestrators at ${config.publicUrl} do not know the first key of JOIN_SIGNING_KEYS (${signing.kid}).`,
        'Use the JOIN_SIGNING_KEYS of that deployment, or give it these: greenroom deploy orchestrator',
      );
    return ok(`${config.publicUrl} answers and has the same join keys.`);
  },
};
