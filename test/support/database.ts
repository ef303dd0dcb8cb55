import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ownerPool } from '@greenroom/local-cloud/supabase/owner-pool.ts';
import { type Supabase, startSupabase } from '@greenroom/local-cloud/supabase/supabase.ts';
import { type Connection, createConnection } from '@greenroom/orchestrator/database/connection.ts';
import { createDatabaseTokens, type DatabaseTokens } from '@greenroom/orchestrator/tokens/database-tokens.ts';
import { createKeyRing } from '@greenroom/orchestrator/tokens/keys.ts';
import { callFunction } from '@greenroom/shared/database/client.ts';
import type { FunctionArguments, FunctionName, FunctionResult } from '@greenroom/shared/database/functions.ts';
import type { WorkerClaims } from '@greenroom/shared/protocol/tokens.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import type { JWK } from 'jose';
import type pg from 'pg';
import { z } from 'zod';
import { type DeploymentKeys, makeDeploymentKeys } from '../../tools/stack/keys.ts';

/** A database with an orchestrator's connection, for tests that need neither machines nor browsers. */
export interface TestDatabase {
  supabase: Supabase;
  keys: DeploymentKeys;
  tokens: DatabaseTokens;
  connection: Connection;
  /** Connects as the owner of the tables. */
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  stop(): Promise<void>;
}

export async function startDatabase(): Promise<TestDatabase> {
  const keys = await makeDeploymentKeys();
  const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-'));
  const migrationsDir = path.resolve(import.meta.dirname, '../../supabase/migrations');
  const supabase = await startSupabase({ dir, migrationsDir, signingKeys: [keys.dbPublic] });
  const pool = ownerPool(supabase.dbUrl, 2);
  const tokens = createDatabaseTokens({
    keys: await createKeyRing([keys.db as JWK & { kid: string }]),
    issuer: 'https://greenroom.test',
    clock: systemClock,
    workerTokenMs: 60_000,
  });
  const { url, publishableKey } = supabase;
  const connection = createConnection({ url, publishableKey, accessToken: tokens.own, requestMs: 10_000 });
  return {
    supabase,
    keys,
    tokens,
    connection,
    sql: async (text, values = []) => (await pool.query(text, values)).rows,
    stop: async () => {
      await Promise.all([connection.close(), pool.end()]);
      await supabase.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

export interface SessionSeed {
  settings?: object;
  simulated?: boolean;
  /** Default in_progress. */
  status?: string;
}

export interface SeededSession {
  id: string;
  tenantId: string;
}

/** Inserts a session with its own tenant. */
export async function seedSession(
  { sql }: TestDatabase,
  { settings = {}, simulated = false, status = 'in_progress' }: SessionSeed = {},
): Promise<SeededSession> {
  const [id, tenantId, candidateId, positionId] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  await sql('insert into public.tenants (id, name, slug) values ($1, $2, $3)', [
    tenantId,
    'Acme',
    `t${tenantId.slice(0, 8)}`,
  ]);
  await sql('insert into public.tenant_counters (tenant_id, live_sessions) values ($1, 1)', [tenantId]);
  await sql('insert into public.candidates (id) values ($1)', [candidateId]);
  await sql('insert into public.tenant_candidates (tenant_id, candidate_id, name) values ($1, $2, $3)', [
    tenantId,
    candidateId,
    'Ada Lovelace',
  ]);
  await sql('insert into public.positions (id, tenant_id, title, description) values ($1, $2, $3, $4)', [
    positionId,
    tenantId,
    'Engineer',
    'Builds engines.',
  ]);
  await sql(
    `insert into public.interview_sessions (id, tenant_id, candidate_id, candidate, position_id, settings, simulated, expires_at)
     values ($1, $2, $3, '{"name": "Ada Lovelace"}', $4, $5, $6, now() + interval '1 day')`,
    [id, tenantId, candidateId, positionId, settings, simulated],
  );
  await sql('select app.move_session($1, $2)', [id, status]);
  return { id, tenantId };
}

export interface SeedEntry {
  speaker: 'ai' | 'candidate';
  text: string;
  verified?: boolean;
}

/** Stores entries as a late upload or a worker does; the item ids continue the stored ones. */
export async function appendEntries({ sql }: TestDatabase, sessionId: string, entries: SeedEntry[]): Promise<void> {
  const [found] = await sql<{ n: number }>(
    'select count(*)::int as n from public.transcript_entries where session_id = $1',
    [sessionId],
  );
  const first = found?.n ?? 0;
  const rows = entries.map(({ speaker, text, verified = true }, index) => ({
    ordinal: 1,
    item_id: `item_${first + index + 1}`,
    previous_item_id: first + index === 0 ? null : `item_${first + index}`,
    ...{ speaker, text, verified },
  }));
  await sql('select app.merge_transcript(s, $2) from public.interview_sessions s where s.id = $1', [
    sessionId,
    JSON.stringify(rows),
  ]);
}

export const endSession = ({ sql }: TestDatabase, sessionId: string): Promise<unknown> =>
  sql("select app.end_session($1, 'completed', 'interviewer_finished')", [sessionId]);

/** Gives a session a machine that serves it at epoch 1, and returns the token claims of its worker. */
export async function serveSession({ sql }: TestDatabase, { id, tenantId }: SeededSession): Promise<WorkerClaims> {
  const machineId = randomUUID();
  const appName = `gr-${machineId.slice(0, 8)}`;
  await sql("insert into public.tenant_apps (name, tenant_id, network, status) values ($1, $2, 'net', 'ready')", [
    appName,
    tenantId,
  ]);
  await sql(
    `insert into public.machines (id, tenant_id, session_id, app_name, region, image, state, epoch)
     values ($1, $2, $3, $4, 'fra', 'image', 'claimed', 1)`,
    [machineId, tenantId, id, appName],
  );
  await sql('update public.interview_sessions set machine_id = $2, epoch = 1 where id = $1', [id, machineId]);
  return { role: 'session_worker', session_id: id, tenant_id: tenantId, machine_id: machineId, epoch: 1 };
}

/** Calls as a worker with its own token; throws PostgREST's error when that is refused. */
export async function asWorker<N extends FunctionName>(
  { supabase, tokens }: TestDatabase,
  claims: WorkerClaims,
  name: N,
  parameters: FunctionArguments<N>,
): Promise<unknown> {
  const { token } = await tokens.mintWorker(claims);
  const { url, publishableKey } = supabase;
  const connection = createConnection({ url, publishableKey, accessToken: async () => token, requestMs: 10_000 });
  try {
    return await callFunction(connection.database, name, parameters, z.custom<FunctionResult<N>>());
  } finally {
    await connection.close();
  }
}
