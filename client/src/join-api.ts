import type { IceServer, SpokenEntry, WithdrawalEffect } from './types.ts';

/**
 * `/api/join` from the browser. An answer counts only if the service wrote it: JSON with the expected fields, or
 * an RFC 9457 problem document with a code. A proxy's page, a captive portal or a network error is `away`; the
 * request can be retried.
 */
export interface Invitation {
  session_id: string;
  code: string;
  /** A secret of this browser. */
  browser: string;
}

export interface Joined {
  session_id: string;
  websocket_url: string;
  join_token: string;
  simulated: boolean;
  /** Relays for the peer connection. Older services do not send it: the relays are then in `session_ready`. */
  ice_servers?: IceServer[];
  interview_context: { position: { title: string }; candidate: { name: string } };
}

/** The result of one request. A `passing` refusal can be retried, after `retryAfterMs` if the service names it. */
export type JoinAnswer<T> =
  | { kind: 'done'; body: T }
  | { kind: 'refused'; code: string; passing: boolean; requestId: string | undefined; retryAfterMs: number | undefined }
  | { kind: 'away' };

interface Ending {
  ending: { outcome: string; reason: string };
}

export interface Looked {
  status: string;
  starts_at: string | null;
  now: string;
  joinable: boolean;
  organiser: string;
  position: { title: string };
  candidate: { name: string };
  minutes: number;
  records_video: boolean;
  simulated: boolean;
  consent: {
    required: boolean;
    text_version: string | null;
    text: string | null;
    given_at: string | null;
    withdrawal: { effect: WithdrawalEffect; withdrawn_at: string | null };
  };
  ending: { outcome: string; reason: string } | null;
  adjustments: { extra_minutes: number; slower: boolean; typing: boolean };
  bound: 'no' | 'here' | 'elsewhere';
}

export interface EntryId {
  ordinal: number;
  item_id: string;
}

export interface JoinApi {
  look(invitation: Invitation): Promise<JoinAnswer<Looked>>;
  handover(invitation: Invitation): Promise<JoinAnswer<{ handover_code: string; expires_at: string }>>;
  continueHere(invitation: Invitation, handoverCode: string): Promise<JoinAnswer<{ bound: string }>>;
  join(invitation: Invitation): Promise<JoinAnswer<Joined>>;
  consent(invitation: Invitation, textVersion: string): Promise<JoinAnswer<{ given_at: string }>>;
  decline(invitation: Invitation): Promise<JoinAnswer<Ending>>;
  withdraw(invitation: Invitation): Promise<JoinAnswer<Ending>>;
  /** After the end. */
  transcript(
    invitation: Invitation,
  ): Promise<JoinAnswer<{ entries: Array<SpokenEntry & { correction: string | null }> }>>;
  correct(
    invitation: Invitation,
    entry: EntryId,
    correction: string | null,
  ): Promise<JoinAnswer<{ corrected_at: string }>>;
}

const requestMs = 15_000;
/** Statuses of temporary refusals. The code `not_joinable` is temporary too. */
const passingStatuses = [408, 429, 500, 502, 503, 504];

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

async function readObject(answer: Response): Promise<Json | undefined> {
  const body: unknown = await answer.json().catch(() => undefined);
  return isObject(body) ? body : undefined;
}

function refusalOf(answer: Response, body: Json): JoinAnswer<never> | undefined {
  if (typeof body.code !== 'string') return undefined;
  return {
    kind: 'refused',
    code: body.code,
    passing: passingStatuses.includes(answer.status) || body.code === 'not_joinable',
    requestId: typeof body.request_id === 'string' ? body.request_id : undefined,
    // Absent, or a date: not a number of seconds.
    retryAfterMs: Number(answer.headers.get('retry-after')) * 1_000 || undefined,
  };
}

/**
 * @param origin origin of the orchestrator; '' for the origin of the page
 * @param send replaces the browser's fetch
 */
export function createJoinApi(origin: string, send: typeof fetch = (...request) => fetch(...request)): JoinApi {
  /** @param fields that the answer must have */
  const request = async <T>(path: string, init: RequestInit, fields: string[]): Promise<JoinAnswer<T>> => {
    const answer = await send(`${origin}${path}`, { ...init, signal: AbortSignal.timeout(requestMs) }).catch(
      () => undefined,
    );
    const body = answer && (await readObject(answer));
    if (!answer || !body) return { kind: 'away' };
    if (!answer.ok) return refusalOf(answer, body) ?? { kind: 'away' };
    return fields.every((field) => field in body) ? { kind: 'done', body: body as T } : { kind: 'away' };
  };
  const post = <T>(path: string, body: unknown, ...fields: string[]) =>
    request<T>(
      path,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
      fields,
    );
  const get = <T>(path: string, { session_id, code, browser }: Invitation, ...fields: string[]) =>
    request<T>(
      path,
      {
        headers: { 'greenroom-session': session_id, 'greenroom-invitation': code, 'greenroom-browser': browser },
      },
      fields,
    );
  return {
    join: (invitation) => post('/api/join', invitation, 'join_token', 'websocket_url', 'interview_context'),
    look: (invitation) => get('/api/join', invitation, 'joinable', 'position', 'consent'),
    transcript: (invitation) => get('/api/join/transcript', invitation, 'entries'),
    handover: (invitation) => post('/api/join/handover', invitation, 'handover_code'),
    continueHere: (invitation, handover_code) => post('/api/join/continue', { ...invitation, handover_code }, 'bound'),
    consent: (invitation, text_version) => post('/api/join/consent', { ...invitation, text_version }, 'given_at'),
    decline: (invitation) => post('/api/join/decline', invitation, 'ending'),
    withdraw: (invitation) => post('/api/join/withdraw', invitation, 'ending'),
    correct: (invitation, { ordinal, item_id }, correction) =>
      post('/api/join/correct', { ...invitation, ordinal, item_id, correction }, 'corrected_at'),
  };
}
