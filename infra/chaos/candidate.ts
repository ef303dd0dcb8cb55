import { randomUUID } from 'node:crypto';
import { startCandidate } from '../demo/interview.ts';
import { createPlatform } from '../demo/platform.ts';
import type { Stack } from '../stack/stack.ts';

/** One interview of a campaign: a platform that asks until it is heard, and a candidate who stays until the end. */
export interface CandidateRun {
  sessionId: string;
  /** Items whose storing was acknowledged to the browser: none of them may ever be missing. */
  acknowledged: Set<string>;
  /** How it ended for the candidate. */
  end: string;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Always under the same Idempotency-Key: whatever is lost, it is one session. */
async function createSession(stack: Stack, untilMs: number) {
  const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
  const key = { 'idempotency-key': randomUUID() };
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Backend engineer' }, region: 'fra' };
  for (;;) {
    const session = await platform.createSession(body, key).catch((error: Error) => error);
    if (!(session instanceof Error)) return session;
    if (performance.now() > untilMs) throw session;
    await pause(100);
  }
}

/** @param limitMs a candidate who is still there after this gives up. */
export async function runCandidate(stack: Stack, limitMs: number): Promise<CandidateRun> {
  const session = await createSession(stack, performance.now() + limitMs);
  const acknowledged = new Set<string>();
  const interview = startCandidate({
    websocketUrl: session.websocket_url,
    joinToken: session.join_token ?? '',
    onMessage: (message) => {
      if (message.type === 'transcript_ack') for (const id of message.item_ids) acknowledged.add(id);
    },
  });
  const gaveUp = new Promise<string>((resolve) => {
    setTimeout(() => resolve('gave up'), limitMs).unref();
  });
  const end = await Promise.race([interview.ended.then(({ outcome, reason }) => `${outcome}/${reason}`), gaveUp]);
  interview.client.close();
  return { sessionId: session.session_id, acknowledged, end };
}
