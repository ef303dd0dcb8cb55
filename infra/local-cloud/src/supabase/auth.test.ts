import { createClient } from '@supabase/supabase-js';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Supabase } from './supabase.ts';
import { keyClient, startTestProject } from './test-project.ts';

let supabase: Supabase;
const person = { email: 'Ann@example.test', password: 'correct horse' };

beforeAll(async () => {
  supabase = await startTestProject();
  await supabase.createUser({ ...person, appMetadata: { tenant: 't1' } });
}, 60_000);
afterAll(() => supabase?.stop());

const browser = () =>
  createClient(supabase.url, supabase.publishableKey, { auth: { autoRefreshToken: false, persistSession: false } });
const signIn = async () => {
  const client = browser();
  const { data, error } = await client.auth.signInWithPassword(person);
  if (error) throw error;
  return { client, session: data.session };
};
const age = async (interval: string) => {
  const client = new pg.Client({ connectionString: supabase.adminDbUrl });
  await client.connect();
  await client.query(`update auth.refresh_tokens set updated_at = now() - interval '${interval}' where revoked`);
  await client.end();
};

test('signing in returns a token that verifies against the published keys and gives access to the user’s rows', async () => {
  const { client, session } = await signIn();
  const keys = createRemoteJWKSet(new URL(`${supabase.issuer}/.well-known/jwks.json`));
  const { payload } = await jwtVerify(session.access_token, keys, {
    issuer: supabase.issuer,
    audience: 'authenticated',
  });
  expect(payload).toMatchObject({ role: 'authenticated', email: 'ann@example.test', app_metadata: { tenant: 't1' } });
  expect((await client.rpc('uid')).data).toBe(payload.sub);
  expect((await client.auth.getUser()).data.user?.id).toBe(payload.sub);
  expect((await client.auth.getClaims()).data?.claims.sub).toBe(payload.sub);
});

test('a wrong password is invalid_credentials', async () => {
  const { error } = await browser().auth.signInWithPassword({ ...person, password: 'wrong' });
  expect(error).toMatchObject({ code: 'invalid_credentials', status: 400 });
});

test('a forged token is bad_jwt', async () => {
  const token = await supabase.mint({ sub: crypto.randomUUID() });
  const { error } = await browser().auth.getUser(`${token.slice(0, -6)}AAAAAA`);
  expect(error).toMatchObject({ code: 'bad_jwt', status: 403 });
});

test('a refresh token works once: a second use at once returns the same successor, and a later one ends the session', async () => {
  const { session } = await signIn();
  const use = (refresh_token: string) => browser().auth.refreshSession({ refresh_token });
  const first = await use(session.refresh_token);
  expect(first.data.session?.refresh_token).not.toBe(session.refresh_token);
  expect((await use(session.refresh_token)).data.session?.refresh_token).toBe(first.data.session?.refresh_token);
  await age('11 s');
  expect((await use(session.refresh_token)).error?.code).toBe('refresh_token_already_used');
  expect((await use(first.data.session!.refresh_token)).error?.code).toBe('refresh_token_not_found');
});

test('signing out ends the session for its tokens', async () => {
  const { client, session } = await signIn();
  await client.auth.signOut();
  // auth-js has a separate class for the code session_not_found.
  expect((await browser().auth.getUser(session.access_token)).error?.name).toBe('AuthSessionMissingError');
  const refreshed = await browser().auth.refreshSession({ refresh_token: session.refresh_token });
  expect(refreshed.error?.code).toBe('refresh_token_not_found');
});

test('users are created with the secret key only, once per e-mail', async () => {
  const user = { email: 'new@example.test', password: 'p', app_metadata: { tenant: 't2' } };
  const admin = keyClient(supabase, supabase.secretKey).auth.admin;
  expect((await keyClient(supabase, supabase.publishableKey).auth.admin.createUser(user)).error?.status).toBe(403);
  expect((await admin.createUser(user)).data.user).toMatchObject({ email: user.email, app_metadata: { tenant: 't2' } });
  expect((await admin.createUser(user)).error?.code).toBe('email_exists');
});

test('the secret key lists, reads, changes, bans and deletes users; a deleted user’s token is refused', async () => {
  const { admin } = keyClient(supabase, supabase.secretKey).auth;
  const password = 'correct horse';
  const make = (email: string) => admin.createUser({ email, password, app_metadata: { tenant: 't1' } });
  const { id } = (await make('first@example.test')).data.user!;
  await make('second@example.test');
  const { data: page } = await admin.listUsers({ page: 1, perPage: 1 });
  expect(page).toMatchObject({ users: [{ email: 'second@example.test' }], nextPage: 2, aud: 'authenticated' });
  expect(page).toMatchObject({ total: (page as { lastPage: number }).lastPage });

  const changed = await admin.updateUserById(id, { email: 'Changed@example.test', app_metadata: { reviewer: true } });
  expect(changed.error).toBeNull();
  expect(changed.data.user).toMatchObject({
    email: 'changed@example.test',
    app_metadata: { tenant: 't1', reviewer: true, provider: 'email' },
  });
  expect((await admin.updateUserById(id, { email: 'second@example.test' })).error?.code).toBe('email_exists');
  const signInAgain = () => browser().auth.signInWithPassword({ email: 'changed@example.test', password });
  const { session } = (await signInAgain()).data;
  await admin.updateUserById(id, { ban_duration: '1h' });
  expect((await signInAgain()).error?.code).toBe('user_banned');
  expect((await admin.getUserById(id)).data.user).toMatchObject({ id, email: 'changed@example.test' });

  expect((await admin.deleteUser(id)).error).toBeNull();
  expect((await admin.getUserById(id)).error?.code).toBe('user_not_found');
  expect((await admin.deleteUser(id)).error?.code).toBe('user_not_found');
  expect((await browser().auth.getUser(session!.access_token)).error?.code).toBe('user_not_found');
  const stranger = keyClient(supabase, supabase.publishableKey).auth.admin;
  expect((await stranger.listUsers()).error?.status).toBe(403);
});
