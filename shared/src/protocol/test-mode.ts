import * as z from 'zod';
import { timestamp, uuid } from './common.ts';
import { newApiKeyView } from './tenants.ts';

/** Test mode in the platform API: keys `gr_test_…`, and the simulated candidate of a test session. */

/** What a simulated candidate does. */
export const simulationScripts = ['completes', 'leaves', 'loses_network', 'is_silent', 'injects_prompts'] as const;
export type SimulationScript = (typeof simulationScripts)[number];

export const newTestKeyView = newApiKeyView.extend({
  tenant_id: uuid.describe('The tenant that is the test mode of yours. Its rows are separate from yours.'),
});

export const simulateRequest = z.strictObject({
  script: z
    .enum(simulationScripts)
    .default('completes')
    .describe(
      '`completes`: answers every question. `leaves`: closes the page after the first answer. `loses_network`: loses the connection once after the first answer, and returns. `is_silent`: joins and says nothing. `injects_prompts`: tries to direct the evaluation and manipulates the call.',
    ),
});

export const simulationView = z.object({
  session_id: uuid,
  script: z.enum(simulationScripts),
  status: z
    .enum(['waiting', 'running', 'done', 'failed'])
    .describe('`waiting`: until the session can be joined. `done`: the candidate has done what the script says.'),
  failure: z.string().nullable(),
  created_at: timestamp,
  ended_at: timestamp.nullable(),
});
