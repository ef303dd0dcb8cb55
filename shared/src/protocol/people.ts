import * as z from 'zod';
import { sessionStatuses } from '../session/states.ts';
import { outcome, plainText, sessionReason, timestamp, uuid } from './common.ts';
import { listOf } from './list.ts';
import { emailAddress, nameText, paragraphs } from './names.ts';
import { candidateInput, positionInput } from './platform-api.ts';

/** Candidates, positions, invitations and consent in the platform API. */

const candidateStatus = nameText(100);

export const createCandidateRequest = candidateInput.extend({
  status: candidateStatus.optional().describe('A status of your own, such as `screening`.'),
});
/** Absent fields stay as they are; null removes a value. */
export const changeCandidateRequest = z
  .strictObject({
    name: candidateInput.shape.name.optional(),
    email: emailAddress.nullable().optional(),
    external_id: nameText(200).nullable().optional(),
    status: candidateStatus.nullable().optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'must contain a field to change');

export const candidateView = z.object({
  id: uuid,
  name: z.string(),
  email: z.string().nullable(),
  external_id: z.string().nullable(),
  status: z.string().nullable(),
  created_at: timestamp,
  updated_at: timestamp,
});
export const candidateList = listOf(candidateView);

/**
 * `erased`: all data of the candidate are deleted here; recordings are being deleted. `ending`: live sessions
 * end first.
 */
export const erasureView = z.object({
  candidate_id: uuid,
  status: z.enum(['erased', 'ending']),
  sessions: z.number().int().nullable().describe('Number of erased sessions; null while sessions are still ending.'),
  transcript_entries: z.number().int().nullable(),
  videos: z.number().int().nullable().describe('Number of recordings that are being deleted at the video provider.'),
  ending_session_ids: z.array(uuid).describe('Sessions that must end first.'),
});

export const changePositionRequest = z
  .strictObject({
    title: positionInput.shape.title.optional(),
    description: paragraphs(10_000).nullable().optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'must contain a field to change');

export const positionView = z.object({
  id: uuid,
  title: z.string(),
  description: z.string().nullable(),
  created_at: timestamp,
  updated_at: timestamp,
});
export const positionList = listOf(positionView);

export const invitationStatuses = ['open', 'used', 'expired', 'revoked'] as const;
export const createInvitationRequest = z.strictObject({
  expires_in_minutes: z
    .number()
    .int()
    .min(1)
    .max(43_200)
    .optional()
    .describe('Lifetime of the link in minutes: 1–43,200 (30 days). Default: as long as an unused session lives.'),
});
export const invitationView = z.object({
  id: uuid,
  session_id: uuid,
  status: z.enum(invitationStatuses),
  created_at: timestamp,
  expires_at: timestamp,
  used_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
  replaces: uuid.nullable().describe('The invitation that this one replaces.'),
});
export type InvitationView = z.output<typeof invitationView>;
export const invitationList = listOf(invitationView);
/** The link is shown once, because only a hash of its code is stored. */
export const newInvitationView = invitationView.extend({ join_url: z.string() });

/**
 * A code with which an interview continues in another browser: six digits, valid for ten minutes and five
 * tries.
 */
export const handoverCode = z.string().regex(/^\d{6}$/, 'must be 6 digits');

export const withdrawalEffect = z
  .enum(['erase_interview', 'erase_candidate', 'review'])
  .describe(
    'What follows when consent is withdrawn. `erase_interview`: transcript, recordings and evaluation are erased. ' +
      '`erase_candidate`: all data of the candidate. `review`: an operator decides.',
  );
const withdrawalFields = {
  effect: withdrawalEffect,
  settled_at: timestamp
    .nullable()
    .describe('When what follows was done: the erasure, or the decision to keep the interview.'),
};

/** The candidate's consent that the tenant requires. Shown to the holder of a valid invitation. */
export const consentView = z.object({
  required: z.boolean(),
  text_version: z.string().nullable(),
  text: z.string().nullable().describe('Null when the tenant keeps its text elsewhere.'),
  given_at: timestamp.nullable(),
  withdrawal: z.object({ ...withdrawalFields, withdrawn_at: timestamp.nullable() }),
});

/** How a session ended, or will end as soon as its worker has carried it out. */
export const endingView = z.object({ outcome, reason: sessionReason });

/** The answer to a candidate who withdrew consent. */
export const withdrawnView = z.object({ ...withdrawalFields, withdrawn_at: timestamp, ending: endingView });
/** A withdrawal of consent, as operators see it. */
export const withdrawalView = withdrawnView.extend({
  session_id: uuid,
  tenant_id: uuid,
  candidate_id: uuid,
  status: z.enum(sessionStatuses),
});
export type WithdrawalView = z.output<typeof withdrawalView>;
export const withdrawalList = listOf(withdrawalView);
export const decideWithdrawalRequest = z.strictObject({
  decision: z.enum(['keep', 'erase_interview', 'erase_candidate']),
  why: plainText(500).min(1).describe('For the audit log.'),
});

/** What a candidate sees before joining. Reading it does not bind the session to the browser. */
export const lookView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  starts_at: timestamp.nullable().describe('The scheduled start; null: at once.'),
  now: timestamp.describe("The server's time, because the clock of a device may be wrong."),
  joinable: z.boolean(),
  organiser: z.string(),
  position: z.object({ title: z.string() }),
  candidate: z.object({ name: z.string() }),
  minutes: z.number().describe('Maximum duration, the extra time included.'),
  adjustments: z.object({
    extra_minutes: z.number().describe('0: no extra time.'),
    slower: z.boolean(),
    typing: z.boolean(),
  }),
  records_video: z.boolean(),
  simulated: z.boolean(),
  consent: consentView,
  ending: endingView.nullable().describe("Null until the session's end is decided."),
  bound: z
    .enum(['no', 'here', 'elsewhere'])
    .describe('`elsewhere`: another browser has joined; a hand-over code is needed.'),
});
