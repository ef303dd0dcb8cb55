import * as z from 'zod';
import { scope } from './access.ts';
import { timestamp, uuid } from './common.ts';
import { listOf } from './list.ts';

/** What a caller learns about itself, and the audit log and the recent requests of its tenant. */

/** `GET /api/me`. */
export const meView = z.object({
  tenant: z.object({ id: uuid, slug: z.string(), name: z.string(), status: z.literal('active') }),
  actor: z.string().describe('`key:<id>` or `user:<id>`, as in the audit log.'),
  scopes: z.array(scope),
  mode: z
    .enum(['live', 'test'])
    .describe('`test`: the tenant is the test mode of another; its keys begin with `gr_test_`.'),
  api_version: z.string().describe('The version of the API that this request got.'),
  limits: z.object({
    requests_per_minute: z
      .object({ caller: z.number().int(), tenant: z.number().int() })
      .describe('Requests per minute of this key or user, and of all of the tenant.'),
    max_live_sessions: z.number().int(),
    live_sessions: z.number().int(),
    session_starts_per_minute: z.number().int().nullable().describe('Null: unlimited.'),
    max_duration_minutes: z.number(),
    allowed_regions: z.array(z.string()).nullable().describe('Null: any region.'),
  }),
});

export const auditOutcomes = ['done', 'refused'] as const;
export const auditView = z.object({
  id: z.number().int(),
  actor: z.string().describe('`user:<id>`, `key:<id>`, `worker:<machine>`, `operator:<name>` or `retention`.'),
  action: z.string().describe('For example `api_key.create`.'),
  target: z.string().nullable(),
  outcome: z.enum(auditOutcomes),
  remote_address: z.string().nullable(),
  request_id: z.string().nullable(),
  details: z.record(z.string(), z.unknown()).describe('Depends on the action. Never secrets.'),
  created_at: timestamp,
});
export const auditList = listOf(auditView);

/** `GET /api/requests`. */
export const requestView = z.object({
  id: z.number().int(),
  request_id: z.string().describe('The `x-request-id` of the answer.'),
  actor: z.string().describe('`key:<id>` or `user:<id>`.'),
  method: z.string(),
  path: z.string().describe('The path as this document writes it, for example `/api/sessions/{id}`.'),
  status: z.number().int(),
  code: z.string().nullable().describe('The `code` of the problem that was answered. Null: there was none.'),
  took_ms: z.number().int().describe('Time until the answer was sent, ms.'),
  created_at: timestamp,
});
export const requestList = listOf(requestView);
