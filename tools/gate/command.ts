import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Runs the tools of the repository: the Supabase CLI, biome, squawk. */
export const root = path.resolve(import.meta.dirname, '../..');
export const bin = (name: string): string => path.join(root, 'node_modules/.bin', name);

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command; `input` goes to its stdin. The Supabase CLI sends no telemetry (`DO_NOT_TRACK`) and cannot
 * write to the user's home. `variables` are set besides. Rejects only if the command cannot be started.
 */
export function run(
  command: string,
  args: string[],
  { cwd = root, input = '', variables = {} }: { cwd?: string; input?: string; variables?: Record<string, string> } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: `${path.join(root, 'node_modules/.bin')}:${process.env.PATH}`,
      HOME: tmpdir(),
      DO_NOT_TRACK: '1',
      PGSSLMODE: 'disable',
      ...variables,
    };
    const child = spawn(command, args, { cwd, env });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      out.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      out.stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, ...out }));
    child.stdin.end(input);
  });
}

/**
 * The SQL that turns the first database into the second, according to the Supabase CLI. Empty if they are the
 * same.
 * @param from connection string of role postgres
 * @param to connection string of role postgres
 */
export async function databaseDiff(from: string, to: string, cwd: string): Promise<string> {
  const args = ['db', 'diff', `--from=${from}`, `--to=${to}`, '--output-format=json'];
  const { code, stdout, stderr } = await run(bin('supabase'), args, { cwd });
  if (code !== 0) throw new Error(`supabase db diff failed (${code}): ${stderr}`);
  const { diff } = JSON.parse(stdout) as { diff?: unknown };
  if (typeof diff !== 'string')
    throw new Error(`supabase db diff printed something unexpected: ${stdout.slice(0, 200)}`);
  return diff.trim();
}
