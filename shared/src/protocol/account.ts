import * as z from 'zod';
import { scope } from './access.ts';
import { timestamp, uuid } from './common.ts';
import { listOf } from './list.ts';

/** What a caller learns about itself, and the audit log of its tenant. */

/** `GET /api/me`. */
export const meView = z.object({
  tenant: z.object({ id: uuid, slug: z.string(), name: z.string(), status: z.literal('active') }),
  /** `key:<id>` or `user:<id>`, as in the audit log. */
  actor: z.string(),
  scopes: z.array(scope),
  /** `test`: the key begins with `gr_test_`. Users are `live`. */
  mode: z.enum(['live', 'test']),
  /** The version of the API that this request got. */
  api_version: z.string(),
  limits: z.object({
    /** Requests per minute of this key or user, and of all of the tenant. */
    requests_per_minute: z.object({ caller: z.number().int(), tenant: z.number().int() }),
    max_live_sessions: z.number().int(),
    live_sessions: z.number().int(),
    /** Null: unlimited. */
    session_starts_per_minute: z.number().int().nullable(),
    max_duration_minutes: z.number(),
    /** Null: any region. */
    allowed_regions: z.array(z.string()).nullable(),
  }),
});

export const auditOutcomes = ['done', 'refused'] as const;
export const auditView = z.object({
  id: z.number().int(),
  /** `user:<id>`, `key:<id>`, `worker:<machine>`, `operator:<name>` or `retention`. */
  actor: z.string(),
  /** For example `api_key.create`. */
  action: z.string(),
  target: z.string().nullable(),
  outcome: z.enum(auditOutcomes),
  remote_address: z.string().nullable(),
  request_id: z.string().nullable(),
  /** Depends on the action. Never secrets. */
  details: z.record(z.string(), z.unknown()),
  created_at: timestamp,
});
export const auditList = listOf(auditView);
