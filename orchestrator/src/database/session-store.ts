import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import type { SessionExpansion } from '@greenroom/shared/protocol/session-reads.ts';
import { storedTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Ending } from '@greenroom/shared/session/reasons.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';
import { wasRolledBack } from './connection.ts';
import {
  type ApiKeyRow,
  apiKeyRow,
  type EventRow,
  eventRow,
  intentRow,
  type RouteRow,
  routeRow,
  type SessionRow,
  sessionRow,
  type TenantEventRow,
  tenantEventRow,
} from './rows.ts';

/** Sessions as the platform API sees them: created, read, asked to end. Throws DatabaseError. */

const tenantEventsStart = z.object({ after: z.number(), seen: z.array(z.number()) });
export type TenantEventsStart = z.output<typeof tenantEventsStart>;

/** A request of `create_sessions`; durations in ms, times are the database's own. */
export interface NewSession {
  tenant_id: string;
  session_id: string;
  machine_id: string;
  orchestrator_id: string;
  api_key_id: string | null;
  user_id: string | null;
  candidate_id?: string | undefined;
  candidate?: object | undefined;
  position_id?: string | undefined;
  position?: object | undefined;
  settings: object;
  metadata: object;
  /** In the order in which they are tried. */
  regions: string[];
  first_region: string;
  region_reason: string;
  /** All of these regions were recently full: only a standby machine can serve the session. */
  all_closed: boolean;
  placement: 'now' | 'on_join';
  admission: 'reject' | 'queue';
  max_queued: number;
  queue_ms: number;
  scheduled_at?: string | undefined;
  /** A start time nearer than this counts as now. */
  start_lead_ms: number;
  simulated: boolean;
  max_duration_ms: number;
  expires_ms: number;
  /** Allowed life of its machine until the claim, without the interview. */
  life_ms: number;
  taken_ms: number;
  /** Lease of a hot machine's worker from its assignment. */
  lease_ms: number;
  image: string;
  idempotency_key?: string | undefined;
  /** SHA-256 of the whole request, hex. */
  request_hash?: string | undefined;
  /** The encrypted invitation code, kept until the answer of the idempotency key is stored. */
  sealed_code?: string | undefined;
  invitation_hash: string;
  /** W3C trace context of the request. */
  traceparent: string;
}

/** `app.schedule_ahead`: the data that decide whether a session can start on time. */
const scheduleAhead = z.object({
  ahead: z.number(),
  standby: z.number(),
  creates_per_second: z.number(),
  now: z.string(),
});
export type ScheduleAhead = z.output<typeof scheduleAhead>;

const rescheduleResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rescheduled'), session: sessionRow, ahead: scheduleAhead }),
  z.object({ kind: z.literal('begun'), session: sessionRow }),
  z.object({ kind: z.enum(['ended', 'changed_meanwhile', 'not_found']) }),
]);

const createResult = z.discriminatedUnion('kind', [
  /** Without an intent the session waits for its start time, for admission or for its candidate. */
  z.object({
    kind: z.literal('created'),
    session: sessionRow,
    intent: intentRow.nullable(),
    ahead: scheduleAhead.nullable(),
  }),
  z.object({ kind: z.literal('replayed'), session: sessionRow, sealed_code: z.string().nullable() }),
  z.object({ kind: z.literal('idempotency_mismatch') }),
  z.object({ kind: z.literal('quota_exceeded'), limit: z.number() }),
  z.object({ kind: z.literal('queue_full'), limit: z.number() }),
  z.object({ kind: z.literal('no_capacity') }),
  z.object({ kind: z.literal('rate_limited'), retry_after_ms: z.number() }),
  z.object({ kind: z.literal('duration_exceeded'), limit: z.number() }),
  z.object({ kind: z.literal('candidate_not_found') }),
  z.object({ kind: z.literal('candidate_conflict'), fields: z.array(z.enum(['email', 'external_id'])) }),
  z.object({ kind: z.literal('position_not_found') }),
  z.object({ kind: z.literal('no_app') }),
  z.object({ kind: z.literal('tenant_inactive') }),
]);
export type CreateResult = z.output<typeof createResult>;

export const machineOfEnd = z.object({
  machine_id: z.string(),
  app_name: z.string(),
  fly_machine_id: z.string().nullable(),
  state: z.string(),
});
const endResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('not_found') }),
  z.object({ kind: z.literal('already'), session: sessionRow }),
  z.object({ kind: z.literal('accepted'), session: sessionRow, machines: z.array(machineOfEnd) }),
]);
export type EndResult = z.output<typeof endResult>;

const exchangeResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('invalid') }),
  z.object({ kind: z.literal('used') }),
  z.object({ kind: z.literal('ended'), session: sessionRow }),
  z.object({ kind: z.literal('accepted'), session: sessionRow }),
]);

export interface ListRequest {
  tenantId: string;
  limit: number;
  /** As `list_sessions` names them. */
  filters: object;
  /** The last session of the page before. */
  after: { at: string; id: string } | undefined;
}

export interface TranscriptPlace {
  ordinal: number;
  item_id: string;
  sequence_number: number;
}

export interface EventCursor {
  session_id: string;
  after: number;
}

export type SessionStore = ReturnType<typeof createSessionStore>;

export function createSessionStore(database: Database) {
  const call = callerOf(database);

  const create = createBatcher<NewSession, CreateResult>({
    run: (requests) => call('create_sessions', { p_requests: requests }, z.array(createResult)),
    maxBatch: 100,
    isolate: wasRolledBack,
  });
  const findKeys = createBatcher<string, ApiKeyRow | undefined>({
    run: async (hashes) => {
      const found = await call('authenticate_api_keys', { p_hashes: [...new Set(hashes)] }, z.array(apiKeyRow));
      return hashes.map((hash) => found.find((key) => key.key_hash === hash));
    },
    concurrency: 2,
  });

  return {
    /** Creates a session and everything that belongs to it in one transaction. Batched. Refusals are values. */
    create,
    /** A valid key by its SHA-256 in hex; batched. */
    findKey: findKeys,
    /** Undefined if the tenant has no such session. */
    get: async (
      sessionId: string,
      tenantId: string | null,
      expand: readonly SessionExpansion[] = [],
    ): Promise<SessionRow | undefined> => {
      const parameters = { p_session_id: sessionId, p_tenant_id: tenantId, p_expand: expand };
      return (await call('get_session', parameters, sessionRow.nullable())) ?? undefined;
    },
    /** In the order that the filters name. */
    list: ({ tenantId, limit, filters, after }: ListRequest): Promise<SessionRow[]> =>
      call(
        'list_sessions',
        {
          p_tenant_id: tenantId,
          p_limit: limit,
          p_filters: filters,
          p_after_at: after?.at ?? null,
          p_after_id: after?.id ?? null,
        },
        z.array(sessionRow),
      ),
    routes: (sessionIds: string[]): Promise<RouteRow[]> =>
      call('session_routes', { p_session_ids: sessionIds }, z.array(routeRow)),
    events: (cursors: EventCursor[], perSession: number): Promise<EventRow[]> =>
      call('session_events_after', { p_cursors: cursors, p_limit: perSession }, z.array(eventRow)),
    /** Where a reader of a tenant's events begins. @param after undefined: only events from now on */
    tenantEventsStart: (tenantId: string, after: number | undefined): Promise<TenantEventsStart> =>
      call('tenant_events_start', { p_tenant_id: tenantId, p_after: after ?? null }, tenantEventsStart),
    tenantEvents: (tenantId: string, after: number, seen: number[], limit: number): Promise<TenantEventRow[]> =>
      call(
        'tenant_events_after',
        { p_tenant_id: tenantId, p_after: after, p_seen: seen, p_limit: limit },
        z.array(tenantEventRow),
      ),
    /** The conversation in its order. */
    transcript: (sessionId: string) =>
      call('transcript_to_evaluate', { p_session_id: sessionId }, z.array(storedTranscriptEntry)),
    /** A part of the conversation. @param after the last entry of the part before */
    transcriptPage: (sessionId: string, limit: number, after: TranscriptPlace | undefined) =>
      call(
        'transcript_page',
        { p_session_id: sessionId, p_limit: limit, p_after: after ?? null },
        z.array(storedTranscriptEntry),
      ),
    /** Moves the start of a session that has not begun. */
    reschedule: (sessionId: string, tenantId: string, scheduledAt: string, expiresMs: number, ifUpdatedAt?: string) =>
      call(
        'reschedule_session',
        {
          ...{ p_session_id: sessionId, p_tenant_id: tenantId, p_scheduled_at: scheduledAt, p_expires_ms: expiresMs },
          p_if_updated_at: ifUpdatedAt ?? null,
        },
        rescheduleResult,
      ),
    requestEnd: (sessionId: string, tenantId: string | null, { outcome, reason }: Ending): Promise<EndResult> =>
      call(
        'request_end',
        { p_session_id: sessionId, p_tenant_id: tenantId, p_outcome: outcome, p_reason: reason },
        endResult,
      ),
    exchangeInvitation: (sessionId: string, codeHash: string, browserHash: string) =>
      call(
        'exchange_invitation',
        { p_session_id: sessionId, p_code_hash: codeHash, p_browser_hash: browserHash },
        exchangeResult,
      ),
    /** Ends unused sessions that have expired. Returns their ids. */
    expire: (): Promise<string[]> => call('expire_sessions', {}, z.array(z.string())),
  };
}
