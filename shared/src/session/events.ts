import type { MachineState, Presence, SessionStatus } from './states.ts';

/**
 * The events of a session: every type that `session_events` may hold, and who receives it.
 *
 * `tenant`: in the API's event streams and in webhooks. `internal`: operators only.
 * The database's check lists the same types; a test compares them. What an event's data holds: protocol/events.ts.
 */
export type EventAudience = 'tenant' | 'internal';

/** An ended session has its outcome as status, so there is no type `session.ended`. */
const sessionEvents: Record<`session.${SessionStatus}`, 'tenant'> = {
  'session.scheduled': 'tenant',
  'session.pending': 'tenant',
  'session.provisioning': 'tenant',
  'session.ready': 'tenant',
  'session.connecting': 'tenant',
  'session.in_progress': 'tenant',
  'session.finalizing': 'tenant',
  'session.completed': 'tenant',
  'session.disconnected': 'tenant',
  'session.failed': 'tenant',
  'session.expired': 'tenant',
  'session.cancelled': 'tenant',
};

const presenceEvents: Record<`candidate.${Presence}`, 'tenant'> = {
  'candidate.absent': 'tenant',
  'candidate.present': 'tenant',
  'candidate.lost': 'tenant',
};

const machineEvents: Record<`machine.${MachineState}`, 'internal'> = {
  'machine.reserved': 'internal',
  'machine.created': 'internal',
  'machine.started': 'internal',
  'machine.claimed': 'internal',
  'machine.draining': 'internal',
  'machine.destroying': 'internal',
  'machine.destroyed': 'internal',
};

export const eventAudiences = {
  ...sessionEvents,
  'session.queued': 'tenant',
  'session.admitted': 'tenant',
  'session.rescheduled': 'tenant',
  'session.end_requested': 'tenant',
  ...presenceEvents,
  'candidate.consented': 'tenant',
  'transcript.revised': 'tenant',
  'integrity.flagged': 'tenant',
  'result.done': 'tenant',
  'result.empty': 'tenant',
  'result.dead': 'tenant',
  'result.rerun': 'tenant',
  'result.reviewed': 'tenant',
  'video.open': 'tenant',
  'video.done': 'tenant',
  'video.dead': 'tenant',
  ...machineEvents,
  'machine.assigned': 'internal',
} as const satisfies Record<string, EventAudience>;

export type EventType = keyof typeof eventAudiences;
export const eventTypes = Object.keys(eventAudiences) as [EventType, ...EventType[]];

/** Types that tenants receive. */
export type TenantEventType = { [T in EventType]: (typeof eventAudiences)[T] extends 'tenant' ? T : never }[EventType];
export const tenantEventTypes = eventTypes.filter((type) => eventAudiences[type] === 'tenant') as [
  TenantEventType,
  ...TenantEventType[],
];

/** Whether tenants receive events of this type. One of a later version, which we do not know, is not shown. */
export const isTenantEvent = (type: string): type is TenantEventType =>
  (tenantEventTypes as readonly string[]).includes(type);
