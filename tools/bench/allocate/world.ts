import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import type { Stack } from '../../stack/stack.ts';
import type { LoadReport, LoadTask } from './load.ts';

/** Data for load on `POST /api/sessions`: a tenant without limits, candidates, standby machines. */
const candidates = 500;

export interface AllocateWorld {
  /** Standby machines that exist only in the database. */
  addRows(count: number): Promise<void>;
  /** Standby machines that exist at the Fly stand-in too. `keep`: how many the pool's policy keeps. Default: that many. */
  addMachines(count: number, keep?: number): Promise<void>;
  /** A session as the platform is answered. */
  createOne(url: string): Promise<{ session_id: string; join_token: string | null }>;
  load(url: string, options: Pick<LoadTask, 'concurrency' | 'warmUpMs' | 'measureMs'>): Promise<LoadReport>;
  /** Standby machines assigned, and started, so far. */
  assigned(): Promise<{ assigned: number; started: number; left: number }>;
  end(): Promise<void>;
}

const insertMachines = `insert into public.machines (id, tenant_id, app_name, region, image, state, created_at, fly_machine_id)
  select coalesce(x.id, gen_random_uuid()), $1, $2, 'fra', $3, 'created', clock_timestamp(), x.fly_id
  from unnest($4::uuid[], $5::text[]) as x (id, fly_id)`;

export async function createAllocateWorld(stack: Stack, image: string, flyToken: string): Promise<AllocateWorld> {
  const db = new pg.Pool({ connectionString: stack.cloud.supabase.dbUrl, max: 1 });
  const { tenant } = stack;
  await db.query('update public.tenants set max_live_sessions = 10000000 where id = $1', [tenant.id]);
  const position = await db.query("insert into public.positions (tenant_id, title) values ($1, 'Bench') returning id", [
    tenant.id,
  ]);
  const people = await db.query(
    `with c as (insert into public.candidates (id) select gen_random_uuid() from generate_series(1, $2) returning id)
     insert into public.tenant_candidates (tenant_id, candidate_id, name) select $1, id, 'Bench' from c returning candidate_id`,
    [tenant.id, candidates],
  );
  const bodies = people.rows.map(({ candidate_id }) =>
    JSON.stringify({ candidate_id, position_id: position.rows[0].id, region: 'fra' }),
  );
  const insert = (ids: Array<string | null>, flyIds: string[]) =>
    db.query(insertMachines, [tenant.id, tenant.appName, image, ids, flyIds]);

  const createAtFly = async (): Promise<string> => {
    const answer = await fetch(`${stack.cloud.fly.apiUrl}/v1/apps/${tenant.appName}/machines`, {
      method: 'POST',
      headers: { authorization: `Bearer ${flyToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ region: 'fra', skip_launch: true, config: { image, auto_destroy: true } }),
    });
    if (!answer.ok) throw new Error(`creating a standby machine: HTTP ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { id: string }).id;
  };

  return {
    addRows: async (count) => {
      await insert(
        Array(count).fill(null),
        Array.from({ length: count }, (_, n) => `none-${n}`),
      );
      await db.query('analyze public.machines');
    },
    addMachines: async (count, keep = count) => {
      await db.query(
        `insert into public.pool_policies (tenant_id, region, floor, ceiling) values ($1, 'fra', $2, $2)
           on conflict (tenant_id, region) do update set floor = $2, ceiling = $2`,
        [tenant.id, keep],
      );
      for (let done = 0; done < count; ) {
        const batch = Math.min(50, count - done);
        const ids = await Promise.all(Array.from({ length: batch }, createAtFly));
        await insert(Array(batch).fill(null), ids);
        done += batch;
      }
      await db.query('analyze public.machines');
    },
    createOne: async (url) => {
      const headers = { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' };
      const answer = await fetch(`${url}/api/sessions`, { method: 'POST', headers, body: bodies[0] as string });
      if (!answer.ok) throw new Error(`creating a session: HTTP ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as { session_id: string; join_token: string | null };
    },
    load: async (url, options) => {
      const file = path.join(stack.dir, 'load.json');
      const task: LoadTask = { url, apiKey: tenant.apiKey, bodies, ...options };
      writeFileSync(file, JSON.stringify(task), { mode: 0o600 });
      const child = spawn(process.execPath, [path.join(import.meta.dirname, 'load.ts'), file], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env.PATH ?? '' },
      });
      const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
      return JSON.parse(output) as LoadReport;
    },
    assigned: async () => {
      const { rows } = await db.query(`select count(*) filter (where assigned_at is not null)::int as assigned,
        count(*) filter (where start_requested_at is not null)::int as started,
        count(*) filter (where session_id is null and state = 'created')::int as left from public.machines`);
      return rows[0];
    },
    end: () => db.end(),
  };
}
