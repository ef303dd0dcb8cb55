import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { makeEnvironment } from '../../src/testing.ts';
import { type Check, ok } from './check.ts';
import { checks, examine, isHealthy } from './doctor.ts';
import { judgeModel } from './voice-models.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const context = { config: readConfig(await makeEnvironment()), environment: {}, home: root, now: () => 0 };

describe('the checks of greenroom doctor', () => {
  test('docs/doctor.md lists every id in order, and which of them are live', () => {
    const page = readFileSync(path.join(root, 'docs/doctor.md'), 'utf8');
    const listed = [...page.matchAll(/^\| `([a-z-]+)` \|.*\| (yes )?\|$/gm)].map(([, id, live]) => [
      id,
      live === 'yes ',
    ]);
    expect(listed).toEqual([['settings', false], ...checks.map(({ id, live }) => [id, live ?? false])]);
  });

  test('a check that throws is a failed line, and the others still run', async () => {
    const broken: Check = { id: 'broken', means: 'm', run: () => Promise.reject(new Error('why')) };
    const fine: Check = { id: 'fine', means: 'm', run: async () => ok('yes') };
    const findings = await examine(context, false, [broken, fine]);
    expect(findings).toMatchObject([
      { id: 'broken', status: 'fail', detail: 'why' },
      { id: 'fine', status: 'ok' },
    ]);
    expect(isHealthy(findings)).toBe(false);
  });

  test('a live check runs only when it is asked for', async () => {
    const live: Check = { id: 'live', means: 'm', live: true, run: async () => ok('yes') };
    expect(await examine(context, false, [live])).toEqual([]);
    expect(await examine(context, true, [live])).toHaveLength(1);
  });
});

describe('the shutdown date of a model', () => {
  const now = Date.parse('2026-11-21');
  test.each<[string, string | null, string]>([
    ['none announced', null, 'ok'],
    ['more than 90 days away', '2027-12-31', 'ok'],
    ['in sixty days', '2027-01-20', 'warn'],
    ['in the past', '2026-11-20', 'fail'],
    ['unreadable', 'some day', 'warn'],
  ])('%s', (_when, date, status) => {
    expect(judgeModel('m', date, now, 'REALTIME_MODEL').status).toBe(status);
  });
});
