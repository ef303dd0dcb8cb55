import type { IncomingMessage } from 'node:http';
import type { Pool } from 'pg';
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

/**
 * `/admin/users` of Supabase Auth, for holders of the secret key: create, list, read, change and delete users.
 * A change of the password or of `ban_duration` does not end the user's sessions, as on hosted projects.
 */
const noUser = refuse(404, 'user_not_found', 'User not found');
const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const defaultPageSize = 50;

export function createAuthAdmin(
  pool: Pool,
  createUser: (user: NewUser) => Promise<AuthUser>,
): (request: IncomingMessage, url: URL) => Promise<Answer> {
  const shown = async (sql: string, values: unknown[]): Promise<Answer> => {
    const row = (await pool.query(sql, values)).rows[0] as UserRow | undefined;
    return row ? ok(publicUser(row)) : noUser;
  };

  const create = async (fields: Fields): Promise<Answer> => {
    const appMetadata = (fields.app_metadata ?? {}) as Fields;
    const userMetadata = (fields.user_metadata ?? {}) as Fields;
    return ok(
      await createUser({ email: text(fields.email), password: text(fields.password), appMetadata, userMetadata }),
    );
  };

  const list = async (url: URL): Promise<Answer> => {
    const size = Number(url.searchParams.get('per_page') || defaultPageSize);
    const page = Number(url.searchParams.get('page') || 1);
    const { rows } = await pool.query('select * from auth.users order by created_at desc, id limit $1 offset $2', [
      size,
      (page - 1) * size,
    ]);
    const total = Number((await pool.query('select count(*) from auth.users')).rows[0].count);
    const last = Math.max(1, Math.ceil(total / size));
    const link = (to: number, rel: string) => `</admin/users?page=${to}&per_page=${size}>; rel="${rel}"`;
    const links = [...(page < last ? [link(page + 1, 'next')] : []), link(last, 'last')].join(', ');
    const users = (rows as UserRow[]).map(publicUser);
    return {
      ...ok({ users, aud: 'authenticated' }),
      headers: { ...versionHeader, link: links, 'x-total-count': `${total}` },
    };
  };

  const change = (id: string, { email, password, app_metadata, user_metadata, ban_duration }: Fields) =>
    shown(
      `update auth.users set
         email = coalesce(lower($2::text), email),
         encrypted_password = coalesce(extensions.crypt($3::text, extensions.gen_salt('bf')), encrypted_password),
         raw_app_meta_data = raw_app_meta_data || coalesce($4::jsonb, '{}'),
         raw_user_meta_data = raw_user_meta_data || coalesce($5::jsonb, '{}'),
         banned_until = case when $6::text = 'none' then null when $6::text is null then banned_until
                             else now() + $6::text::interval end,
         updated_at = now()
       where id = $1 returning *`,
      [id, email ?? null, password ?? null, app_metadata ?? null, user_metadata ?? null, ban_duration ?? null],
    );

  const route = async (request: IncomingMessage, url: URL): Promise<Answer> => {
    const [, , , id] = url.pathname.split('/');
    const { method } = request;
    if (id === undefined && method === 'POST') return create(await readJson(request));
    if (id === undefined && method === 'GET') return list(url);
    if (id === undefined) return refuse(405, 'bad_method', 'Method Not Allowed');
    if (!uuid.test(id)) return refuse(404, 'validation_failed', 'user_id must be an UUID');
    if (method === 'GET') return shown('select * from auth.users where id = $1', [id]);
    if (method === 'PUT') return change(id, await readJson(request));
    if (method !== 'DELETE') return refuse(405, 'bad_method', 'Method Not Allowed');
    const { rowCount } = await pool.query('delete from auth.users where id = $1', [id]);
    return rowCount === 0 ? noUser : ok({});
  };

  return (request, url) =>
    route(request, url).catch((error: { code?: string }) => {
      if (error.code !== '23505') throw error;
      return refuse(422, 'email_exists', 'A user with this email address has already been registered');
    });
}
