import { randomBytes, randomUUID } from 'node:crypto';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { type Case, expectThat, type Suite } from '../suite.ts';

export interface SupabaseClientTarget {
  url: string;
  publishableKey: string;
  /** For the administration of users only. The product never holds it. */
  secretKey: string | undefined;
  /** A token of the role `orchestrator`. */
  token(): Promise<string>;
}

const stateless = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } };

/** supabase-js, unmodified, with each kind of key. It makes one user and removes it; it writes no row of ours. */
export function supabaseClientCases(target: SupabaseClientTarget): Pick<Suite, 'cases' | 'cleanUp'> {
  const { url, publishableKey, secretKey, token } = target;
  const anyone = () => createClient(url, publishableKey, stateless);
  const orchestrator = () => createClient(url, publishableKey, { accessToken: token });
  const left = new Map<string, SupabaseClient['auth']['admin']>();

  const cases: Case[] = [
    {
      title: 'supabase-js: the publishable key reads no row; a token of our role may call its function',
      row: 'PostgREST accepts a role of our own',
      run: async () => {
        const { error, status } = await anyone().from('provider_credentials').select('ciphertext');
        expectThat(`anon is answered with ${status} ${error?.code}`, status === 401 && error?.code === '42501');
        const routes = await orchestrator().rpc('session_routes', { p_session_ids: [] });
        expectThat(`the function answers ${routes.status}`, routes.error === null);
        const unknown = await orchestrator().rpc('no_such_function');
        expectThat(`an unknown function answers ${unknown.status}`, unknown.status === 404 && unknown.error !== null);
      },
    },
  ];
  if (secretKey !== undefined) cases.push(userCase(secretKey));

  function userCase(key: string): Case {
    return {
      title: 'supabase-js: the secret key makes a user who signs in, reads no tenant, is banned and is deleted',
      run: async () => {
        const { admin } = createClient(url, key, stateless).auth;
        const email = `contract-${randomUUID()}@example.com`;
        const password = randomBytes(24).toString('base64url');
        const made = await admin.createUser({ email, password, email_confirm: true });
        const id = made.data.user?.id ?? '';
        expectThat(`a user is made: ${made.error?.message}`, id !== '');
        left.set(id, admin);

        const client = anyone();
        const signedIn = await client.auth.signInWithPassword({ email, password });
        expectThat(`the user signs in: ${signedIn.error?.message}`, signedIn.error === null);
        const { data: claims } = await client.auth.getClaims();
        expectThat('the token names the user', claims?.claims.sub === id && claims.claims.role === 'authenticated');
        const tenants = await client.from('tenants').select('id');
        expectThat(`row security hides every tenant: ${tenants.error?.message}`, tenants.data?.length === 0);

        const notAdmin = await anyone().auth.admin.listUsers();
        expectThat(`the publishable key lists no users: ${notAdmin.error?.status}`, notAdmin.error !== null);
        await admin.updateUserById(id, { ban_duration: '1h' });
        const banned = await anyone().auth.signInWithPassword({ email, password });
        expectThat(`a banned user is answered with ${banned.error?.code}`, banned.error?.code === 'user_banned');
        const deleted = await admin.deleteUser(id);
        expectThat(`the user is deleted: ${deleted.error?.message}`, deleted.error === null);
        left.delete(id);
        const again = await admin.getUserById(id);
        expectThat(`afterwards: ${again.error?.code}`, again.error?.code === 'user_not_found');
      },
    };
  }

  return {
    cases,
    cleanUp: async () => {
      const kept: string[] = [];
      for (const [id, admin] of left) if ((await admin.deleteUser(id)).error) kept.push(`user ${id}`);
      return kept;
    },
  };
}
