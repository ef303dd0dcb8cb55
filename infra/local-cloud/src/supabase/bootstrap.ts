import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { Account } from './account.ts';
import type { PostgresServer } from './postgres.ts';
import type { Secrets } from './secrets.ts';

const script = new URL('./bootstrap.sql', import.meta.url);

async function bootstrap(adminDbUrl: string, passwords: Secrets['passwords']): Promise<void> {
  const client = new pg.Client({ connectionString: adminDbUrl });
  await client.connect();
  try {
    await client.query(`begin;\n${await readFile(script, 'utf8')}\ncommit;`);
    for (const [role, password] of Object.entries(passwords)) {
      await client.query(`alter role ${role} password ${client.escapeLiteral(password)}`);
    }
  } finally {
    await client.end();
  }
}

/**
 * Starts the server with a new cluster in the state of a hosted project before its first migration, or, with `keep`, with the
 * cluster of an earlier run. The file `bootstrapped` is written last: a cluster without it is incomplete and is made again.
 */
export async function prepareCluster(options: {
  postgres: PostgresServer;
  account: Account;
  adminDbUrl: string;
  secrets: Secrets;
  keep: boolean;
}): Promise<void> {
  const { postgres, account, adminDbUrl, secrets, keep } = options;
  const mark = path.join(account.stateDir, 'bootstrapped');
  if (keep && existsSync(mark)) return postgres.start();
  rmSync(mark, { force: true });
  await postgres.init();
  await postgres.start();
  await bootstrap(adminDbUrl, secrets.passwords);
  writeFileSync(mark, '');
}
