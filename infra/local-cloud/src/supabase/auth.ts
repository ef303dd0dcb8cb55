import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Pool } from 'pg';
import { createAuthAdmin } from './auth-admin.ts';
import {
  type AuthUser,
  type Fields,
  type NewUser,
  ok,
  publicUser,
  refuse,
  text,
  type UserRow,
  versionHeader,
} from './auth-user.ts';
import { type Answer, readJson } from './http.ts';
import type { Tokens } from './tokens.ts';

/**
 * The part of Supabase Auth that signing in with a password needs: token, refresh, user, logout, and the users' administration.
 *
 * - A refresh token can be used once. A second use within 10 s (two tabs, a lost answer) returns the token that replaced it.
 *   A later one is treated as theft and ends the session.
 * - Errors are `{code, message}` with the API version in a header: auth-js then fills `error.code`.
 */
export interface AuthService {
  /** @param isService the request carries the secret key. */
  handle(request: IncomingMessage, path: string, isService: boolean): Promise<Answer>;
  /** Throws when the e-mail is taken. */
  createUser(user: NewUser): Promise<AuthUser>;
}

const accessTokenS = 3_600;
/** @param published the project's key set */
export function createAuth(pool: Pool, tokens: Tokens, published: () => object = () => tokens.jwks): AuthService {
  const one = async <Row>(sql: string, values: unknown[]): Promise<Row | undefined> =>
    (await pool.query(sql, values)).rows[0] as Row | undefined;

  const session = async (user: UserRow, sessionId: string): Promise<Answer> => {
    const refreshToken = randomBytes(12).toString('base64url');
    await pool.query('insert into auth.refresh_tokens (token, user_id, session_id) values ($1, $2, $3)', [
      refreshToken,
      user.id,
      sessionId,
    ]);
    return ok(await sessionBody(user, sessionId, refreshToken));
  };

  const sessionBody = async (user: UserRow, sessionId: string, refreshToken: string) => {
    const claims = {
      sub: user.id,
      role: user.role,
      email: user.email,
      session_id: sessionId,
      aal: 'aal1',
      is_anonymous: user.is_anonymous,
      app_metadata: user.raw_app_meta_data,
      user_metadata: user.raw_user_meta_data,
    };
    const accessToken = await tokens.mint(claims, { expiresInS: accessTokenS });
    const { exp } = await tokens.verify(accessToken);
    return {
      access_token: accessToken,
      token_type: 'bearer',
      expires_in: accessTokenS,
      expires_at: exp,
      refresh_token: refreshToken,
      user: publicUser(user),
    };
  };

  const signIn = async ({ email, password }: Fields): Promise<Answer> => {
    const user = await one<UserRow>(
      `update auth.users set last_sign_in_at = now()
       where email = lower($1) and encrypted_password = extensions.crypt($2, encrypted_password) returning *`,
      [text(email), text(password)],
    );
    if (!user) return refuse(400, 'invalid_credentials', 'Invalid login credentials');
    if (user.banned_until && user.banned_until.getTime() > Date.now()) {
      return refuse(400, 'user_banned', 'User is banned');
    }
    const sessionId = randomUUID();
    await pool.query('insert into auth.sessions (id, user_id) values ($1, $2)', [sessionId, user.id]);
    return session(user, sessionId);
  };

  /** Exchanges a refresh token, which is then used up. */
  const refresh = async (fields: Fields): Promise<Answer> => {
    const given = text(fields.refresh_token);
    const spent = await one<{ user_id: string; session_id: string }>(
      `update auth.refresh_tokens set revoked = true, updated_at = now()
       where token = $1 and not revoked returning user_id, session_id`,
      [given],
    );
    if (!spent) return refreshAgain(given);
    const user = await one<UserRow>('select * from auth.users where id = $1', [spent.user_id]);
    return session(user!, spent.session_id);
  };

  const refreshAgain = async (given: string): Promise<Answer> => {
    const used = await one<{ session_id: string; recent: boolean }>(
      `select session_id, updated_at > now() - interval '10 s' as recent from auth.refresh_tokens where token = $1`,
      [given],
    );
    if (!used) return refuse(400, 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found');
    const current = await one<UserRow & { token: string }>(
      `select u.*, t.token from auth.refresh_tokens t join auth.users u on u.id = t.user_id
       where t.session_id = $1 and not t.revoked order by t.created_at desc limit 1`,
      [used.session_id],
    );
    if (used.recent && current) return ok(await sessionBody(current, used.session_id, current.token));
    await pool.query('delete from auth.sessions where id = $1', [used.session_id]);
    return refuse(400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used');
  };

  const bearer = async (request: IncomingMessage): Promise<Fields | Answer> => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (!token) return refuse(401, 'no_authorization', 'This endpoint requires a valid Bearer token');
    try {
      return { claims: await tokens.verify(token) };
    } catch (error) {
      return refuse(403, 'bad_jwt', `invalid JWT: unable to parse or verify signature, ${(error as Error).message}`);
    }
  };

  const user = async (request: IncomingMessage): Promise<Answer> => {
    const checked = await bearer(request);
    if (!('claims' in checked)) return checked as Answer;
    const { sub, session_id: sessionId } = checked.claims as { sub?: string; session_id?: string };
    const row = await one<UserRow>('select * from auth.users where id::text = $1', [sub ?? '']);
    if (!row) return refuse(403, 'user_not_found', 'User from sub claim in JWT does not exist');
    if (sessionId && !(await one('select 1 from auth.sessions where id::text = $1', [sessionId]))) {
      return refuse(403, 'session_not_found', 'Session from session_id claim in JWT does not exist');
    }
    return ok(publicUser(row));
  };

  const logout = async (request: IncomingMessage, scope: string): Promise<Answer> => {
    const checked = await bearer(request);
    if (!('claims' in checked)) return checked as Answer;
    const { sub, session_id: sessionId } = checked.claims as { sub?: string; session_id?: string };
    await pool.query(
      `delete from auth.sessions where user_id::text = $1
       and case $3 when 'local' then id::text = $2 when 'others' then id::text <> $2 else true end`,
      [sub ?? '', sessionId ?? '', scope],
    );
    return { status: 204, headers: versionHeader };
  };

  const createUser = async ({ email, password, appMetadata = {}, userMetadata = {} }: NewUser): Promise<AuthUser> => {
    const row = await one<UserRow>(
      `insert into auth.users (email, encrypted_password, raw_app_meta_data, raw_user_meta_data)
       values (lower($1), extensions.crypt($2, extensions.gen_salt('bf')), $3, $4) returning *`,
      [email, password, { provider: 'email', providers: ['email'], ...appMetadata }, userMetadata],
    );
    return publicUser(row!);
  };

  const admin = createAuthAdmin(pool, createUser);

  const route = async (request: IncomingMessage, url: URL, isService: boolean): Promise<Answer> => {
    const endpoint = `${request.method} ${url.pathname}`;
    const grant = url.searchParams.get('grant_type');
    if (endpoint === 'GET /.well-known/jwks.json') {
      return { status: 200, body: published(), headers: { 'cache-control': 'public, max-age=600' } };
    }
    if (endpoint === 'GET /health')
      return ok({ name: 'GoTrue', version: 'local', description: 'Greenroom local cloud' });
    if (endpoint === 'GET /user') return user(request);
    if (endpoint === 'POST /logout') return logout(request, url.searchParams.get('scope') ?? 'global');
    if (endpoint === 'POST /token' && grant === 'password') return signIn(await readJson(request));
    if (endpoint === 'POST /token' && grant === 'refresh_token') return refresh(await readJson(request));
    if (endpoint === 'POST /token') return refuse(400, 'invalid_request', 'unsupported_grant_type');
    // As in config.toml: nobody signs up by themselves.
    if (endpoint === 'POST /signup') return refuse(422, 'signup_disabled', 'Signups not allowed for this instance');
    if (url.pathname.startsWith('/admin/users')) {
      return isService ? admin(request, url) : refuse(403, 'not_admin', 'User not allowed');
    }
    return refuse(404, 'not_found', 'The local auth service does not have this endpoint');
  };

  return {
    createUser,
    handle: async (request, path, isService) => {
      try {
        return await route(request, new URL(path, 'http://auth'), isService);
      } catch (error) {
        if (error instanceof SyntaxError || error instanceof RangeError) {
          return refuse(400, 'bad_json', 'Could not read request body as JSON');
        }
        return refuse(500, 'unexpected_failure', 'Database error');
      }
    },
  };
}
