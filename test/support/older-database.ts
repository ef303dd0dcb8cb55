import type pg from 'pg';

/**
 * Backs up the database and restores it while everything runs, as an operator would after a disaster: later writes
 * are lost, and the machines are not informed.
 *
 * The connection must be a superuser's: triggers and foreign keys are disabled while the old rows are restored.
 */
export interface SavedDatabase {
  tables: string[];
}

const schema = 'older';

const columnsOf = async (client: pg.PoolClient, table: string): Promise<string> => {
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(attname) as name from pg_attribute
     where attrelid = ('public.' || quote_ident($1))::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
    [table],
  );
  return rows.map(({ name }) => name).join(', ');
};

async function inTransaction<T>(db: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await db.connect();
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } finally {
    client.release();
  }
}

/** Keeps a copy of every table of schema public. */
export function saveDatabase(db: pg.Pool): Promise<SavedDatabase> {
  return inTransaction(db, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1",
    );
    await client.query(`drop schema if exists ${schema} cascade; create schema ${schema}`);
    for (const { name } of rows) await client.query(`create table ${schema}."${name}" as table public."${name}"`);
    return { tables: rows.map(({ name }) => name) };
  });
}

/** Replaces the current rows with the copy. */
export function restoreDatabase(db: pg.Pool, { tables }: SavedDatabase): Promise<void> {
  return inTransaction(db, async (client) => {
    // In a deadlock, whoever looks for it first is cancelled: that must be a writer of the product, as in a real restore.
    await client.query("set local session_replication_role = replica; set local deadlock_timeout = '1 min'");
    for (const table of tables) await client.query(`delete from public."${table}"`);
    for (const table of tables) {
      const columns = await columnsOf(client, table);
      await client.query(
        `insert into public."${table}" (${columns}) overriding system value select ${columns} from ${schema}."${table}"`,
      );
    }
  });
}
