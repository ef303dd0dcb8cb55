import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import pg from 'pg';
import { type Stack, startStack } from '../../stack/stack.ts';
import type { Attack } from './attack.ts';
import type { Ask, Asked, Quiet } from './client.ts';

/** Two tenants on one orchestrator: one that attacks, one that is measured. */
export interface Neighbours {
  stack: Stack;
  /** The orchestrator itself, without a proxy before it. */
  url: string;
  /** API keys of both tenants. */
  keys: { attacker: string; other: string };
  /** Requests of the measured tenant. */
  ask(ask: Ask): Promise<Asked>;
  /** The attacker's statements that the database is working on now. */
  attackersStatements(): Promise<number>;
  attack(on: boolean): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

const largeSessions = 100;
const longTranscript = 900;

const fill = `with p as (insert into public.positions (tenant_id, title, description)
    values ($1, 'Attack', repeat('d', 10000)) returning id),
  c as (insert into public.candidates (id) select gen_random_uuid() from generate_series(1, 1) returning id),
  t as (insert into public.tenant_candidates (tenant_id, candidate_id, name) select $1, id, 'Attack' from c returning candidate_id)
  insert into public.interview_sessions
    (tenant_id, position_id, candidate_id, candidate, status, expires_at, completed_at, outcome, reason, settings)
  select $1, p.id, t.candidate_id, '{"name": "Attack"}', 'completed', now(), now(), 'completed', 'ended_by_candidate',
    jsonb_build_object('questions', (select jsonb_agg(repeat('q', 1000)) from generate_series(1, 50)))
  from p, t, generate_series(1, $2) returning id`;
const say = `insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, previous_item_id, speaker, text, verified)
  select $1, $2, 1, 'item_' || n, case when n > 1 then 'item_' || n - 1 end, 'ai', repeat('w', 500), true
  from generate_series(1, $3) n`;

async function start(script: string, argument: Attack | Quiet): Promise<ChildProcess> {
  const child = fork(path.join(import.meta.dirname, script), [JSON.stringify(argument)], { stdio: 'inherit' });
  await once(child, 'spawn');
  return child;
}

export async function createNeighbours(): Promise<Neighbours> {
  const stack = await startStack({
    flyLimits: false,
    // The product's own limits: what every deployment has.
    environment: { API_CALLER_PER_MINUTE: '6000', API_TENANT_PER_MINUTE: '12000' },
  });
  const db = new pg.Pool({ connectionString: stack.cloud.supabase.adminDbUrl, max: 2 });
  const attacker = await stack.addTenant('attacker', 'Attacker');
  const { rows } = await db.query(fill, [attacker.id, largeSessions]);
  const { rows: quiet } = await db.query(fill, [stack.tenant.id, 1]);
  await db.query(say, [rows[0].id, attacker.id, longTranscript]);
  const url = stack.orchestrators[0]?.url as string;
  const child = await start('attack.ts', { url, apiKey: attacker.apiKey, sessionId: rows[0].id });
  const client = await start('client.ts', { url, apiKey: stack.tenant.apiKey, sessionId: quiet[0].id });
  return {
    stack,
    url,
    keys: { attacker: attacker.apiKey, other: stack.tenant.apiKey },
    ask: async (ask) => {
      const answered = once(client, 'message');
      client.send(ask);
      return (await answered)[0] as Asked;
    },
    attackersStatements: async () => {
      const { rows: active } = await db.query(
        `select count(*)::int as n from pg_stat_activity
         where state = 'active' and (query like '%list_sessions%' or query like '%transcript_of%') and pid <> pg_backend_pid()`,
      );
      return active[0].n;
    },
    attack: async (on) => {
      const answered = once(child, 'message');
      child.send(on ? 'on' : 'off');
      return (await answered)[0] as Record<string, number>;
    },
    stop: async () => {
      child.kill('SIGKILL');
      client.kill('SIGKILL');
      await db.end();
      await stack.stop();
    },
  };
}
