import * as z from 'zod';
import { sessionStatuses } from '../session/states.ts';
import { timestamp, uuid } from './common.ts';
import { emailAddress, nameText, paragraphs } from './names.ts';
import { candidateInput, positionInput } from './platform-api.ts';

/** Candidates, positions, invitations and consent, as the platform API speaks of them. */

const candidateStatus = nameText(100);

export const createCandidateRequest = candidateInput.extend({
  /** Yours, such as `screening`. */
  status: candidateStatus.optional(),
});
/** Fields that are not given stay; null takes a field away. */
export const changeCandidateRequest = z
  .strictObject({
    name: candidateInput.shape.name.optional(),
    email: emailAddress.nullable().optional(),
    external_id: nameText(200).nullable().optional(),
    status: candidateStatus.nullable().optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'name a field to change');

export const candidateView = z.object({
  id: uuid,
  name: z.string(),
  email: z.string().nullable(),
  external_id: z.string().nullable(),
  status: z.string().nullable(),
  created_at: timestamp,
  updated_at: timestamp,
});
export const candidateList = z.object({ candidates: z.array(candidateView), next_cursor: z.string().nullable() });

/** `erased`: nothing of the candidate is left here; recordings are being deleted. `ending`: live sessions end first. */
export const erasureView = z.object({
  candidate_id: uuid,
  status: z.enum(['erased', 'ending']),
  /** Erased with the candidate; null while sessions end. */
  sessions: z.number().int().nullable(),
  transcript_entries: z.number().int().nullable(),
  /** Recordings that are being deleted at the video provider. */
  videos: z.number().int().nullable(),
  /** Sessions that must end first. */
  ending_session_ids: z.array(uuid),
});

export const changePositionRequest = z
  .strictObject({
    title: positionInput.shape.title.optional(),
    description: paragraphs(10_000).nullable().optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'name a field to change');

export const positionView = z.object({
  id: uuid,
  title: z.string(),
  description: z.string().nullable(),
  created_at: timestamp,
  updated_at: timestamp,
});
export const positionList = z.object({ positions: z.array(positionView), next_cursor: z.string().nullable() });

export const invitationStatuses = ['open', 'used', 'expired', 'revoked'] as const;
export const createInvitationRequest = z.strictObject({
  /** How long the link is good, minutes: 1–43,200 (30 days). Default: as long as an unused session lives. */
  expires_in_minutes: z.number().int().min(1).max(43_200).optional(),
});
export const invitationView = z.object({
  id: uuid,
  session_id: uuid,
  status: z.enum(invitationStatuses),
  created_at: timestamp,
  expires_at: timestamp,
  used_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
  /** The invitation it was sent in place of. */
  replaces: uuid.nullable(),
});
export type InvitationView = z.output<typeof invitationView>;
/** The link is shown once: only a hash of its code is stored. */
export const newInvitationView = invitationView.extend({ join_url: z.string() });

/** Codes by which an interview is continued in another browser: six digits, good for ten minutes and five tries. */
export const handoverCode = z.string().regex(/^\d{6}$/, 'must be 6 digits');

/** Consent of the candidate, asked for by the tenant. Shown to who holds a valid invitation. */
export const consentView = z.object({
  required: z.boolean(),
  text_version: z.string().nullable(),
  /** Null when the tenant keeps its text elsewhere. */
  text: z.string().nullable(),
  given_at: timestamp.nullable(),
});

/** What a candidate sees before joining. Looking binds nothing. */
export const lookView = z.object({
  session_id: uuid,
  status: z.enum(sessionStatuses),
  /** When it is due; null: at once. */
  starts_at: timestamp.nullable(),
  /** The service's clock: a device's own may be wrong. */
  now: timestamp,
  joinable: z.boolean(),
  organiser: z.string(),
  position: z.object({ title: z.string() }),
  candidate: z.object({ name: z.string() }),
  /** The longest it may last. */
  minutes: z.number(),
  records_video: z.boolean(),
  simulated: z.boolean(),
  consent: consentView,
  /** `elsewhere`: another browser has joined; a hand-over code is needed. */
  bound: z.enum(['no', 'here', 'elsewhere']),
});
