import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

/**
 * A provider of OpenID Connect for operators: `oidc-provider` from npm with one person, who signs in without a form. Tests change
 * the person's groups, how long tokens last, the keys, and the claims of the ID tokens.
 */
export interface SignOnProvider {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Groups of the person. */
  groups: string[];
  accessTokenS: number;
  /** Claims that replace those of the next ID tokens. */
  forged: Record<string, unknown>;
  /** The next ID tokens are signed with a key that the provider does not publish. */
  wrongKey: boolean;
  /** Ends the provider and starts it again at its address, with another key. */
  rotate(): Promise<void>;
  stop(): void;
}

/** The part of `oidc-provider` that is used here; it has no types of its own. */
interface Provider {
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
  use(middleware: (context: Context, next: () => Promise<void>) => Promise<void>): void;
  Grant: new (of: object) => { addOIDCScope(scope: string): void; save(): Promise<string> };
}
interface Context {
  path: string;
  body: Record<string, string>;
  oidc: { client: { clientId: string }; session: { accountId: string } };
}

const scope = 'openid profile email groups';
const packageName: string = 'oidc-provider';

async function newKey(kid: string) {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' } as JWK };
}

export async function startSignOnProvider(redirectUri: () => string): Promise<SignOnProvider> {
  const { default: Oidc } = (await import(packageName)) as {
    default: new (issuer: string, configuration: object) => Provider;
  };
  let server: Server | undefined;
  let keys = 0;
  const shown: SignOnProvider = {
    ...{ issuer: '', clientId: 'greenroom', clientSecret: 'a secret with : and %', groups: ['on-call'] },
    ...{ accessTokenS: 3_600, forged: {}, wrongKey: false },
    rotate: async () => {
      const port = Number(new URL(shown.issuer).port);
      await stop();
      await start(port);
    },
    stop: () => void stop(),
  };

  const start = async (port: number): Promise<void> => {
    keys += 1;
    const [own, foreign] = await Promise.all([newKey(`key ${keys}`), newKey(`key ${keys}`)]);
    server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    shown.issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const provider = new Oidc(shown.issuer, {
      clients: [
        {
          ...{ client_id: shown.clientId, client_secret: shown.clientSecret, redirect_uris: [redirectUri()] },
          ...{ grant_types: ['authorization_code'], response_types: ['code'] },
        },
      ],
      jwks: { keys: [own.jwk] },
      cookies: { keys: ['a key of this test'] },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_context: Context, { uid }: { uid: string }) => `/interaction/${uid}` },
      scopes: ['openid', 'profile', 'email', 'groups'],
      claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email'], groups: ['groups'] },
      ttl: { AccessToken: () => shown.accessTokenS },
      findAccount: (_context: Context, id: string) => ({
        accountId: id,
        claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.com`, groups: shown.groups }),
      }),
      loadExistingGrant: async ({ oidc }: Context) => {
        const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
        grant.addOIDCScope(scope);
        await grant.save();
        return grant;
      },
    });
    provider.use(async (context, next) => {
      await next();
      const { id_token: token } = context.path === '/token' ? context.body : { id_token: undefined };
      if (token === undefined || (Object.keys(shown.forged).length === 0 && !shown.wrongKey)) return;
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
      context.body.id_token = await new SignJWT({ ...claims, ...shown.forged })
        .setProtectedHeader({ alg: 'RS256', kid: `key ${keys}` })
        .sign((shown.wrongKey ? foreign : own).privateKey);
    });
    const answer = provider.callback();
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction/'))
        void provider.interactionFinished(request, response, { login: { accountId: 'kim' } });
      else answer(request, response);
    });
  };
  const stop = async (): Promise<void> => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  };
  await start(0);
  return shown;
}
