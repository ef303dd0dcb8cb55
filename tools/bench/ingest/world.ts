import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Supabase, startSupabase } from '@greenroom/local-cloud/supabase/supabase.ts';
import { createDatabaseTokens } from '@greenroom/orchestrator/tokens/database-tokens.ts';
import { createKeyRing } from '@greenroom/orchestrator/tokens/keys.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import type { JWK } from 'jose';
import pg from 'pg';
import { makeDeploymentKeys } from '../../stack/keys.ts';

/** A real Postgres and PostgREST with a number of sessions, each with a worker that has its own token. */
export interface IngestWorld {
  /** Sessions in progress, each with what its worker was given. */
  sessions(count: number): Promise<ServedSession[]>;
  /** supabase-js with the service-role key, for the baseline. */
  service: SupabaseClient;
  /** Entries stored of a session. */
  count(sessionId: string): Promise<number>;
  stop(): Promise<void>;
}

export interface ServedSession {
  id: string;
  tenantId: string;
  url: string;
  publishableKey: string;
  token: string;
}

const insertServed = `with person as (insert into public.candidates default values returning id),
  named as (insert into public.tenant_candidates (tenant_id, candidate_id, name) select $1, id, 'Bench' from person returning candidate_id),
  role as (insert into public.positions (tenant_id, title) values ($1, 'Bench') returning id),
  session as (insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, status, epoch, expires_at)
    select $2, $1, named.candidate_id, '{"name": "Bench"}', role.id, 'in_progress', 1, now() + interval '1 day' from named, role returning id)
  insert into public.machines (id, tenant_id, session_id, app_name, region, image, state, epoch)
    select $3, $1, id, $4, 'fra', 'image', 'claimed', 1 from session`;

async function makeTenant(db: pg.Pool): Promise<{ tenantId: string; appName: string }> {
  const [tenantId, appName] = [randomUUID(), 'gr-bench'];
  await db.query("insert into public.tenants (id, name, slug) values ($1, 'Bench', 'bench')", [tenantId]);
  await db.query(
    "insert into public.tenant_apps (name, tenant_id, network, status) values ($2, $1, 'bench', 'ready')",
    [tenantId, appName],
  );
  return { tenantId, appName };
}

async function open(dir: string, supabase: Supabase, keys: Awaited<ReturnType<typeof makeDeploymentKeys>>) {
  const db = new pg.Pool({ connectionString: supabase.dbUrl, max: 4 });
  const { tenantId, appName } = await makeTenant(db);
  const tokens = createDatabaseTokens({
    keys: await createKeyRing([keys.db as JWK & { kid: string }]),
    issuer: 'https://greenroom.bench',
    clock: systemClock,
    workerTokenMs: 3_600_000,
  });
  const { url, publishableKey } = supabase;
  const serve = async (): Promise<ServedSession> => {
    const [id, machineId] = [randomUUID(), randomUUID()];
    await db.query(insertServed, [tenantId, id, machineId, appName]);
    await db.query('update public.interview_sessions set machine_id = $2 where id = $1', [id, machineId]);
    const claims = { session_id: id, tenant_id: tenantId, machine_id: machineId, epoch: 1 };
    const { token } = await tokens.mintWorker({ role: 'session_worker', ...claims });
    return { id, tenantId, url, publishableKey, token };
  };
  const world: IngestWorld = {
    sessions: (count) => Promise.all(Array.from({ length: count }, serve)),
    service: createClient(url, supabase.secretKey, { auth: { persistSession: false, autoRefreshToken: false } }),
    count: async (sessionId) =>
      (await db.query('select count(*)::int as n from public.transcript_entries where session_id = $1', [sessionId]))
        .rows[0].n,
    stop: async () => {
      await db.end();
      await supabase.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  // The service role has no rights in our schema; the baseline needs some.
  await db.query('grant select, insert on all tables in schema public to service_role');
  return world;
}

export async function startIngestWorld(): Promise<IngestWorld> {
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-ingest-'));
  const keys = await makeDeploymentKeys();
  const migrationsDir = path.resolve(import.meta.dirname, '../../../supabase/migrations');
  const supabase = await startSupabase({ dir, migrationsDir, signingKeys: [keys.dbPublic] });
  return open(dir, supabase, keys);
}
