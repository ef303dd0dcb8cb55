import { defineConfig } from 'vitest/config';

// From fast to slow. `npm test` runs all but `full`, which `npm run test:full` adds; see CONTRIBUTING.md.
// The time limits only end a test that hangs: no test may fail because the machine is slow.
const patient = { testTimeout: 300_000, hookTimeout: 300_000, expect: { poll: { timeout: 120_000 } } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{shared,orchestrator,session-worker,client,server-client,infra/*,tools}/**/*.test.ts'],
          exclude: ['**/node_modules/**'],
          ...patient,
        },
      },
      { test: { name: 'sql', include: ['supabase/tests/**/*.test.ts'], ...patient } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...patient } },
      {
        test: {
          name: 'full',
          include: ['test/full/**/*.test.ts'],
          ...patient,
          testTimeout: 600_000,
          hookTimeout: 900_000,
        },
      },
      { test: { name: 'browser', include: ['test/browser/**/*.test.ts'], ...patient } },
    ],
  },
});
