import { z } from 'zod';
import { organisationOf } from '../../src/config.ts';
import { ask, type Check, fail, ok, saysOf } from './check.ts';
import { readOrganisation } from './fly.ts';

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** The issuer of machines' identity tokens, and the organisation that it speaks for. */
export const flyIssuer: Check = {
  id: 'fly-issuer',
  means: 'Workers cannot prove which machine they run in: no session is ever ready.',
  run: async (context) => {
    const { oidcIssuer } = context.config.fly;
    const organisation = await readOrganisation(context).catch(() => undefined);
    const raw = organisation?.rawSlug ?? context.config.fly.org;
    const fix = `Set FLY_OIDC_ISSUER=${oidcIssuer.slice(0, oidcIssuer.lastIndexOf('/') + 1)}${raw}`;
    if (organisation !== undefined && organisationOf(oidcIssuer) !== raw)
      return fail(`The issuer ${oidcIssuer} is of another organisation: identity tokens call ours ${raw}.`, fix);
    const answer = await ask(`${oidcIssuer}/.well-known/openid-configuration`);
    const document = discovery.safeParse(answer.body).data;
    if (answer.status !== 200 || document === undefined)
      return fail(`The issuer ${oidcIssuer} ${saysOf(answer)}.`, fix);
    if (document.issuer !== oidcIssuer)
      return fail(`The issuer calls itself ${document.issuer}.`, `Set FLY_OIDC_ISSUER=${document.issuer}`);
    const keys = await ask(document.jwks_uri);
    if (keys.status !== 200)
      return fail(`The issuer's keys cannot be read: ${document.jwks_uri} ${saysOf(keys)}.`, fix);
    return ok(`${oidcIssuer} answers and shows its keys.`);
  },
};
