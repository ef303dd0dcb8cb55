import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { BareCloud } from './bare-cloud.ts';

/**
 * Follows docs/deploy.md. Blocks marked `executed` are run in order by bash in the repository, with the local cloud's URLs and keys as
 * `.env`; console steps are proven by a line of `greenroom doctor`; everything else is counted as not run.
 */
export const root = path.resolve(import.meta.dirname, '../..');

export type Act =
  | { kind: 'executed' | 'not-run'; line: number; script: string }
  | { kind: 'console step'; line: number; number: number; check: string };

/** The acts of the page in order. Throws on a block without a mark, and on a console step without a doctor line. */
export function readActs(page: string): Act[] {
  const acts: Act[] = [];
  const lines = page.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const text = lines[at] as string;
    const [, mark] = /^```sh ?(.*)$/.exec(text) ?? [];
    if (mark !== undefined) {
      const end = lines.indexOf('```', at + 1);
      if (mark !== 'executed' && mark !== 'not-run')
        throw new Error(`docs/deploy.md:${at + 1}: a block is executed or not-run`);
      acts.push({ kind: mark, line: at + 1, script: lines.slice(at + 1, end).join('\n') });
      at = end;
    }
    const [, number] = /^\*\*Console step (\d+)\.\*\*/.exec(text) ?? [];
    if (number === undefined) continue;
    const paragraph = lines.slice(at, lines.indexOf('', at)).join(' ');
    const check = /Checked by the doctor line `([a-z0-9-]+)`/.exec(paragraph)?.[1];
    if (check === undefined) throw new Error(`docs/deploy.md:${at + 1}: console step ${number} names no doctor line`);
    acts.push({ kind: 'console step', line: at + 1, number: Number(number), check });
  }
  return acts;
}

export const readPage = (): Act[] => readActs(readFileSync(path.join(root, 'docs/deploy.md'), 'utf8'));

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a script as an operator would: in the repository, with `.env` loaded. */
export function runScript(
  script: string,
  { envFile, dir }: BareCloud,
  changes: Record<string, string> = {},
): Promise<Ran> {
  const child = spawn(
    'bash',
    [
      '--norc',
      '-euo',
      'pipefail',
      '-c',
      `set -a; . "$GREENROOM_ENV_FILE"; set +a\n${Object.entries(changes)
        .map(([name]) => `export ${name}="$CHANGED_${name}"`)
        .join('\n')}\n${script}`,
    ],
    {
      cwd: root,
      env: {
        PATH: `${path.join(root, 'node_modules/.bin')}:${process.env.PATH}`,
        HOME: dir,
        // npm's own settings stay those of this machine.
        npm_config_userconfig: path.join(homedir(), '.npmrc'),
        ...(process.env.NODE_EXTRA_CA_CERTS === undefined
          ? {}
          : { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS }),
        GREENROOM_ENV_FILE: envFile,
        // The local database speaks plain TCP; Supabase's CLI sends no telemetry.
        PGSSLMODE: 'disable',
        DO_NOT_TRACK: '1',
        ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [`CHANGED_${name}`, value])),
      },
    },
  );
  const out = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    out.stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, ...out }));
  });
}

interface Finding {
  id: string;
  status: string;
  detail: string;
}

/** Every line of the doctor, by its id. */
export async function doctorLines(
  bare: BareCloud,
  changes: Record<string, string> = {},
): Promise<Map<string, Finding>> {
  const { stdout, stderr } = await runScript('npx greenroom doctor --json', bare, changes);
  const last = stdout.trim().split('\n').at(-1) ?? '';
  try {
    const { findings } = JSON.parse(last) as { findings: Finding[] };
    return new Map(findings.map((finding) => [finding.id, finding]));
  } catch (error) {
    throw new Error(`greenroom doctor printed no document: ${stdout}\n${stderr}`, { cause: error });
  }
}

/** The state of the world before each console step: other variables, or a stand-in that behaves as if the step were not done. */
export interface NotDone {
  changes?: () => Promise<Record<string, string>> | Record<string, string>;
  undo?: (bare: BareCloud) => void | Promise<void>;
  redo?: (bare: BareCloud) => void | Promise<void>;
}
export const notDone: Record<string, NotDone> = {
  'fly-token': { changes: () => ({ FLY_API_TOKEN: 'fo1_never_made' }) },
  'fly-replay': {
    undo: ({ cloud }) => cloud.fly.crossNetworkReplay.disable(),
    redo: ({ cloud }) => cloud.fly.crossNetworkReplay.enable(),
  },
  'database-orchestrator': { changes: () => ({ SUPABASE_PUBLISHABLE_KEY: 'sb_publishable_never_copied' }) },
  'voice-key': { changes: () => ({ OPENAI_API_KEY: 'sk-never-made' }) },
  // The key is imported, but the rotation to it is not done.
  'signing-key': {
    undo: ({ cloud, keys }) => cloud.supabase.moveSigningKey(keys.db.kid as string, 'standby'),
    redo: ({ cloud, keys }) => cloud.supabase.moveSigningKey(keys.db.kid as string, 'in_use'),
  },
};
