import type { ErrorCode } from '@greenroom/shared/errors/codes.ts';

/** The operations of the platform API: the name that generated clients use, its tag, and its own error codes. */
export interface OperationInfo {
  id: string;
  tag: (typeof tags)[number]['name'];
  /** Codes beyond those that every operation of its kind has (openapi.ts). */
  codes?: ErrorCode[];
  /** Media types of the answer, beside JSON where the route declares a schema. */
  media?: string[];
}

export const tags = [
  { name: 'Sessions', description: 'Create, follow, reschedule and end interviews.' },
  { name: 'Results', description: 'What an interview left: transcript, result and recordings.' },
  { name: 'Invitations', description: 'Links for candidates.' },
  { name: 'Candidates', description: 'The people who are interviewed.' },
  { name: 'Positions', description: 'What they are interviewed for.' },
  { name: 'Webhooks', description: 'Events delivered to a URL of yours.' },
  { name: 'Tenants', description: 'A tenant, its limits, members, keys, capacity and cost.' },
  { name: 'Test mode', description: 'Sessions with simulated candidates, apart from live ones.' },
  { name: 'Join', description: 'For the candidate’s page: the holder of an invitation needs no API key.' },
] as const;

const creation: ErrorCode[] = [
  'candidate_conflict',
  'tenant_quota_exceeded',
  'queue_full',
  'no_capacity',
  'database_unavailable',
];
const link: ErrorCode[] = ['invitation_invalid', 'invitation_used', 'session_ended'];

/** By method and path as registered. A route under `/api` without a row stops the process at start-up. */
export const operations: Readonly<Record<string, OperationInfo>> = {
  'POST /api/sessions': { id: 'createSession', tag: 'Sessions', codes: creation },
  'GET /api/sessions': { id: 'listSessions', tag: 'Sessions' },
  'GET /api/sessions/:id': { id: 'getSession', tag: 'Sessions' },
  'PATCH /api/sessions/:id': { id: 'rescheduleSession', tag: 'Sessions', codes: ['conflict', 'session_ended'] },
  'DELETE /api/sessions/:id': { id: 'endSession', tag: 'Sessions' },
  'GET /api/events': { id: 'streamEvents', tag: 'Sessions', media: ['text/event-stream'] },
  'GET /api/sessions/:id/events': { id: 'streamSessionEvents', tag: 'Sessions', media: ['text/event-stream'] },
  'GET /api/sessions/:id/transcript': { id: 'getTranscript', tag: 'Results', media: ['text/plain', 'text/vtt'] },
  'GET /api/sessions/:id/result': { id: 'getResult', tag: 'Results' },
  'PATCH /api/sessions/:id/result': { id: 'reviewResult', tag: 'Results', codes: ['conflict'] },
  'POST /api/sessions/:id/result/rerun': { id: 'rerunResult', tag: 'Results', codes: ['conflict'] },
  'GET /api/sessions/:id/recordings': { id: 'listRecordings', tag: 'Results' },
  'DELETE /api/sessions/:id/recordings/:video': { id: 'deleteRecording', tag: 'Results' },
  'POST /api/sessions/:id/invitations': { id: 'createInvitation', tag: 'Invitations', codes: ['session_ended'] },
  'GET /api/sessions/:id/invitations': { id: 'listInvitations', tag: 'Invitations' },
  'POST /api/sessions/:id/invitations/:invitation/resend': {
    id: 'resendInvitation',
    tag: 'Invitations',
    codes: ['session_ended'],
  },
  'DELETE /api/sessions/:id/invitations/:invitation': { id: 'revokeInvitation', tag: 'Invitations' },
  'POST /api/candidates': { id: 'createCandidate', tag: 'Candidates', codes: ['conflict'] },
  'GET /api/candidates': { id: 'listCandidates', tag: 'Candidates' },
  'GET /api/candidates/:id': { id: 'getCandidate', tag: 'Candidates' },
  'PATCH /api/candidates/:id': { id: 'updateCandidate', tag: 'Candidates', codes: ['conflict'] },
  'DELETE /api/candidates/:id': { id: 'eraseCandidate', tag: 'Candidates' },
  'GET /api/withdrawals': { id: 'listWithdrawals', tag: 'Candidates' },
  'POST /api/withdrawals/:id': { id: 'decideWithdrawal', tag: 'Candidates', codes: ['conflict'] },
  'POST /api/positions': { id: 'createPosition', tag: 'Positions' },
  'GET /api/positions': { id: 'listPositions', tag: 'Positions' },
  'GET /api/positions/:id': { id: 'getPosition', tag: 'Positions' },
  'PATCH /api/positions/:id': { id: 'updatePosition', tag: 'Positions' },
  'POST /api/webhooks': { id: 'createWebhook', tag: 'Webhooks', codes: ['conflict'] },
  'GET /api/webhooks': { id: 'listWebhooks', tag: 'Webhooks' },
  'GET /api/webhooks/:id': { id: 'getWebhook', tag: 'Webhooks' },
  'PATCH /api/webhooks/:id': { id: 'updateWebhook', tag: 'Webhooks' },
  'DELETE /api/webhooks/:id': { id: 'deleteWebhook', tag: 'Webhooks' },
  'POST /api/webhooks/:id/rotate-secret': { id: 'rotateWebhookSecret', tag: 'Webhooks' },
  'POST /api/webhooks/:id/test': { id: 'testWebhook', tag: 'Webhooks' },
  'GET /api/webhooks/:id/deliveries': { id: 'listDeliveries', tag: 'Webhooks' },
  'GET /api/webhooks/:id/deliveries/:delivery': { id: 'getDelivery', tag: 'Webhooks' },
  'POST /api/webhooks/:id/deliveries/:delivery/replay': {
    id: 'replayDelivery',
    tag: 'Webhooks',
    codes: ['conflict'],
  },
  'POST /api/tenants': { id: 'createTenant', tag: 'Tenants', codes: ['conflict'] },
  'GET /api/tenants': { id: 'listTenants', tag: 'Tenants' },
  'GET /api/tenants/:id': { id: 'getTenant', tag: 'Tenants' },
  'PATCH /api/tenants/:id': { id: 'updateTenant', tag: 'Tenants', codes: ['conflict'] },
  'DELETE /api/tenants/:id': { id: 'removeTenant', tag: 'Tenants' },
  'PUT /api/tenants/:id/apps': { id: 'setTenantApps', tag: 'Tenants' },
  'PUT /api/tenants/:id/pools/:region': { id: 'setTenantPool', tag: 'Tenants' },
  'PUT /api/tenants/:id/users/:user': { id: 'setTenantMember', tag: 'Tenants' },
  'DELETE /api/tenants/:id/users/:user': { id: 'removeTenantMember', tag: 'Tenants' },
  'GET /api/tenants/:id/pool': { id: 'getTenantPool', tag: 'Tenants' },
  'GET /api/tenants/:id/usage': { id: 'getTenantUsage', tag: 'Tenants' },
  'POST /api/tenants/:id/api-keys': { id: 'createApiKey', tag: 'Tenants' },
  'GET /api/tenants/:id/api-keys': { id: 'listApiKeys', tag: 'Tenants' },
  'POST /api/tenants/:id/api-keys/:key/rotate': { id: 'rotateApiKey', tag: 'Tenants', codes: ['conflict'] },
  'DELETE /api/tenants/:id/api-keys/:key': { id: 'revokeApiKey', tag: 'Tenants' },
  'POST /api/tenants/:id/test-keys': { id: 'createTestKey', tag: 'Test mode', codes: ['conflict'] },
  'POST /api/test/sessions/:id/simulate': {
    id: 'simulateCandidate',
    tag: 'Test mode',
    codes: ['conflict', 'session_ended'],
  },
  'GET /api/test/sessions/:id/simulation': { id: 'getSimulation', tag: 'Test mode' },
  'GET /api/me': { id: 'getMe', tag: 'Tenants' },
  'GET /api/requests': { id: 'listRequests', tag: 'Tenants' },
  'GET /api/tenants/:id/audit-log': { id: 'listAuditLog', tag: 'Tenants' },
  'GET /api/tenants/:id/provider-credentials': { id: 'listProviderCredentials', tag: 'Tenants' },
  'PUT /api/tenants/:id/provider-credentials/:provider': { id: 'setProviderCredential', tag: 'Tenants' },
  'DELETE /api/tenants/:id/provider-credentials/:provider': { id: 'deleteProviderCredential', tag: 'Tenants' },
  'GET /api/join': { id: 'lookAtInvitation', tag: 'Join', codes: link },
  'POST /api/join': { id: 'join', tag: 'Join', codes: [...link, 'not_joinable', 'consent_required'] },
  'POST /api/join/handover': { id: 'offerHandover', tag: 'Join', codes: link },
  'POST /api/join/continue': { id: 'continueElsewhere', tag: 'Join', codes: [...link, 'handover_refused'] },
  'GET /api/join/consent': { id: 'getConsent', tag: 'Join', codes: link },
  'POST /api/join/consent': { id: 'giveConsent', tag: 'Join', codes: [...link, 'conflict'] },
  'POST /api/join/decline': { id: 'declineConsent', tag: 'Join', codes: [...link, 'conflict'] },
  'GET /api/join/transcript': {
    id: 'getOwnTranscript',
    tag: 'Join',
    codes: ['invitation_invalid', 'invitation_used', 'conflict'],
  },
  'POST /api/join/correct': { id: 'correctEntry', tag: 'Join', codes: [...link, 'not_found', 'conflict'] },
  'POST /api/join/withdraw': {
    id: 'withdrawConsent',
    tag: 'Join',
    codes: ['invitation_invalid', 'invitation_used', 'conflict'],
  },
};
