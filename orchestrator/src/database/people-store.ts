import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import {
  candidateView,
  consentView,
  endingView,
  invitationView,
  positionView,
  withdrawalView,
} from '@greenroom/shared/protocol/people.ts';
import { z } from 'zod';
import type { ActBy } from './audit-store.ts';
import { type Page, pageOf } from './page.ts';
import { sessionRow } from './rows.ts';
import { machineOfEnd } from './session-store.ts';

/** Candidates, positions, invitations, consent, erasure. Throws DatabaseError; refusals are values. */
const notFound = z.object({ kind: z.literal('not_found') });
const changedMeanwhile = z.object({ kind: z.literal('changed_meanwhile') });
const conflict = z.object({ kind: z.literal('conflict'), fields: z.array(z.string()) });

const createdCandidate = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('created'), candidate: candidateView }),
  conflict,
]);
const changedCandidate = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('changed'), candidate: candidateView }),
  changedMeanwhile,
  conflict,
  notFound,
]);
const changedPosition = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('changed'), position: positionView }),
  changedMeanwhile,
  notFound,
]);
const erased = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('erased'),
    sessions: z.number(),
    transcript_entries: z.number(),
    videos: z.array(z.string()),
  }),
  z.object({ kind: z.literal('ending'), session_ids: z.array(z.string()) }),
  notFound,
]);
export type Erased = z.output<typeof erased>;

const invited = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('created'), invitation: invitationView }),
  z.object({ kind: z.literal('limit_exceeded'), limit: z.number() }),
  z.object({ kind: z.literal('ended') }),
  notFound,
]);
const revoked = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('revoked'), invitation: invitationView }),
  notFound,
]);
const readConsent = z.discriminatedUnion('kind', [
  consentView.extend({ kind: z.literal('found') }),
  z.object({ kind: z.literal('invalid') }),
]);
const gaveConsent = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('recorded'), given_at: z.string() }),
  z.object({ kind: z.literal('other_version'), text_version: z.string().nullable() }),
  z.object({ kind: z.literal('ended') }),
  z.object({ kind: z.literal('invalid') }),
  z.object({ kind: z.literal('used') }),
  notFound,
]);
const declined = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('declined'), session: sessionRow, machines: z.array(machineOfEnd) }),
  z.object({ kind: z.enum(['given', 'not_required', 'ended', 'invalid', 'used']) }),
]);
const correctedEntry = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('corrected'), corrected_at: z.string().nullable() }),
  z.object({ kind: z.literal('limit_exceeded'), limit: z.number() }),
  z.object({ kind: z.enum(['not_ended', 'unknown_entry', 'erased', 'invalid', 'used']) }),
]);
const withdrawn = z.discriminatedUnion('kind', [
  withdrawalView.extend({ kind: z.literal('withdrawn'), machines: z.array(machineOfEnd) }),
  z.object({ kind: z.enum(['not_given', 'not_required', 'invalid', 'used']) }),
]);
const decided = z.discriminatedUnion('kind', [
  withdrawalView.extend({ kind: z.enum(['decided', 'already']) }),
  notFound,
]);
const looked = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('invalid') }),
  z.object({
    kind: z.literal('found'),
    session: sessionRow,
    organiser: z.string(),
    starts_at: z.string().nullable(),
    records_video: z.boolean(),
    consent: consentView,
    ending: endingView.nullable(),
    now: z.string(),
    bound: z.enum(['no', 'here', 'elsewhere']),
  }),
]);
const offered = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('invalid') }),
  z.object({ kind: z.literal('offered'), expires_at: z.string() }),
]);
const moved = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('invalid') }),
  z.object({ kind: z.literal('wrong'), tries_left: z.number().int() }),
  z.object({ kind: z.literal('moved') }),
]);
const joined = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('invalid') }),
  z.object({ kind: z.literal('used') }),
  z.object({ kind: z.literal('ended'), session: sessionRow }),
  z.object({ kind: z.literal('consent_required'), text_version: z.string() }),
  z.object({ kind: z.literal('accepted'), session: sessionRow }),
]);

export interface Correction {
  ordinal: number;
  itemId: string;
  /** Null removes the correction. */
  correction: string | null;
}

export interface NewInvitation {
  tenantId: string;
  codeHash: string;
  expiresMs: number;
  by: ActBy;
}

export type PeopleStore = ReturnType<typeof createPeopleStore>;

export function createPeopleStore(database: Database) {
  const call = callerOf(database);
  return {
    createCandidate: (tenantId: string, candidate: object) =>
      call('create_candidate', { p_tenant_id: tenantId, p_candidate: candidate }, createdCandidate),
    candidate: async (tenantId: string, id: string) =>
      (await call('get_candidate', { p_tenant_id: tenantId, p_candidate_id: id }, candidateView.nullable())) ??
      undefined,
    /** Newest first. @param search part of a name, a whole e-mail or external id. */
    candidates: (page: Page, search?: string) =>
      call('list_candidates', { ...pageOf(page), p_search: search ?? null }, z.array(candidateView)),
    changeCandidate: (tenantId: string, id: string, changes: object, ifUpdatedAt?: string) =>
      call(
        'change_candidate',
        { p_tenant_id: tenantId, p_candidate_id: id, p_changes: changes, p_if_updated_at: ifUpdatedAt ?? null },
        changedCandidate,
      ),

    /** Stores the request; `erase` carries it out. */
    requestErasure: async (tenantId: string, id: string, by: ActBy): Promise<boolean> =>
      (
        await call(
          'request_erasure',
          { p_tenant_id: tenantId, p_candidate_id: id, p_by: by },
          z.object({ kind: z.enum(['requested', 'not_found']) }),
        )
      ).kind === 'requested',
    erase: (tenantId: string, id: string, by: object): Promise<Erased> =>
      call('erase_candidate', { p_tenant_id: tenantId, p_candidate_id: id, p_by: by }, erased),
    erasuresRequested: () =>
      call(
        'erasures_requested',
        {},
        z.array(z.object({ tenant_id: z.string(), candidate_id: z.string(), by: z.looseObject({}) })),
      ),

    createPosition: async (tenantId: string, position: object) =>
      (
        await call(
          'create_position',
          { p_tenant_id: tenantId, p_position: position },
          z.object({ kind: z.literal('created'), position: positionView }),
        )
      ).position,
    position: async (tenantId: string, id: string) =>
      (await call('get_position', { p_tenant_id: tenantId, p_position_id: id }, positionView.nullable())) ?? undefined,
    positions: (page: Page) => call('list_positions', pageOf(page), z.array(positionView)),
    changePosition: (tenantId: string, id: string, changes: object, ifUpdatedAt?: string) =>
      call(
        'change_position',
        { p_tenant_id: tenantId, p_position_id: id, p_changes: changes, p_if_updated_at: ifUpdatedAt ?? null },
        changedPosition,
      ),

    invite: (sessionId: string, { tenantId, codeHash, expiresMs, by }: NewInvitation) =>
      call(
        'create_invitation',
        { p_session_id: sessionId, p_tenant_id: tenantId, p_code_hash: codeHash, p_expires_ms: expiresMs, p_by: by },
        invited,
      ),
    resendInvitation: (sessionId: string, id: string, { tenantId, codeHash, expiresMs, by }: NewInvitation) =>
      call(
        'resend_invitation',
        {
          ...{ p_session_id: sessionId, p_invitation_id: id, p_tenant_id: tenantId },
          ...{ p_code_hash: codeHash, p_expires_ms: expiresMs, p_by: by },
        },
        invited,
      ),
    revokeInvitation: (sessionId: string, id: string, tenantId: string, by: ActBy) =>
      call(
        'revoke_invitation',
        { p_session_id: sessionId, p_invitation_id: id, p_tenant_id: tenantId, p_by: by },
        revoked,
      ),
    invitations: (sessionId: string, tenantId: string) =>
      call('list_invitations', { p_session_id: sessionId, p_tenant_id: tenantId }, z.array(invitationView)),

    /** Exchanges an invitation code that a browser presents. */
    join: (sessionId: string, codeHash: string, browserHash: string) =>
      call('join_session', { p_session_id: sessionId, p_code_hash: codeHash, p_browser_hash: browserHash }, joined),
    /** Reads an invitation without binding it. */
    look: (sessionId: string, codeHash: string, browserHash: string) =>
      call(
        'look_at_invitation',
        { p_session_id: sessionId, p_code_hash: codeHash, p_browser_hash: browserHash },
        looked,
      ),
    /** Creates a short code with which another browser can continue. */
    offerHandover: (
      sessionId: string,
      codeHash: string,
      browserHash: string,
      handoverHash: string,
      expiresMs: number,
    ) =>
      call(
        'offer_handover',
        {
          p_session_id: sessionId,
          p_code_hash: codeHash,
          p_browser_hash: browserHash,
          p_handover_hash: handoverHash,
          p_expires_ms: expiresMs,
        },
        offered,
      ),
    takeHandover: (sessionId: string, codeHash: string, browserHash: string, handoverHash: string, by: ActBy) =>
      call(
        'take_handover',
        {
          p_session_id: sessionId,
          p_code_hash: codeHash,
          p_browser_hash: browserHash,
          p_handover_hash: handoverHash,
          p_by: by,
        },
        moved,
      ),
    readConsent: (sessionId: string, codeHash: string) =>
      call('read_consent', { p_session_id: sessionId, p_code_hash: codeHash }, readConsent),
    giveConsent: (sessionId: string, codeHash: string, browserHash: string, textVersion: string, addressHash: string) =>
      call(
        'give_consent',
        {
          p_session_id: sessionId,
          p_code_hash: codeHash,
          p_browser_hash: browserHash,
          p_text_version: textVersion,
          p_remote_address_hash: addressHash,
        },
        gaveConsent,
      ),
    /** Stores what a candidate says they really said in one of their entries. */
    correctEntry: (
      sessionId: string,
      codeHash: string,
      browserHash: string,
      { ordinal, itemId, correction }: Correction,
    ) =>
      call(
        'correct_entry',
        {
          ...{ p_session_id: sessionId, p_code_hash: codeHash, p_browser_hash: browserHash },
          ...{ p_ordinal: ordinal, p_item_id: itemId, p_correction: correction },
        },
        correctedEntry,
      ),
    /** Ends the session of a candidate who does not consent. */
    declineConsent: (sessionId: string, codeHash: string, browserHash: string) =>
      call(
        'decline_consent',
        { p_session_id: sessionId, p_code_hash: codeHash, p_browser_hash: browserHash },
        declined,
      ),
    /** Ends the session of a candidate who withdraws consent, and does what the tenant wants to follow. */
    withdrawConsent: (sessionId: string, codeHash: string, browserHash: string, by: ActBy) =>
      call(
        'withdraw_consent',
        { p_session_id: sessionId, p_code_hash: codeHash, p_browser_hash: browserHash, p_by: by },
        withdrawn,
      ),
    /** Erases interviews whose candidates withdrew consent. @returns how many */
    eraseWithdrawn: () => call('erase_withdrawn', {}, z.number().int()),
    /** Withdrawals of all tenants that are not settled, newest first. */
    withdrawals: ({ limit, before }: Omit<Page, 'tenantId'>) =>
      call(
        'list_withdrawals',
        { p_limit: limit, p_before: before?.createdAt ?? null, p_before_id: before?.id ?? null },
        z.array(withdrawalView),
      ),
    decideWithdrawal: (sessionId: string, decision: string, why: string, by: ActBy) =>
      call('decide_withdrawal', { p_session_id: sessionId, p_decision: decision, p_why: why, p_by: by }, decided),
  };
}
