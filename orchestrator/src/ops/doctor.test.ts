import { describe, expect, test } from 'vitest';
import { type DoctorDeps, examine, isHealthy, judgeModel } from './doctor.ts';

const now = Date.parse('2026-11-21');
const deps = (changes: Partial<DoctorDeps> = {}): DoctorDeps => ({
  models: async () => ({
    status: 200,
    body: {
      data: [
        { id: 'm1', shutdown_date: null },
        { id: 'm2', shutdown_date: '2027-01-20' },
      ],
    },
  }),
  wanted: { 'realtime model': 'm1' },
  provider: 'openai',
  flyReachable: async () => true,
  flyOrg: 'acme',
  databaseReachable: async () => true,
  now: () => now,
  ...changes,
});
const statusOf = async (check: string, changes: Partial<DoctorDeps>) =>
  (await examine(deps(changes))).find((finding) => finding.check === check)?.status;

describe('the doctor', () => {
  test('finds nothing wrong where nothing is, and says what it cannot know', async () => {
    const findings = await examine(deps());
    expect(isHealthy(findings)).toBe(true);
    expect(findings.filter(({ status }) => status === 'unknown').map(({ check }) => check)).toEqual([
      'cross-network replay',
    ]);
  });

  test.each<[string, string | null, string]>([
    ['none announced', null, 'ok'],
    ['far away', '2027-12-31', 'ok'],
    ['in sixty days', '2027-01-20', 'warn'],
    ['in the past', '2026-11-20', 'fail'],
    ['unreadable', 'some day', 'warn'],
  ])('a model whose shutdown is %s', (_when, date, status) => {
    expect(judgeModel('realtime model', 'm', date, now).status).toBe(status);
  });

  test('a model that is not there fails; a deployment of Azure is not in any list', async () => {
    expect(await statusOf('realtime model', { wanted: { 'realtime model': 'gone' } })).toBe('fail');
    expect(await statusOf('realtime model', { wanted: { 'realtime model': 'mine' }, provider: 'azure' })).toBe(
      'unknown',
    );
  });

  test.each<[string, Partial<DoctorDeps>, string]>([
    ['a key that is refused', { models: async () => ({ status: 401, body: {} }) }, 'voice provider key'],
    ['a provider that is away', { models: async () => ({ status: 0, body: undefined }) }, 'voice provider key'],
    ['a list of another shape', { models: async () => ({ status: 200, body: { models: [] } }) }, 'voice provider key'],
    ['a Fly that is away', { flyReachable: async () => false }, 'fly'],
    ['a database that throws', { databaseReachable: () => Promise.reject(new Error('x')) }, 'database'],
  ])('%s fails', async (_what, changes, check) => {
    expect(await statusOf(check, changes)).toBe('fail');
    expect(isHealthy(await examine(deps(changes)))).toBe(false);
  });
});
