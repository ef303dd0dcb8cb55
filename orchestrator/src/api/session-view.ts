import type { SchedulePlan, SessionSummary, SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { sessionReasons } from '@greenroom/shared/session/reasons.ts';
import { sessionRanks } from '@greenroom/shared/session/states.ts';
import type { Caller } from '../access/caller.ts';
import type { SessionRow } from '../database/rows.ts';
import type { BrowserTokens } from '../tokens/browser-tokens.ts';

/**
 * A session can be joined from when its machine is asked for until it ends: the edge waits for the worker. One that waits
 * for its candidate can be joined too: that is what it waits for.
 */
export const isJoinable = ({ status, placement, queue }: SessionRow): boolean =>
  (sessionRanks[status] >= sessionRanks.provisioning && sessionRanks[status] < sessionRanks.finalizing) ||
  (status === 'pending' && placement === 'on_join' && queue === null);

/** The candidate's socket. Never changes for the life of the session. */
export const websocketUrl = (publicUrl: string, sessionId: string): string =>
  `${publicUrl.replace(/^http/, 'ws')}/ws/sessions/${sessionId}`;

/** The code stands in the fragment: it never reaches a server's log. */
export const joinUrl = (publicUrl: string, sessionId: string, code: string): string =>
  `${publicUrl}/join/${sessionId}#${code}`;

export interface ViewDeps {
  publicUrl: string;
  browserTokens: Pick<BrowserTokens, 'mintJoin'>;
}

/**
 * The join token opens the candidate's place in the room: who holds it can take that place and end the interview. So it is
 * shown only to callers who may end the session anyway.
 */
export const mayJoin = ({ scopes }: Pick<Caller, 'scopes'>): boolean => scopes.includes('sessions:write');

/** What only the answer to one request shows. */
export interface ViewExtras {
  invitationCode?: string | undefined;
  plan?: SchedulePlan | null | undefined;
}

/** A session as the platform API shows it. Tokens are minted for each answer and never stored. */
export async function viewSession(
  row: SessionRow,
  caller: Pick<Caller, 'scopes'>,
  { publicUrl, browserTokens }: ViewDeps,
  { invitationCode, plan = null }: ViewExtras = {},
): Promise<SessionView> {
  const { tenant_id, max_duration_ms, end_requested_at, transcript_revision, transcript_complete, ...shown } = row;
  const ids = { session_id: row.session_id, tenant_id };
  return {
    ...shown,
    plan,
    usage: row.usage ?? null,
    websocket_url: websocketUrl(publicUrl, row.session_id),
    join_token: isJoinable(row) && mayJoin(caller) ? await browserTokens.mintJoin(ids) : null,
    join_url: invitationCode === undefined ? null : joinUrl(publicUrl, row.session_id, invitationCode),
    video_token: null,
    reason_text: row.reason === null ? null : sessionReasons[row.reason].text,
  };
}

/** A session as it stands in a list: without what is large. */
export async function summarise(
  row: SessionRow,
  caller: Pick<Caller, 'scopes'>,
  deps: ViewDeps,
): Promise<SessionSummary> {
  const { settings: _settings, interview_context, ...shown } = await viewSession(row, caller, deps);
  const { candidate, position } = interview_context;
  return { ...shown, interview_context: { candidate, position: { id: position.id, title: position.title } } };
}
