import { expect, test } from 'vitest';
import { failuresOf, summary } from './suites.ts';

const report = {
  ...{ numPassedTests: 1, numFailedTests: 1, numPendingTests: 0 },
  testResults: [
    {
      name: 'test/integration/pool.test.ts',
      assertionResults: [
        { fullName: 'pool keeps three', status: 'passed' },
        { fullName: 'pool refills', status: 'failed', failureMessages: ['expected 2 to be 3\n    at pool.test.ts:12'] },
      ],
    },
  ],
};

test('the summary contains each failed test with its error and ends with the sum', () => {
  const text = summary([{ name: 'integration', passed: 1, failed: 1, seconds: 2, failures: failuresOf(report) }]);
  expect(text).toContain('pool.test.ts: pool refills\n  expected 2 to be 3');
  expect(text).not.toContain('keeps three');
  expect(text).toMatch(/\n1 passed, 1 failed\n$/);
});
