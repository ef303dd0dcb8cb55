import { readFile } from 'node:fs/promises';
import pg from 'pg';
import type { Secrets } from './secrets.ts';

const script = new URL('./bootstrap.sql', import.meta.url);

/** Turns an empty cluster into what a hosted project is before its first migration. */
export async function bootstrap(adminDbUrl: string, passwords: Secrets['passwords']): Promise<void> {
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
