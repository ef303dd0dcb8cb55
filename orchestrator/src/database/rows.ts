import { roles } from '@greenroom/shared/protocol/access.ts';
import { outcome, sessionReason, uuid } from '@greenroom/shared/protocol/common.ts';
import { candidateView, positionView } from '@greenroom/shared/protocol/people.ts';
import { interviewContext, queuePlace, sessionUsage } from '@greenroom/shared/protocol/platform-api.ts';
import { resultView } from '@greenroom/shared/protocol/results.ts';
import { directive } from '@greenroom/shared/protocol/worker-api.ts';
import { machineStates, presences, sessionStatuses } from '@greenroom/shared/session/states.ts';
import { z } from 'zod';

/** Schemas of what the SQL functions return. Parsing here finds a difference between SQL and code at once. */

/** A result as `get_result` returns it. */
export const storedResult = resultView.omit({ failure_text: true }).extend({ last_error: z.string().nullable() });
export type StoredResult = z.output<typeof storedResult>;

/** `app.session_json`, and what `app.expanded` adds. */
export const sessionRow = z.object({
  session_id: uuid,
  tenant_id: uuid,
  status: z.enum(sessionStatuses),
  outcome: outcome.nullable(),
  reason: sessionReason.nullable(),
  presence: z.enum(presences),
  region: z.string().nullable(),
  region_reason: z.string().nullable(),
  fly_machine_id: z.string().nullable(),
  epoch: z.number().int(),
  simulated: z.boolean(),
  test: z.boolean(),
  metadata: z.record(z.string(), z.string()),
  settings: z.record(z.string(), z.unknown()),
  max_duration_ms: z.number().int(),
  end_requested_at: z.string().nullable(),
  transcript_revision: z.number().int(),
  transcript_complete: z.boolean(),
  video_recording_url: z.string().nullable(),
  placement: z.enum(['now', 'on_join']),
  admission: z.enum(['reject', 'queue']),
  scheduled_at: z.string().nullable(),
  queue: queuePlace.nullable(),
  /** Only when a single session is read. */
  usage: sessionUsage.nullish(),
  created_at: z.string(),
  updated_at: z.string(),
  expires_at: z.string(),
  ready_at: z.string().nullable(),
  started_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  consent_withdrawn_at: z.string().nullable(),
  interview_context: interviewContext,
  result: storedResult.nullish(),
  candidate: candidateView.nullish(),
  position: positionView.nullish(),
});
export type SessionRow = z.output<typeof sessionRow>;

/**
 * `app.intent_json`: a machine to be created, an assigned standby machine to be started, or an assigned hot machine whose worker
 * must be told.
 */
export const intentRow = z.object({
  machine_id: uuid,
  name: z.string(),
  tenant_id: uuid,
  session_id: uuid.nullable(),
  app_name: z.string(),
  region: z.string(),
  image: z.string(),
  attempt: z.number().int(),
  action: z.enum(['create', 'start', 'wake']),
  /** It is started before it has a session. */
  hot: z.boolean(),
  /** Set if the machine exists and is to be started. */
  fly_machine_id: z.string().nullable(),
  /** Its start was requested, and it has not started in time. */
  late: z.boolean(),
  regions: z.array(z.string()),
  allowed_regions: z.array(z.string()).nullable(),
  tried_regions: z.array(z.string()),
  hard_deadline_at: z.string().nullable(),
  /** W3C trace context in which its session runs. Null without a session. */
  traceparent: z.string().nullable(),
  /** Of the request that created the session, if the session began later, in a trace of its own. */
  creation_traceparent: z.string().nullable(),
  /** Wait for its slot of Fly's rate limit, ms. */
  wait_ms: z.number(),
});
export type Intent = z.output<typeof intentRow>;

/** `session_routes`: the machine that serves a session. */
export const routeRow = z.object({
  session_id: uuid,
  tenant_id: uuid,
  status: z.enum(sessionStatuses),
  state_rank: z.number().int(),
  epoch: z.number().int(),
  machine_id: uuid.nullable(),
  machine_state: z.enum(machineStates).nullable(),
  app_name: z.string().nullable(),
  fly_machine_id: z.string().nullable(),
  /** It is a hot machine whose worker has not claimed the session yet. */
  unconfirmed: z.boolean(),
  /** The lease of its worker has expired: nothing was heard from it for that long. */
  silent: z.boolean(),
  /** W3C trace context in which the session runs. */
  traceparent: z.string().nullable(),
});
export type RouteRow = z.output<typeof routeRow>;

/** `machines_alive`: a machine that may exist at Fly, with the data to judge it. */
export const aliveRow = z.object({
  machine_id: uuid,
  name: z.string(),
  app_name: z.string(),
  fly_machine_id: z.string().nullable(),
  state: z.enum(machineStates),
  reason: z.string().nullable(),
  /** Of its claim; null before. */
  epoch: z.number().int().nullable(),
  session_id: uuid.nullable(),
  session_rank: z.number().int().nullable(),
  serves: z.boolean().nullable(),
  hot: z.boolean(),
  /** Since its session ended. */
  session_over_ms: z.number().nullable(),
  /** Since it entered its state (reserved: since its slot). */
  state_ms: z.number(),
  last_heartbeat_at: z.string().nullable(),
  hard_deadline_at: z.string().nullable(),
  lease_lapsed: z.boolean().nullable(),
  past_deadline: z.boolean().nullable(),
  /** Since Fly reports its host as not ok. */
  host_bad_ms: z.number().nullable(),
  /** Since the first GET that did not find it. */
  absent_ms: z.number().nullable(),
});
export type AliveRow = z.output<typeof aliveRow>;

export const eventRow = z.object({
  id: z.number(),
  session_id: uuid,
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
  created_at: z.string(),
});
export type EventRow = z.output<typeof eventRow>;

/** An event of a tenant's session, or of the tenant itself (`session_id` null). */
export const tenantEventRow = eventRow.extend({
  session_id: uuid.nullable(),
  /** No event of the tenant with a smaller id can follow. */
  settled: z.boolean(),
});
export type TenantEventRow = z.output<typeof tenantEventRow>;

export const apiKeyRow = z.object({
  key_hash: z.string(),
  key_id: uuid,
  tenant_id: uuid,
  scopes: z.array(z.string()),
  tenant_status: z.string(),
  /** The tenant is the test mode of another. */
  test: z.boolean(),
  allowed_regions: z.array(z.string()).nullable(),
  api_version: z.string().nullable(),
});
export type ApiKeyRow = z.output<typeof apiKeyRow>;

/** `tenants_of_user`: a tenant that a user belongs to. */
export const membershipRow = z.object({
  tenant_id: uuid,
  slug: z.string(),
  name: z.string(),
  status: z.string(),
  role: z.enum(roles),
  allowed_regions: z.array(z.string()).nullable(),
});
export type MembershipRow = z.output<typeof membershipRow>;

/** A call to hang up, because its worker is gone. */
export const owedCallRow = z.object({
  id: uuid,
  session_id: uuid,
  ordinal: z.number().int(),
  call_id: z.string().nullable(),
  credential_ciphertext: z.string().nullable(),
  tenant_id: uuid,
  /** Of a test session: the call existed only in its worker. */
  test: z.boolean(),
  attempts: z.number().int(),
  age_ms: z.number(),
  /** Since the provider has answered every hang-up with "no such call". */
  missing_ms: z.number().nullable(),
  traceparent: z.string().nullable(),
});
export type OwedCall = z.output<typeof owedCallRow>;

export const claimRow = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('refused'), why: z.string(), retry: z.boolean().optional() }),
  /** Of a hot machine without a session. */
  z.object({ kind: z.literal('waiting'), machine_id: uuid, heard_at: z.string() }),
  z.object({
    kind: z.literal('claimed'),
    machine_id: uuid,
    session: sessionRow,
    allowed_origins: z.array(z.string()),
    open_call: z
      .object({
        ordinal: z.number().int(),
        call_id: z.string().nullable(),
        credential_ciphertext: z.string().nullable(),
        interviewer_template: z.string().nullable(),
      })
      .nullable(),
    next_ordinal: z.number().int(),
    /** Attempts that came too late, committed to be destroyed. */
    losers: z
      .array(z.object({ machine_id: uuid, app_name: z.string(), fly_machine_id: z.string().nullable() }))
      .default([]),
    /** W3C trace context in which the session runs. */
    traceparent: z.string().nullable(),
    directive,
  }),
]);
export type ClaimRow = z.output<typeof claimRow>;

export const directiveRow = z.object({ machine_id: uuid, epoch: z.number().int(), directive });
