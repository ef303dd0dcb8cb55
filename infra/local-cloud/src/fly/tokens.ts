/** Decides who may call the API: the organisation's token everywhere, a deploy token in its own app. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/** What Fly knows about the organisation's token. */
export interface TokenFacts {
  orgSlug: string;
  /** Set for the token of a person. */
  user: string;
  /** Unix ms. */
  endsAtMs: number;
}

export interface Tokens {
  mintForApp(appName: string): string;
  /**
   * @param header `Bearer …` or `FlyV1 …`. @param appName the app of the call, if it has one.
   * @returns the status of the refusal, or undefined when the call is allowed.
   */
  refuse(header: string | undefined, appName: string | undefined): 401 | 403 | undefined;
  /** The answer of `/v1/tokens/current`. */
  describe(header: string | undefined): Record<string, unknown>;
  /** What `/v1/tokens/authenticate` says: the token's caveats, in the form of superfly/macaroon's JSON. */
  caveats(header: string | undefined): Array<{ type: string; body: unknown }>;
  /** Another token from now on, with the same text. */
  change(facts: Partial<TokenFacts>): void;
}

const yearMs = 365 * 86_400_000;

export function createTokens(orgToken: string, orgSlug: string, clock: Pick<Clock, 'now'>): Tokens {
  let facts: TokenFacts = { orgSlug, user: '', endsAtMs: clock.now() + yearMs };
  const appTokens = new Map<string, string>();
  const bare = (header: string | undefined) => /^(?:Bearer|FlyV1)\s+(?:FlyV1\s+)?(.+)$/i.exec(header ?? '')?.[1] ?? '';
  // `fly tokens create` prints the scheme with the token: accept the configured token with or without it.
  const wanted = orgToken.replace(/^FlyV1\s+/, '');

  return {
    mintForApp: (appName) => {
      const token = `fm2_${randomBytes(24).toString('base64url')}`;
      appTokens.set(token, appName);
      return `FlyV1 ${token}`;
    },
    refuse: (header, appName) => {
      const token = bare(header);
      if (token === wanted) return facts.endsAtMs > clock.now() ? undefined : 401;
      const app = appTokens.get(token);
      if (app === undefined) return 401;
      return app === appName ? undefined : 403;
    },
    describe: (header) => {
      const app = appTokens.get(bare(header));
      return {
        token_id: app === undefined ? 'local-org' : `local-${app}`,
        organization: facts.orgSlug,
        org_slug: facts.orgSlug,
        apps: app === undefined ? ['*'] : [app],
        user: facts.user,
      };
    },
    caveats: (header) => {
      const app = appTokens.get(bare(header));
      const window = { not_before: 0, not_after: Math.floor(facts.endsAtMs / 1_000) };
      return [
        { type: 'Organization', body: { id: 1, mask: '*' } },
        ...(app === undefined ? [] : [{ type: 'Apps', body: { apps: { [app]: '*' } } }]),
        { type: 'ValidityWindow', body: window },
      ];
    },
    change: (changes) => {
      facts = { ...facts, ...changes };
    },
  };
}
