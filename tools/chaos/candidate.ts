import { randomUUID } from 'node:crypto';
import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { startCandidate } from '../demo/interview.ts';
import { createPlatform, type Platform } from '../demo/platform.ts';
import type { Stack } from '../stack/stack.ts';

/** One interview of a campaign: a platform that asks until it is heard, and a candidate who stays until the end. */
export interface CandidateRun {
  sessionId: string;
  /** Items whose storing was acknowledged to the browser: none of them may ever be missing. */
  acknowledged: Set<string>;
  /** How it ended for the candidate. */
  end: string;
  /** What happened on the candidate's side, each with its time of day. */
  steps: string[];
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** How a platform asks for its session. */
export interface Way {
  /** Default: the stack's own tenant. */
  apiKey?: string;
  /** Beside candidate, position and region; a `scheduled_at` of `soon` is a few seconds ahead. */
  body?: Record<string, unknown>;
}
const soonMs = 3_000;

/** Asks again until it is answered, however often that fails. */
async function insist<T>(ask: () => Promise<T>, untilMs: number): Promise<T> {
  for (;;) {
    const answer = await ask().catch((error: Error) => error);
    if (!(answer instanceof Error)) return answer;
    if (performance.now() > untilMs) throw answer;
    await pause(100);
  }
}

/** Always under the same Idempotency-Key: whatever is lost, it is one session. */
function createSession(platform: Platform, extra: Record<string, unknown>, untilMs: number): Promise<SessionView> {
  const key = { 'idempotency-key': randomUUID() };
  const when = extra.scheduled_at === 'soon' ? { scheduled_at: new Date(Date.now() + soonMs).toISOString() } : {};
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Backend engineer' }, region: 'fra' };
  return insist(() => platform.createSession({ ...body, ...extra, ...when }, key), untilMs);
}

/** The session once a candidate may come, or once it is over. */
async function joinable(platform: Platform, created: SessionView, untilMs: number): Promise<SessionView> {
  let session = created;
  while (session.join_token === null && session.completed_at === null && performance.now() < untilMs) {
    await pause(100);
    session = await insist(() => platform.getSession(created.session_id), untilMs);
  }
  return session;
}

/** @param limitMs a candidate who is still there after this gives up. */
export async function runCandidate(
  stack: Stack,
  limitMs: number,
  { apiKey = stack.tenant.apiKey, body = {} }: Way = {},
): Promise<CandidateRun> {
  const untilMs = performance.now() + limitMs;
  const platform = createPlatform(stack.publicUrl, apiKey);
  const session = await joinable(platform, await createSession(platform, body, untilMs), untilMs);
  const acknowledged = new Set<string>();
  const steps: string[] = [];
  if (session.join_token === null)
    return { sessionId: session.session_id, acknowledged, steps, end: `${session.status}/${session.reason}` };
  const interview = startCandidate({
    websocketUrl: session.websocket_url,
    joinToken: session.join_token,
    // What was said is nobody's business.
    onStep: (step, detail) =>
      steps.push(`  ${new Date().toISOString()} candidate: ${step}${step === 'said' ? '' : ` ${detail}`}`),
    onMessage: (message) => {
      if (message.type === 'transcript_ack') for (const id of message.item_ids) acknowledged.add(id);
    },
  });
  const gaveUp = new Promise<string>((resolve) => {
    setTimeout(() => resolve('gave up'), limitMs).unref();
  });
  const end = await Promise.race([interview.ended.then(({ outcome, reason }) => `${outcome}/${reason}`), gaveUp]);
  interview.client.leave();
  return { sessionId: session.session_id, acknowledged, steps, end };
}
