import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodes } from './errors/codes.ts';
import { machineReasons, sessionReasons } from './session/reasons.ts';
import { sessionStatuses } from './session/states.ts';

/** A document, with the padding of its tables taken out. */
const read = (name: string) =>
  readFileSync(path.resolve(import.meta.dirname, '../../docs', name), 'utf8').replaceAll(/ +\|/g, ' |');

/** First columns of the rows of a table whose first cell is code, with the whole row. */
const rows = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/^\| `([\w]+)` \|.*$/gm)].map((match) => [match[1] as string, match[0]]));

describe('docs agree with the code', () => {
  test('docs/errors.md lists every code with its status and retryability, and no other', () => {
    const documented = rows(read('errors.md'));
    expect([...documented.keys()].sort()).toEqual(Object.keys(errorCodes).sort());
    for (const [code, { status, retryable }] of Object.entries(errorCodes)) {
      expect(documented.get(code)).toContain(`| ${status} | ${retryable ? 'yes' : 'no'} |`);
    }
  });

  test('docs/lifecycle.md lists every reason with its outcome and words', () => {
    const lifecycle = read('lifecycle.md');
    for (const [reason, { outcome, text }] of Object.entries(sessionReasons)) {
      expect(lifecycle).toContain(`| \`${reason}\` | ${outcome} | ${text} |`);
    }
    for (const [reason, text] of Object.entries(machineReasons))
      expect(lifecycle).toContain(`| \`${reason}\` | ${text} |`);
  });

  test('docs/lifecycle.md names no reason that the code does not have', () => {
    const known = new Set<string>([...Object.keys(sessionReasons), ...Object.keys(machineReasons), ...sessionStatuses]);
    for (const name of rows(read('lifecycle.md')).keys()) expect(known).toContain(name);
  });
});
