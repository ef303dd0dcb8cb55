import type { Answer } from './http.ts';

/** A user of Supabase Auth as a row and as the API shows it, and the two forms of an answer. */
export interface NewUser {
  email: string;
  password: string;
  appMetadata?: Record<string, unknown>;
  userMetadata?: Record<string, unknown>;
}

export interface AuthUser {
  id: string;
  aud: string;
  role: string;
  email: string;
  app_metadata: Record<string, unknown>;
  user_metadata: Record<string, unknown>;
  [field: string]: unknown;
}

export interface UserRow {
  id: string;
  aud: string;
  role: string;
  email: string;
  email_confirmed_at: Date | null;
  last_sign_in_at: Date | null;
  raw_app_meta_data: Record<string, unknown>;
  raw_user_meta_data: Record<string, unknown>;
  is_anonymous: boolean;
  banned_until: Date | null;
  created_at: Date;
  updated_at: Date;
}

export type Fields = Record<string, unknown>;

export const versionHeader = { 'x-supabase-api-version': '2024-01-01' };
export const ok = (body: unknown, status = 200): Answer => ({ status, body, headers: versionHeader });
export const refuse = (status: number, code: string, message: string): Answer => ({
  status,
  body: { code, message },
  headers: versionHeader,
});
export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function publicUser(row: UserRow): AuthUser {
  return {
    id: row.id,
    aud: row.aud,
    role: row.role,
    email: row.email,
    email_confirmed_at: row.email_confirmed_at,
    confirmed_at: row.email_confirmed_at,
    last_sign_in_at: row.last_sign_in_at,
    phone: '',
    app_metadata: row.raw_app_meta_data,
    user_metadata: row.raw_user_meta_data,
    identities: [],
    is_anonymous: row.is_anonymous,
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}
