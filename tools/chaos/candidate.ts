import { randomUUID } from 'node:crypto';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { startCandidate } from '../demo/interview.ts';
import { createPlatform, type Platform } from '../demo/platform.ts';
import type { Stack } from '../stack/stack.ts';
import type { Patience } from './patience.ts';

/** One interview of a campaign: a platform that repeats requests until they succeed, and a candidate who stays. */
export interface CandidateRun {
  sessionId: string;
  /** Ids of the items acknowledged to the browser. All of them must be stored. */
  acknowledged: Set<string>;
  /** Outcome and reason that the candidate received. */
  end: string;
  /** What happened on the candidate's side, with timestamps. */
  steps: string[];
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** How the platform requests the session. */
export interface SessionPath {
  /** Default: the stack's own tenant. */
  apiKey?: string;
  /** Added to candidate, position and region. A `scheduled_at` of `soon` becomes a time 3 s ahead. */
  body?: Record<string, unknown>;
}
const soonMs = 3_000;

/** Repeats a request until it succeeds or the campaign's patience is over. */
async function insist<T>(ask: () => Promise<T>, patience: Patience): Promise<T> {
  for (;;) {
    const answer = await ask().catch((error: Error) => error);
    if (!(answer instanceof Error)) return answer;
    if (patience.over) throw answer;
    await pause(100);
  }
}

/** Creates the session. All tries have the same Idempotency-Key, so they must create one session only. */
function createSession(platform: Platform, extra: Record<string, unknown>, patience: Patience): Promise<SessionView> {
  const key = { 'idempotency-key': randomUUID() };
  const when = extra.scheduled_at === 'soon' ? { scheduled_at: new Date(Date.now() + soonMs).toISOString() } : {};
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Backend engineer' }, region: 'fra' };
  return insist(() => platform.createSession({ ...body, ...extra, ...when }, key), patience);
}

/** Waits until the candidate can join the session or the session is over. */
async function joinable(platform: Platform, created: SessionView, patience: Patience): Promise<SessionView> {
  let session = created;
  while (session.join_token === null && session.completed_at === null && !patience.over) {
    await pause(100);
    session = await insist(() => platform.getSession(created.session_id), patience);
  }
  return session;
}

/** @param patience when it is over, the candidate leaves */
export async function runCandidate(
  stack: Stack,
  patience: Patience,
  { apiKey = stack.tenant.apiKey, body = {} }: SessionPath = {},
): Promise<CandidateRun> {
  const platform = createPlatform(stack.publicUrl, apiKey);
  const session = await joinable(platform, await createSession(platform, body, patience), patience);
  const acknowledged = new Set<string>();
  const steps: string[] = [];
  if (session.join_token === null)
    return { sessionId: session.session_id, acknowledged, steps, end: `${session.status}/${session.reason}` };
  const interview = startCandidate({
    websocketUrl: session.websocket_url,
    joinToken: session.join_token,
    // The log says who spoke. The words of an interview are not logged.
    onStep: (step, detail) => {
      patience.touch();
      steps.push(`  ${new Date().toISOString()} candidate: ${step} ${step === 'said' ? detail.split(':')[0] : detail}`);
    },
    onMessage: (message) => {
      if (message.type === 'transcript_ack') for (const id of message.item_ids) acknowledged.add(id);
    },
  });
  let end: string | undefined;
  interview.ended.then(({ outcome, reason }) => {
    patience.touch();
    end = `${outcome}/${reason}`;
  });
  while (end === undefined && !patience.over) await pause(50);
  interview.client.leave();
  return { sessionId: session.session_id, acknowledged, steps, end: end ?? 'gave up' };
}
