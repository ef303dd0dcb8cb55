import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { type Supabase, startSupabase } from '@greenroom/local-cloud/supabase/supabase.ts';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type pg from 'pg';
import { afterAll, beforeAll } from 'vitest';

/**
 * A throwaway Supabase project with the product's migrations, and connections of every kind to it.
 *
 * `owner` connects as the migrations do and bypasses every policy; `admin` is the stand-in's superuser, who can take any
 * role. Product roles come with tokens signed by a key of our own, as in production.
 */
export const migrationsDir = path.join(import.meta.dirname, '../../migrations');

export interface Project {
  supabase: Supabase;
  owner: pg.Pool;
  admin: pg.Pool;
  /** A client that sends a token with these claims, signed with the `db` key. */
  as(claims: Record<string, unknown>): Promise<SupabaseClient>;
  /** A client with an API key and no token. */
  withKey(key: string): SupabaseClient;
  stop(): Promise<void>;
}

const stateless = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } };

async function createSigner() {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const kid = randomUUID();
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
  const sign = (claims: Record<string, unknown>): Promise<string> =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
      .setIssuedAt()
      .setAudience('authenticated')
      .setExpirationTime('1h')
      .sign(privateKey);
  return { publicJwk, sign };
}

/** @param migrations default: the product's */
export async function startProject(migrations: string = migrationsDir): Promise<Project> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-sql-'));
  const { publicJwk, sign } = await createSigner();
  const supabase = await startSupabase({ dir, migrationsDir: migrations, signingKeys: [publicJwk] });
  const owner = ownerPool(supabase.dbUrl, 24);
  const admin = ownerPool(supabase.adminDbUrl, 2);
  return {
    supabase,
    owner,
    admin,
    as: async (claims) => {
      const token = await sign(claims);
      return createClient(supabase.url, supabase.publishableKey, { accessToken: async () => token });
    },
    withKey: (key) => createClient(supabase.url, key, stateless),
    stop: async () => {
      await Promise.all([owner.end(), admin.end()]);
      await supabase.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** One project for the tests of a file, from before the first to after the last. */
export function useProject(): () => Project {
  let project: Project | undefined;
  beforeAll(async () => {
    project = await startProject();
  });
  afterAll(() => project?.stop());
  return () => project!;
}

/** Runs `work` in one transaction of its own connection and rolls it back. */
export async function rolledBack<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    return await work(client);
  } finally {
    await client.query('rollback');
    client.release();
  }
}
