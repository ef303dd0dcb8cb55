import * as z from 'zod';
import { sessionStatuses } from '../session/states.ts';
import { outcome, plainText, sessionReason, text, timestamp, uuid } from './common.ts';
import { listOf } from './list.ts';
import { emailAddress, nameText, paragraphs } from './names.ts';
import { storedTranscriptEntry } from './transcript.ts';

/** Bodies and answers of the platform API, `/api`. The OpenAPI document is generated from these schemas. */

const name = nameText(200);

export const candidateInput = z.strictObject({
  name,
  email: emailAddress.optional(),
  external_id: nameText(200)
    .optional()
    .describe('Your own id of the person. Within a tenant it belongs to one candidate.'),
});
export const positionInput = z.strictObject({
  title: name,
  description: paragraphs(10_000).optional(),
});

/**
 * The voices of the provider's realtime API. Any other is refused when the session is created, not when its
 * call begins.
 */
export const voices = [
  'alloy',
  'ash',
  'ballad',
  'cedar',
  'coral',
  'echo',
  'marin',
  'sage',
  'shimmer',
  'verse',
] as const;

/**
 * What a candidate needs to be interviewed fairly. It is agreed with the candidate beforehand, and shown to them before the
 * interview. Captions and typed answers are there for everybody; a camera is recorded only with `record_video`.
 */
export const adjustments = z
  .strictObject({
    extra_time_percent: z
      .number()
      .int()
      .min(1)
      .max(100)
      .optional()
      .describe('Extra time, per cent of the maximum duration.'),
    extra_minutes: z.number().int().min(1).max(120).optional().describe('Extra time in minutes, instead of per cent.'),
    slower: z.boolean().optional().describe('The interviewer speaks slowly and in short sentences.'),
    typing: z
      .boolean()
      .optional()
      .describe('The candidate answers by typing: the field is open from the start, and the interviewer waits for it.'),
  })
  .refine((given) => given.extra_time_percent === undefined || given.extra_minutes === undefined, {
    path: ['extra_minutes'],
    message: 'give either extra_minutes or extra_time_percent',
  });
export type Adjustments = z.output<typeof adjustments>;

export const sessionSettings = z.strictObject({
  language: text(35)
    .regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'must be a language tag such as en or pt-BR')
    .optional()
    .describe("BCP 47, the interview's language. Default `en`."),
  voice: z.enum(voices).optional().describe("The provider's voice."),
  questions: z
    .array(plainText(1_000).min(1))
    .max(50)
    .optional()
    .describe(
      'Questions the interviewer should ask. Never put expected answers here: a candidate can read the instructions.',
    ),
  opening: plainText(1_000)
    .min(1)
    .optional()
    .describe("The interviewer's first words. Default: it greets the candidate by name and introduces itself."),
  turn_detection: z
    .discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('semantic_vad'),
        eagerness: z.enum(['low', 'medium', 'high', 'auto']).optional(),
      }),
      z.strictObject({
        type: z.literal('server_vad'),
        silence_duration_ms: z.number().int().min(100).max(5_000).optional().describe('Silence that ends a turn, ms.'),
        threshold: z.number().min(0).max(1).optional(),
      }),
    ])
    .optional()
    .describe(
      "How the end of the candidate's turn is detected. Default `semantic_vad` with eagerness `low`, which waits long.",
    ),
  instructions: plainText(10_000).optional().describe('Extra instructions for the interviewer.'),
  record_video: z.boolean().optional().describe("Record the candidate's video. Default false."),
  adjustments: adjustments
    .optional()
    .describe('What was agreed with the candidate, so that the interview is fair. Shown to the candidate.'),
});

export const regionCode = text(3).regex(/^[a-z]{3}$/, 'must be a region code such as fra');

const coordinates = z
  .strictObject({
    lat: z.number().min(-90).max(90).describe('Degrees.'),
    lon: z.number().min(-180).max(180),
  })
  .optional();

export const createSessionRequest = z
  .strictObject({
    candidate_id: uuid.optional(),
    candidate: candidateInput.optional(),
    position_id: uuid.optional(),
    position: positionInput.optional(),
    region: z
      .union([regionCode, z.array(regionCode).min(1).max(18)])
      .optional()
      .describe(
        'Where the candidate is: one region or several in order of preference, or `coordinates`, or a `country`. At most one of the three may be given. Default: the edge region of this request.',
      ),
    coordinates,
    country: text(2)
      .regex(/^[A-Za-z]{2}$/, 'must be a country code such as DE')
      .transform((code) => code.toUpperCase())
      .optional()
      .describe('ISO 3166-1 alpha-2.'),
    placement: z
      .enum(['now', 'on_join'])
      .optional()
      .describe(
        '`on_join`: the machine is requested when the candidate arrives (with the exchange of the invitation, or with the socket), near the candidate. Default `now`.',
      ),
    scheduled_at: timestamp
      .optional()
      .describe('The scheduled start, at most 90 days ahead; the machine is ready by then. Default: at once.'),
    admission: z
      .enum(['reject', 'queue'])
      .optional()
      .describe("At the tenant's limit: refuse with 429, or wait in a limited queue. Default `reject`."),
    max_duration_minutes: z
      .number()
      .int()
      .min(1)
      .max(180)
      .optional()
      .describe('Minutes, 1–180, without the extra time of `settings.adjustments`. With it: at most 180. Default 50.'),
    settings: sessionSettings.optional(),
    metadata: z
      .record(plainText(40), plainText(500))
      .refine((m) => Object.keys(m).length <= 16, 'must have at most 16 keys')
      .optional()
      .describe('Your own data, returned unchanged. At most 16 keys.'),
  })
  .refine((body) => body.coordinates === undefined || body.region === undefined, {
    path: ['coordinates'],
    message: 'give either region or coordinates',
  })
  .refine((body) => body.country === undefined || (body.region === undefined && body.coordinates === undefined), {
    path: ['country'],
    message: 'give one of region, coordinates and country',
  })
  .refine((body) => (body.candidate_id === undefined) !== (body.candidate === undefined), {
    path: ['candidate_id'],
    message: 'give either candidate_id or candidate',
  })
  .refine((body) => (body.position_id === undefined) !== (body.position === undefined), {
    path: ['position_id'],
    message: 'give either position_id or position',
  });
export type CreateSessionRequest = z.output<typeof createSessionRequest>;

/** `PATCH /api/sessions/{id}`: moves the start of a session that has not begun. */
export const changeSessionRequest = z.strictObject({ scheduled_at: timestamp });

/** What the session's machines used and cost, without those that still exist. */
export const sessionUsage = z.object({
  machines: z.number().int(),
  started_seconds: z.number(),
  standby_seconds: z.number(),
  cost_usd: z.number(),
  standby_cost_usd: z
    .number()
    .describe('The time as standby before the machine belonged to this session. Not included in `cost_usd`.'),
  hot_seconds: z.number(),
  hot_cost_usd: z
    .number()
    .describe('The time as a hot machine before it belonged to this session. Not included in `cost_usd`.'),
});

/** The session's place in the tenant's queue. */
export const queuePlace = z.object({
  position: z.number().int().describe('1: the next to be admitted.'),
  estimate_ms: z.number().describe('Estimated wait until it is admitted, from how fast sessions ended recently, ms.'),
  deadline: timestamp.describe('A session that is not admitted by then expires.'),
});

/** Whether a start time can be met, estimated when it was accepted. */
export const schedulePlan = z.object({
  ready_by: timestamp,
  late_by_ms: z
    .number()
    .int()
    .describe('0: in time. Otherwise more sessions are due at once than machines can be created by then.'),
});
export type SchedulePlan = z.output<typeof schedulePlan>;

export const interviewContext = z.object({
  position: z.object({ id: uuid, title: z.string(), description: z.string().nullable() }),
  candidate: z.object({ id: uuid, name: z.string(), email: z.string().nullable(), external_id: z.string().nullable() }),
});

export const sessionView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  websocket_url: z.string().describe("The candidate's socket. Never changes during the session's life."),
  join_token: z
    .string()
    .nullable()
    .describe(
      "For the first connection. Null until the session is joinable, after it has ended, and for callers without the scope `sessions:write`: its holder can take the candidate's place.",
    ),
  join_url: z.string().nullable().describe('A page for the candidate. Only in the answer that created the session.'),
  video_token: z.string().nullable(),
  interview_context: interviewContext,
  region: z.string().nullable(),
  region_reason: z
    .string()
    .nullable()
    .describe(
      'Why this region: `requested`, `coordinates`, `country`, `edge`, `default`, `health`, `standby`, `capacity`.',
    ),
  presence: z.enum(['absent', 'present', 'lost']),
  outcome: outcome.nullable(),
  reason: sessionReason.nullable(),
  reason_text: z.string().nullable().describe('The reason as a sentence.'),
  fly_machine_id: z.string().nullable(),
  epoch: z.number().int(),
  simulated: z
    .boolean()
    .describe('True when no real voice provider speaks: in local development, and in test sessions.'),
  test: z.boolean().describe('True for a session of test mode: only interviewer and candidate are synthetic.'),
  metadata: z.record(z.string(), z.string()),
  settings: z.looseObject(sessionSettings.shape),
  video_recording_url: z
    .string()
    .nullable()
    .describe('URL of the first recording. It is private and needs a token: use `…/recordings`.'),
  placement: z.enum(['now', 'on_join']),
  admission: z.enum(['reject', 'queue']),
  scheduled_at: timestamp.nullable(),
  plan: schedulePlan.nullable().describe('Only in the answer that accepted or moved a start time.'),
  queue: queuePlace.nullable().describe("Null unless the session waits at the tenant's limit."),
  usage: sessionUsage
    .nullable()
    .describe('Null until the first of its machines is gone. Only in the answer that shows one session.'),
  created_at: timestamp,
  updated_at: timestamp,
  expires_at: timestamp,
  ready_at: timestamp.nullable(),
  started_at: timestamp.nullable(),
  completed_at: timestamp.nullable(),
  consent_withdrawn_at: timestamp
    .nullable()
    .describe('When the candidate withdrew consent, which is possible after the end too.'),
});
export type SessionView = z.output<typeof sessionView>;

/**
 * A session in a list. `settings` and the position's description are only in the answer that shows one
 * session.
 */
export const sessionSummary = sessionView.omit({ settings: true }).extend({
  interview_context: interviewContext.extend({ position: interviewContext.shape.position.omit({ description: true }) }),
});

export const transcriptView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  revision: z.number().int().describe('Grows when entries arrive after the session was evaluated.'),
  complete: z.boolean(),
  simulated: z
    .boolean()
    .describe(
      'True when the local voice provider spoke instead of a real one. The text and VTT forms then begin with a note.',
    ),
  entries: z.array(storedTranscriptEntry),
  has_more: z.boolean().describe('Whether more entries follow.'),
  next_cursor: z.string().nullable().describe('Send it as `cursor` to get the next entries. Null with the last ones.'),
});

export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
  request_id: z.string(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});

export const recordingView = z.object({
  video_id: z.string(),
  watch_url: z
    .string()
    .nullable()
    .describe(
      'Plays the recording once: request a new URL for each viewing, and do not pass it on. Null while the recording cannot be played yet, and when the video provider did not answer.',
    ),
  created_at: z.string(),
  started_at: z
    .string()
    .nullable()
    .describe("When the candidate's browser began to record. Null when it did not say; `calls` is empty then."),
  calls: z
    .array(z.object({ ordinal: z.number().int(), begins_ms: z.number().int() }))
    .describe(
      'Where in the recording each call begins, ms; negative when it began before the recording. A transcript entry is at `begins_ms` of its `ordinal` plus its `start_ms`, to within a second or two.',
    ),
});
export type RecordingView = z.output<typeof recordingView>;
export const recordingList = listOf(recordingView);
