import type { SessionView } from '@greenroom/shared/protocol/platform-api.ts';
import { isEnded } from '@greenroom/shared/session/states.ts';
import { type CandidateInterview, type CandidateOptions, startCandidate } from '../../tools/demo/interview.ts';
import { createPlatform, type Platform } from '../../tools/demo/platform.ts';
import type { Stack } from '../../tools/stack/stack.ts';

/** Waits until a condition holds; fails with its description. */
export async function until<T>(what: string, probe: () => T | Promise<T>, limitMs = 120_000): Promise<NonNullable<T>> {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value) return value as NonNullable<T>;
    if (performance.now() > deadlineMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const platformOf = (stack: Stack): Platform => createPlatform(stack.publicUrl, stack.tenant.apiKey);

export const sessionBody = (extra: Record<string, unknown> = {}) => ({
  candidate: { name: 'Ada Lovelace' },
  position: { title: 'Backend engineer' },
  region: 'fra',
  ...extra,
});

/** A session with its candidate in the room. */
export interface RunningInterview extends CandidateInterview {
  session: SessionView;
  /** Number of entries that the candidate saw as final. */
  said(): number;
  /** Codes of the problems that the candidate saw. */
  problems: string[];
}

export async function startInterview(
  stack: Stack,
  body: Record<string, unknown> = sessionBody(),
  candidate: Partial<CandidateOptions> = {},
  /** Default: a new one. */
  of?: SessionView,
): Promise<RunningInterview> {
  const session = of ?? (await platformOf(stack).createSession(body));
  let said = 0;
  const problems: string[] = [];
  const interview = startCandidate({
    websocketUrl: session.websocket_url,
    joinToken: session.join_token ?? '',
    onStep: (step, detail) => {
      if (step === 'said') said += 1;
      if (step === 'problem') problems.push(detail.split(':')[0] ?? '');
    },
    ...candidate,
  });
  return { ...interview, session, said: () => said, problems };
}

/** Waits until the session has ended and its machine is gone. */
export async function endOf(stack: Stack, sessionId: string, limitMs = 40_000): Promise<SessionView> {
  const ended = await platformOf(stack).waitFor(sessionId, (s) => isEnded(s.status), limitMs);
  await until(
    'its machines are destroyed',
    () => machinesOf(stack, sessionId).every((machine) => machine.state === 'destroyed'),
    limitMs,
  );
  return ended;
}

/** The machines of a session at Fly. */
export const machinesOf = (stack: Stack, sessionId: string) =>
  stack.cloud.fly.machines({ includeDestroyed: true }).filter((machine) => machine.metadata.session_id === sessionId);

/** Spoken words of all calls from index `from`, as the voice provider recorded them. */
export const saidAtProvider = (stack: Stack, from = 0) =>
  stack.cloud.voice
    .calls()
    .slice(from)
    .flatMap((call) => call.said.filter((line) => line.transcribed))
    .map(({ item_id, speaker, text }) => ({ item_id, speaker: speaker === 'interviewer' ? 'ai' : speaker, text }));
