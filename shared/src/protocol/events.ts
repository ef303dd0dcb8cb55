import * as z from 'zod';
import { type EventType, eventTypes, hasSession } from '../session/events.ts';
import { machineReasonNames } from '../session/reasons.ts';
import { type MachineState, machineStates, type SessionStatus, sessionStatuses } from '../session/states.ts';
import { outcome, sessionReason, timestamp, uuid } from './common.ts';
import { withdrawalEffect } from './people.ts';
import { resultFailures } from './results.ts';

/**
 * The data of each event by type, in `GET /api/sessions/{id}/events` and in webhooks (docs/events.md).
 *
 * Data are ids, numbers and words of closed lists, never personal data. When an interview is erased, its events no
 * longer contain what was observed (`kind`) and what was recorded (`video_id`).
 */
const status = z.enum(sessionStatuses);
const ordinal = z.number().int().min(1);
/** Absent if the interview was erased. */
const videoId = z.string().optional();

const movedTo = (to: SessionStatus) =>
  z.strictObject({
    /** Absent in the first event of a session. */
    from: status.optional(),
    to: z.literal(to),
    outcome: outcome.optional(),
    reason: sessionReason.optional(),
  });

const created = (to: 'scheduled' | 'pending') =>
  movedTo(to).extend({
    scheduled_at: timestamp.optional(),
    /** `admission`: a place within the tenant's limit. `candidate`: the machine is started when the candidate joins. */
    waits_for: z.enum(['admission', 'candidate']).optional(),
  });

const nothing = z.strictObject({});
const evaluated = z.strictObject({ revision: z.number().int() });

const machine = z.strictObject({
  machine_id: uuid,
  fly_machine_id: z.string().optional(),
  region: z.string().optional(),
  attempt: z.number().int().optional(),
  epoch: z.number().int().optional(),
  /** Why the machine ended, or why the next one was launched. */
  reason: z.enum(machineReasonNames).optional(),
  because: z.string().optional(),
});

type Schemas = Record<EventType, z.ZodType<Record<string, unknown>>>;
const byName = <N extends string, T>(names: readonly N[], of: (name: N) => T) =>
  Object.fromEntries(names.map((name) => [name, of(name)])) as Record<N, T>;

export const eventData = {
  ...byName(
    sessionStatuses.map((name) => `session.${name}` as const),
    (type) => movedTo(type.slice('session.'.length) as SessionStatus),
  ),
  'session.scheduled': created('scheduled'),
  'session.pending': created('pending'),
  'session.queued': nothing,
  'session.admitted': nothing,
  'session.rescheduled': z.strictObject({ from: timestamp.nullable(), to: timestamp }),
  'session.end_requested': z.strictObject({ outcome, reason: sessionReason }),
  'session.failed_over': z.strictObject({ epoch: z.number().int().min(2) }),
  'candidate.absent': nothing,
  'candidate.present': nothing,
  'candidate.lost': nothing,
  'candidate.consented': z.strictObject({ text_version: z.string() }),
  'consent.declined': z.strictObject({ text_version: z.string() }),
  'consent.withdrawn': z.strictObject({ text_version: z.string(), effect: withdrawalEffect }),
  'transcript.revised': z.strictObject({ entries: z.number().int() }),
  'integrity.flagged': z.strictObject({
    /** Absent if the interview was erased. */
    kind: z.string().optional(),
  }),
  'result.done': evaluated,
  'result.empty': evaluated,
  'result.dead': z.strictObject({ failure: z.enum(resultFailures), attempts: z.number().int() }),
  'result.rerun': z.strictObject({ from: z.string(), by: z.string().optional() }),
  'result.reviewed': z.strictObject({ reviewed: z.boolean(), by: z.string() }),
  'video.open': z.strictObject({ ordinal, video_id: videoId }),
  'video.done': z.strictObject({ ordinal, video_id: videoId }),
  'video.dead': z.strictObject({ ordinal, failure: z.string() }),
  'webhook.failing': z.strictObject({ webhook_id: uuid, since: timestamp, disabled_at: timestamp }),
  'webhook.disabled': z.strictObject({ webhook_id: uuid, reason: z.enum(['gone', 'not_delivering']) }),
  'quota.reached': z.strictObject({
    quota: z.literal('max_live_sessions'),
    limit: z.number().int(),
    live: z.number().int(),
    queued: z.number().int(),
  }),
  ...byName(
    machineStates.map((name: MachineState) => `machine.${name}` as const),
    () => machine,
  ),
  'machine.assigned': machine,
} satisfies Schemas;

const ofSession = { session_id: uuid };
const dataOf = (type: EventType) => (eventData[type] as z.ZodObject).extend(hasSession(type) ? ofSession : {});
const thinDataOf = (type: EventType) => z.strictObject(hasSession(type) ? ofSession : {});

/** The body of a webhook of one type. A thin message has no data but the session's id. */
export const messageOf = (type: EventType) =>
  z.strictObject({ type: z.literal(type), timestamp, data: z.union([dataOf(type), thinDataOf(type)]) });

/** The message that `POST /api/webhooks/{id}/test` sends. */
export const testMessage = z.strictObject({ type: z.literal('webhook.test'), timestamp, data: nothing });

export const webhookMessage = z.union([testMessage, ...eventTypes.map(messageOf)]);
