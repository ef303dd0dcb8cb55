import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { Register } from '../command.ts';
import { CliError, type Console, type Finished, needed } from '../console.ts';
import { applyPending, planMigrations, readMigrations, withDatabase } from '../migrations.ts';

/** `greenroom migrate`: brings the database to this release. It is also the release command of `fly.orchestrator.toml`. */
interface Options {
  dryRun?: true;
  dbUrl?: string;
  dir?: string;
}

export async function migrate(options: Options, console: Console, home: string): Promise<Finished> {
  const url =
    options.dbUrl ?? needed(console, 'SUPABASE_DB_URL', 'the connection string of role postgres (Supabase: Connect).');
  const dir = options.dir ?? migrationsDir(home);
  const migrations = readMigrations(dir);
  if (migrations.length === 0)
    throw new CliError('configuration', 'no_migrations', `There are no migrations in ${dir}.`);
  const caFile = console.environment.SUPABASE_DB_CA;
  const ca = caFile ? readFileSync(caFile, 'utf8') : undefined;
  return withDatabase(url, ca, async (client) => {
    if (options.dryRun) {
      const { recorded, pending } = await planMigrations(client, migrations);
      const versions = pending.map(({ version }) => version);
      return {
        document: { dry_run: true, recorded, pending: versions },
        lines:
          versions.length === 0 ? ['The database is up to date.'] : versions.map((version) => `would apply ${version}`),
      };
    }
    const applied = await applyPending(client, migrations, ({ version, name }) =>
      console.progress(`applied ${version}_${name}`),
    );
    const lines =
      applied.length === 0 ? ['The database is up to date.'] : [`Applied ${applied.length}: ${applied.join(', ')}`];
    return { document: { applied, version: migrations.at(-1)?.version }, lines };
  });
}

/** In the repository, or beside the bundle in an image. */
function migrationsDir(home: string): string {
  const ofImage = path.join(home, 'migrations');
  return existsSync(ofImage) ? ofImage : path.join(home, 'supabase/migrations');
}

export const migrateCommand: Register = (program: Command, run, home) => {
  program
    .command('migrate')
    .description('Apply the database migrations of this release.')
    .option('--db-url <url>', 'connection string of role postgres (default: SUPABASE_DB_URL)')
    .option('--dir <folder>', 'folder of the migrations (default: those of this release)')
    .option('--dry-run', 'say what would be applied, and change nothing')
    .action(run((options: Options, console) => migrate(options, console, home)));
};
