import { createHash, randomBytes } from 'node:crypto';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { z } from 'zod';
import { type OperatorRole, operatorRoles } from '../tokens/operator-tokens.ts';

/**
 * Sign-in of operators by OpenID Connect: authorization code with PKCE, state and nonce. The groups that the provider names at
 * its userinfo endpoint give the role.
 *
 * - The ID token is verified with the provider's keys: issuer, audience, expiry and nonce. An unknown key is looked up again, so
 *   the provider may rotate its keys at any time.
 * - While an operator is signed in, their groups are asked again every `checkMs`. Who lost the group, or whose access token was
 *   withdrawn, is signed out. While the provider does not answer, the last answer holds for `graceMs`.
 * - A sign-in lasts as long as its access token, at most 12 hours.
 */
export interface SignOnSettings {
  issuer: string;
  clientId: string;
  clientSecret: string;
  scope: string;
  /** The role of each group. */
  roles: ReadonlyMap<string, OperatorRole>;
  /** The address at which browsers reach the dashboard. */
  dashboardUrl: string;
}

/** What a browser keeps, encrypted, between leaving for the provider and coming back. */
const pendingForm = z.object({ state: z.string(), nonce: z.string(), verifier: z.string() });
export type Pending = z.output<typeof pendingForm>;

/** What a browser keeps, encrypted, while its operator is signed in. */
const signedOnForm = z.object({ subject: z.string(), name: z.string(), token: z.string(), until: z.number() });
export type SignedOn = z.output<typeof signedOnForm>;

export interface SignOn {
  /** Where to send the browser, and what it must keep meanwhile. */
  begin(): Promise<{ location: string; pending: Pending }>;
  /** Throws AppError unauthenticated if the provider's answer is not valid, forbidden if no group has a role. */
  complete(answer: Record<string, unknown>, pending: Pending): Promise<SignedOn>;
  /** The role that they have now. Undefined: they are no longer signed in. */
  roleOf(signedOn: SignedOn): Promise<OperatorRole | undefined>;
}

export const readPending = (value: unknown): Pending | undefined => pendingForm.safeParse(value).data;
export const readSignedOn = (value: unknown): SignedOn | undefined => signedOnForm.safeParse(value).data;

const checkMs = 15_000;
const graceMs = 300_000;
const longestMs = 12 * 3_600_000;
const requestMs = 10_000;
const metadataMs = 600_000;
/** Answers of the userinfo endpoint that are kept at most. */
const mostKept = 1_000;

const metadataForm = z.object({
  ...{ issuer: z.string(), authorization_endpoint: z.url(), token_endpoint: z.url(), userinfo_endpoint: z.url() },
  jwks_uri: z.url(),
});
type Metadata = z.output<typeof metadataForm> & { keys: ReturnType<typeof createRemoteJWKSet>; readAt: number };
const tokensForm = z.object({ id_token: z.string(), access_token: z.string(), expires_in: z.number().positive() });
const userForm = z.object({
  sub: z.string(),
  groups: z.array(z.string()).default([]),
  preferred_username: z.string().optional(),
  email: z.string().optional(),
});
type User = z.output<typeof userForm>;

const random = (): string => randomBytes(32).toString('base64url');
const refused = (detail: string, cause?: unknown): AppError => new AppError('unauthenticated', { detail, cause });
/** The operator's name in the audit log. It has only the characters that a name in OPERATOR_TOKENS may have. */
const nameOf = ({ preferred_username, email, sub }: User): string =>
  (preferred_username ?? email ?? sub).replaceAll(/[^\w.@-]/g, '_').slice(0, 60);

export interface SignOnDeps {
  clock: Pick<Clock, 'now'>;
  /** Default: the global `fetch`. */
  fetch?: typeof fetch;
}

export function createSignOn(settings: SignOnSettings, { clock, fetch: request = fetch }: SignOnDeps): SignOn {
  const { issuer, clientId, clientSecret, roles, scope } = settings;
  const redirectUri = `${settings.dashboardUrl}/ops/api/sign-in/oidc/callback`;
  let metadata: Metadata | undefined;
  /** The last answer about each access token, by its hash. */
  const users = new Map<string, { user: User | undefined; at: number }>();

  const ask = (url: string, init: RequestInit = {}): Promise<Response> =>
    request(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(requestMs) }).catch((cause: unknown) => {
      throw new AppError('overloaded', { detail: 'The sign-in provider does not answer. Try again.', cause });
    });

  const discover = async (): Promise<Metadata> => {
    if (metadata && clock.now() - metadata.readAt < metadataMs) return metadata;
    const answer = await ask(`${issuer}/.well-known/openid-configuration`);
    const read = metadataForm.safeParse(await answer.json().catch(() => undefined));
    if (read.data?.issuer !== issuer)
      throw new AppError('overloaded', { detail: 'The sign-in provider sent no valid configuration. Try again.' });
    // The pause between two look-ups of an unknown key would refuse sign-ins right after a rotation.
    const keys = metadata?.jwks_uri === read.data.jwks_uri ? metadata.keys : undefined;
    metadata = {
      ...read.data,
      keys: keys ?? createRemoteJWKSet(new URL(read.data.jwks_uri), { cooldownDuration: 0 }),
      readAt: clock.now(),
    };
    return metadata;
  };

  const roleIn = ({ groups }: User): OperatorRole | undefined =>
    operatorRoles.findLast((role) => groups.some((group) => roles.get(group) === role));

  /** Undefined: the provider no longer accepts the token. Throws AppError overloaded if it does not answer. */
  const readUser = async (token: string): Promise<User | undefined> => {
    const { userinfo_endpoint: url } = await discover();
    const answer = await ask(url, { headers: { authorization: `Bearer ${token}` } });
    if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) return undefined;
    const read = userForm.safeParse(await answer.json().catch(() => undefined));
    if (!answer.ok || !read.success)
      throw new AppError('overloaded', { detail: 'The sign-in provider does not answer. Try again.' });
    return read.data;
  };

  const userOf = async (token: string): Promise<User | undefined> => {
    const key = createHash('sha256').update(token).digest('base64');
    const last = users.get(key);
    if (last && clock.now() - last.at < checkMs) return last.user;
    try {
      const user = await readUser(token);
      users.delete(key);
      users.set(key, { user, at: clock.now() });
      if (users.size > mostKept) for (const oldest of users.keys()) if (users.delete(oldest)) break;
      return user;
    } catch (error) {
      if (last && clock.now() - last.at < graceMs) return last.user;
      throw error;
    }
  };

  const exchange = async (code: string, verifier: string) => {
    const { token_endpoint: url } = await discover();
    const answer = await ask(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`,
      },
      body: new URLSearchParams({
        ...{ grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier },
      }).toString(),
    });
    const read = tokensForm.safeParse(await answer.json().catch(() => undefined));
    if (!answer.ok || !read.success) throw refused('The sign-in provider did not accept the code. Sign in again.');
    return read.data;
  };

  return {
    begin: async () => {
      const { authorization_endpoint: url } = await discover();
      const pending = { state: random(), nonce: random(), verifier: random() };
      const location = new URL(url);
      const values = {
        ...{ response_type: 'code', client_id: clientId, redirect_uri: redirectUri, scope },
        ...{ state: pending.state, nonce: pending.nonce, code_challenge_method: 'S256' },
        code_challenge: createHash('sha256').update(pending.verifier).digest('base64url'),
      };
      for (const [name, value] of Object.entries(values)) location.searchParams.set(name, value);
      return { location: location.href, pending };
    },
    complete: async ({ state, code, iss }, { verifier, nonce, ...pending }) => {
      if (state !== pending.state || (iss !== undefined && iss !== issuer))
        throw refused('This answer belongs to another sign-in. Sign in again.');
      if (typeof code !== 'string') throw refused('The sign-in provider refused. Sign in again.');
      const tokens = await exchange(code, verifier);
      const { keys } = await discover();
      const { payload } = await jwtVerify(tokens.id_token, keys, {
        ...{ issuer, audience: clientId, clockTolerance: 5, requiredClaims: ['exp', 'iat', 'sub', 'nonce'] },
        currentDate: new Date(clock.now()),
      }).catch((cause: unknown) => {
        throw refused('The sign-in provider sent an ID token that is not valid here.', cause);
      });
      const isOthers = Array.isArray(payload.aud) && payload.aud.length > 1 && payload.azp !== clientId;
      if (payload.nonce !== nonce || isOthers)
        throw refused('The sign-in provider sent an ID token that is not valid here.');
      const user = await userOf(tokens.access_token);
      if (!user || user.sub !== payload.sub) throw refused('The sign-in provider named two different persons.');
      if (roleIn(user) === undefined)
        throw new AppError('forbidden', { detail: 'None of your groups has a role here. Ask an admin.' });
      const until = clock.now() + Math.min(longestMs, tokens.expires_in * 1_000);
      return { subject: user.sub, name: nameOf(user), token: tokens.access_token, until };
    },
    roleOf: async ({ subject, token, until }) => {
      if (until <= clock.now()) return undefined;
      const user = await userOf(token);
      return user?.sub === subject ? roleIn(user) : undefined;
    },
  };
}
