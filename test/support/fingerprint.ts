import type pg from 'pg';

/**
 * One hash per table, to prove that an operation changed nothing. It leaves out rows that change by
 * themselves: refused credentials, rate limits and the heartbeats of orchestrators.
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
