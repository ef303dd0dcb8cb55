import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './command.ts';

/**
 * Checks the licences of the packages that the product ships with, as package-lock.json names them.
 *
 * Greenroom is MIT and its images carry these packages, so a licence must allow that without conditions on our
 * own code. MPL-2.0 asks for the source of changed files only, and we change none.
 */
const allowed = new Set(['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0', 'Unlicense', 'MPL-2.0']);

interface LockedPackage {
  license?: string;
  dev?: boolean;
  link?: boolean;
}

/** `(MIT OR GPL-3.0)` is allowed because we may choose; `MIT AND GPL-3.0` is not. */
const isAllowed = (expression: string): boolean =>
  expression
    .replace(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((licence) => allowed.has(licence.trim())));

/** One line for each package that must not be shipped. */
export function forbiddenLicences(packages: Record<string, LockedPackage>): string[] {
  return Object.entries(packages)
    .filter(([place, { dev, link }]) => place.includes('node_modules/') && !dev && !link)
    .filter(([, { license }]) => license === undefined || !isAllowed(license))
    .map(([place, { license }]) => `${place}: ${license ?? 'package-lock.json names no licence'}`);
}

export async function checkLicences(): Promise<{ passed: number; failed: number }> {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const forbidden = forbiddenLicences(lock.packages);
  for (const sentence of forbidden) process.stdout.write(`FAIL ${sentence}\n`);
  return forbidden.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: forbidden.length };
}
