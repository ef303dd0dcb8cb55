import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { type Supabase, type SupabaseOptions, startSupabase } from './supabase.ts';

/** For the tests of this folder: throwaway projects with the fixture's migrations, and clients of every kind. */
export const fixtureMigrations = path.join(import.meta.dirname, 'fixtures/migrations');

export interface TestFolder {
  dir: string;
  remove(): void;
}

export function testFolder(): TestFolder {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-supabase-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** A started project; `stop` removes its folder, too. */
export async function startTestProject(options: Partial<SupabaseOptions> = {}): Promise<Supabase> {
  const folder = testFolder();
  const supabase = await startSupabase({ dir: folder.dir, migrationsDir: fixtureMigrations, ...options });
  return { ...supabase, stop: () => supabase.stop().finally(folder.remove) };
}

const stateless = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } };

/** A client with an API key and no user. */
export const keyClient = ({ url }: Supabase, key: string): SupabaseClient => createClient(url, key, stateless);

/** A client that sends this token. */
export const tokenClient = ({ url, publishableKey }: Supabase, token: string): SupabaseClient =>
  createClient(url, publishableKey, { accessToken: async () => token });

/** Calls `look` every 20 ms until it returns true. Rejects after `limitMs`. */
export async function until(look: () => Promise<boolean> | boolean, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`not true within ${limitMs} ms: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
