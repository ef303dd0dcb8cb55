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

/** When each type that tenants receive is sent: docs/events.md, and the OpenAPI document. */
export const tenantEventTexts: Readonly<Record<TenantEventType, string>> = {
  'session.scheduled': 'The session was created with a start time in the future.',
  'session.pending': 'The session was accepted. No request was sent to Fly yet.',
  'session.provisioning': 'A machine is reserved or starting.',
  'session.ready': 'A worker is listening. The candidate can connect.',
  'session.connecting': "The candidate's socket is open.",
  'session.in_progress': 'The call is up and the interview runs.',
  'session.finalizing': 'No more input is taken. Outcome and reason are decided.',
  'session.completed': 'The session ended as planned.',
  'session.disconnected': 'The session ended because the candidate left and did not come back.',
  'session.failed': 'The session ended because something failed.',
  'session.expired': 'The session ended because it was not used in time.',
  'session.cancelled':
    'The platform or an operator ended the session, or the candidate did not consent or withdrew consent.',
  'session.queued': 'The tenant is at its limit. The session waits for a place.',
  'session.admitted': 'The session got its place.',
  'session.rescheduled': 'The start time was changed.',
  'session.end_requested':
    "The platform or an operator requested the session's end, or the candidate did not consent or withdrew consent. The event of the end follows.",
  'session.failed_over':
    'Another machine, or another start of the same one, serves the session now. The conversation goes on.',
  'candidate.absent': "The candidate's socket is closed, as planned.",
  'candidate.present': "The candidate's socket is open.",
  'candidate.lost': "The candidate's socket broke. The candidate may come back.",
  'candidate.consented': "The candidate consented to this version of the tenant's text.",
  'consent.declined':
    "The candidate did not consent to this version of the tenant's text. The session ends as `cancelled`, `consent_declined`.",
  'consent.withdrawn':
    'The candidate withdrew consent, during the interview or after it. `effect` says what is erased (`erase_interview`, `erase_candidate`) or that an operator decides (`review`). Delete your copies.',
  'transcript.revised':
    "Entries were added, changed or corrected by the candidate after the session's end. The result is made again.",
  'integrity.flagged':
    'For the first time in this session, the browser did something in the call that we and the provider did not.',
  'result.done': 'Summary and evaluation of this revision of the transcript are ready.',
  'result.empty': 'The candidate said nothing: there is nothing to evaluate.',
  'result.dead': 'The evaluation was given up. It can be run again.',
  'result.rerun': 'The evaluation was requested again.',
  'result.reviewed': 'A person marked the result as reviewed, or removed that mark.',
  'video.open': 'A recording can be uploaded.',
  'video.done': 'A recording can be watched.',
  'video.dead': 'A recording was given up. The interview is not affected.',
  'webhook.failing': 'Nothing was delivered to this endpoint for a day. It will be disabled at `disabled_at`.',
  'webhook.disabled':
    'This endpoint was disabled: it answered 410 (`gone`), or nothing was delivered for three days (`not_delivering`).',
  'quota.reached':
    'A session was refused or queued because of your number of live sessions. Told at most once an hour.',
};

/** Whether tenants receive events of this type. An unknown type (of a later version) is not shown. */
export const isTenantEvent = (type: string): type is TenantEventType =>
  (tenantEventTypes as readonly string[]).includes(type);
