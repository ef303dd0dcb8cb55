import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CliError } from '../console.ts';
import { planMigrations, readMigrations, withDatabase } from '../migrations.ts';
import { type Check, type Context, fail, ok, unknown } from './check.ts';

/** What a check needs to look into the database itself. */
const urlOf = ({ environment }: Context): string | undefined => environment.SUPABASE_DB_URL || undefined;

const caOf = ({ environment }: Context): string | undefined =>
  environment.SUPABASE_DB_CA ? readFileSync(environment.SUPABASE_DB_CA, 'utf8') : undefined;

/** In the repository, or beside the bundle in an image. */
export function migrationsOf({ home }: Context) {
  const ofImage = path.join(home, 'migrations');
  return readMigrations(existsSync(ofImage) ? ofImage : path.join(home, 'supabase/migrations'));
}

export const lookInside = <T>(
  context: Context,
  work: Parameters<typeof withDatabase<T>>[2],
): Promise<T> | undefined => {
  const url = urlOf(context);
  return url === undefined ? undefined : withDatabase(url, caOf(context), work);
};

export const notLooked = unknown(
  'SUPABASE_DB_URL is not set: the database itself cannot be looked at.',
  'Set SUPABASE_DB_URL to the connection string of role postgres (Supabase: Connect), for this command only.',
);

/** Whether the database has the migrations of this release, and nothing that their records do not explain. */
export const migrations: Check = {
  id: 'migrations',
  means: 'Requests fail, or orchestrators of this release use a database of another.',
  run: async (context) => {
    const looked = lookInside(context, (client) => planMigrations(client, migrationsOf(context)));
    if (looked === undefined) return notLooked;
    const plan = await looked.catch((error: unknown) => error);
    if (plan instanceof CliError)
      return fail(
        plan.message,
        plan.code.startsWith('database_') ? 'Set SUPABASE_DB_URL to that of role postgres.' : 'As the message says.',
      );
    if (plan instanceof Error) throw plan;
    const { recorded, pending } = plan as Awaited<ReturnType<typeof planMigrations>>;
    if (pending.length === 0) return ok(`All ${recorded.length} migrations are applied.`);
    return fail(
      `${pending.length} of ${recorded.length + pending.length} migrations are not applied.`,
      'greenroom migrate',
    );
  },
};
