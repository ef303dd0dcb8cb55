import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * What a stack needs again when it is started a second time in the same folder: its keys, tokens and demo tenant. The local
 * Supabase keeps the database itself. Readable by the owner only, because it holds the deployment's secrets.
 */
const fileOf = (dir: string): string => path.join(dir, 'deployment.json');

/** The kept state of this folder; undefined on the first start. */
export const readKept = <T>(dir: string): T | undefined =>
  existsSync(fileOf(dir)) ? (JSON.parse(readFileSync(fileOf(dir), 'utf8')) as T) : undefined;

/** Writes the state once the stack is complete, so that a half-made one is made again. */
export function writeKept<T>(dir: string, state: T): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(fileOf(dir), JSON.stringify(state), { mode: 0o600 });
}
