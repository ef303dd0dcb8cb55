import type pg from 'pg';

/**
 * What the database holds, as a hash per table: to show that something changed nothing. Left out is what changes by
 * itself: notes of refusals, limits, the signs of life of orchestrators.
 */
const restless = ['audit_log', 'rate_limits', 'orchestrators', 'duties'];

export async function fingerprint(db: pg.Client): Promise<Record<string, string>> {
  const { rows } = await db.query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'public' and tablename <> all ($1) order by 1",
    [restless],
  );
  const hashes: Record<string, string> = {};
  for (const { name } of rows) {
    const { rows: found } = await db.query<{ hash: string }>(
      `select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as hash from public."${name}" t`,
    );
    hashes[name] = found[0]?.hash ?? '';
  }
  return hashes;
}
