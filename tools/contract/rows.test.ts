import { describe, expect, test } from 'vitest';
import { evidenceOf, type Outcome, readRows } from './rows.ts';

const row = { service: 'Fly', claim: 'An app shows its network, or the list does', evidence: 'documented' };
const outcome = (changes: Partial<Outcome>): Outcome => ({
  service: 'fly',
  title: 't',
  row: 'An app shows its network',
  ok: true,
  detail: '',
  real: true,
  ...changes,
});

describe('the evidence for a row of docs/outside.md after a run', () => {
  test.each<[what: string, outcomes: Outcome[], evidence: string]>([
    ['a case passed on the real service', [outcome({})], 'shown'],
    ['a case failed on the real service', [outcome({}), outcome({ ok: false })], 'contradicted by this run'],
    ['only a stand-in was asked', [outcome({ real: false })], 'documented'],
    ['no case is about this row', [outcome({ row: 'Something else' })], 'documented'],
  ])('%s', (_what, outcomes, evidence) => {
    expect(evidenceOf(row, outcomes)).toBe(evidence);
  });

  test('the page is read with a claim and an evidence in every row', () => {
    const rows = readRows();
    expect(rows.length).toBeGreaterThan(25);
    expect(rows.filter(({ claim, evidence }) => claim === '' || evidence === '')).toEqual([]);
  });
});
