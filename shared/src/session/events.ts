import { machineStates, presences, sessionStatuses } from './states.ts';

/**
 * The events of a session and of its tenant: every type that `session_events` may contain, and its audience.
 *
 * `tenant`: in the API's event streams and in webhooks. `internal`: for operators only. The database's check
 * lists the same types; a test compares them. The data of an event: protocol/events.ts.
 */
export type EventAudience = 'tenant' | 'internal';

/** One type per word of a list. */
const eachOf = <P extends string, W extends string, A extends EventAudience>(prefix: P, words: readonly W[], to: A) =>
  Object.fromEntries(words.map((word) => [`${prefix}.${word}`, to])) as Record<`${P}.${W}`, A>;

export const eventAudiences = {
  // An ended session has its outcome as status, so there is no type `session.ended`.
  ...eachOf('session', sessionStatuses, 'tenant'),
  'session.queued': 'tenant',
  'session.admitted': 'tenant',
  'session.rescheduled': 'tenant',
  'session.end_requested': 'tenant',
  'session.failed_over': 'tenant',
  ...eachOf('candidate', presences, 'tenant'),
  'candidate.consented': 'tenant',
  'consent.declined': 'tenant',
  'consent.withdrawn': 'tenant',
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
  'webhook.failing': 'tenant',
  'webhook.disabled': 'tenant',
  'quota.reached': 'tenant',
  ...eachOf('machine', machineStates, 'internal'),
  'machine.assigned': 'internal',
} as const satisfies Record<string, EventAudience>;

export type EventType = keyof typeof eventAudiences;
export const eventTypes = Object.keys(eventAudiences) as [EventType, ...EventType[]];

/** Types that belong to the tenant itself and to no session. */
export const sessionlessEventTypes = ['webhook.failing', 'webhook.disabled', 'quota.reached'] as const;
const sessionless: ReadonlySet<string> = new Set(sessionlessEventTypes);
export const hasSession = (type: EventType): boolean => !sessionless.has(type);

/** Types that tenants receive. */
export type TenantEventType = { [T in EventType]: (typeof eventAudiences)[T] extends 'tenant' ? T : never }[EventType];
export const tenantEventTypes = eventTypes.filter((type) => eventAudiences[type] === 'tenant') as [
  TenantEventType,
  ...TenantEventType[],
];

/** Whether tenants receive events of this type. An unknown type (of a later version) is not shown. */
export const isTenantEvent = (type: string): type is TenantEventType =>
  (tenantEventTypes as readonly string[]).includes(type);
