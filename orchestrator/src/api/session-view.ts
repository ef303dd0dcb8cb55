import type { SchedulePlan } from '@greenroom/shared/protocol/platform-api.ts';
import type { ShownSession, ShownSummary } from '@greenroom/shared/protocol/session-reads.ts';
import { sessionReasons } from '@greenroom/shared/session/reasons.ts';
import { sessionRanks } from '@greenroom/shared/session/states.ts';
import type { Caller } from '../access/caller.ts';
import type { SessionRow } from '../database/rows.ts';
import type { BrowserTokens } from '../tokens/browser-tokens.ts';
import { viewResult } from './result-view.ts';

/**
 * A session can be joined from the moment its machine is requested until it ends; the edge waits for the
 * worker. A pending session with placement `on_join` can be joined too, because joining starts it.
 */
export const isJoinable = ({ status, placement, queue }: SessionRow): boolean =>
  (sessionRanks[status] >= sessionRanks.provisioning && sessionRanks[status] < sessionRanks.finalizing) ||
  (status === 'pending' && placement === 'on_join' && queue === null);

/** The URL of the candidate's socket. It does not change during the life of the session. */
export const websocketUrl = (publicUrl: string, sessionId: string): string =>
  `${publicUrl.replace(/^http/, 'ws')}/ws/sessions/${sessionId}`;

/** The code is in the fragment, which browsers do not send, so it never gets into a server log. */
export const joinUrl = (publicUrl: string, sessionId: string, code: string): string =>
  `${publicUrl}/join/${sessionId}#${code}`;

export interface ViewDeps {
  publicUrl: string;
  browserTokens: Pick<BrowserTokens, 'mintJoin'>;
}

/**
 * Whether a caller may see the join token. Its holder can take the candidate's place and end the interview, so
 * it is shown only to callers who may end the session anyway.
 */
export const mayJoin = ({ scopes }: Pick<Caller, 'scopes'>): boolean => scopes.includes('sessions:write');

/** Values that only the response to one request shows. */
export interface ViewExtras {
  invitationCode?: string | undefined;
  plan?: SchedulePlan | null | undefined;
}

/** Only what was asked for: undefined fields are not sent. */
const viewExpansions = ({ result, candidate, position }: SessionRow) => ({
  ...(result === undefined ? {} : { result: result === null ? null : viewResult(result) }),
  ...(candidate === undefined ? {} : { candidate }),
  ...(position === undefined || position === null ? {} : { position }),
});

/** A session as the platform API shows it. Tokens are minted for each response and not stored. */
export async function viewSession(
  row: SessionRow,
  caller: Pick<Caller, 'scopes'>,
  { publicUrl, browserTokens }: ViewDeps,
  { invitationCode, plan = null }: ViewExtras = {},
): Promise<ShownSession> {
  const { tenant_id, max_duration_ms, end_requested_at, transcript_revision, transcript_complete, ...rest } = row;
  const { result, candidate, position, ...shown } = rest;
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
    ...viewExpansions(row),
  };
}

/** A session as lists show it: without the large fields. */
export async function summarise(
  row: SessionRow,
  caller: Pick<Caller, 'scopes'>,
  deps: ViewDeps,
): Promise<ShownSummary> {
  const { settings: _settings, interview_context, ...shown } = await viewSession(row, caller, deps);
  const { candidate, position } = interview_context;
  return { ...shown, interview_context: { candidate, position: { id: position.id, title: position.title } } };
}
