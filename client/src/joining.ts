import { browserSecret, browserStorage } from './browser-storage.ts';
import { startOf } from './invitation.ts';
import { createJoinApi, type EntryId, type Invitation, type JoinAnswer, type Joined, type Looked } from './join-api.ts';
import { InterviewError, type ProblemCode, type Problems } from './problems.ts';
import type { Ended, TranscriptLine } from './types.ts';

/** Turns a join link into a session that can be joined. Waits while the service is unavailable or it is too early. */
export interface Joining {
  look(): Promise<Looked>;
  /** Requests a short code with which another browser can continue the interview in place of this one. */
  handover(): Promise<{ code: string; expiresAt: number }>;
  /** Binds the invitation to this browser. False if the code is wrong. */
  continueHere(handoverCode: string): Promise<boolean>;
  consent(textVersion: string): Promise<void>;
  /** Ends the session, because the candidate does not consent. */
  decline(): Promise<Ended>;
  /** Tries once, also after the end. Undefined: it could not be done now. */
  withdraw(): Promise<Ended | undefined>;
  /** After the end, also after `stop()`: everything that is stored. Undefined: it could not be read now. */
  transcript(): Promise<TranscriptLine[] | undefined>;
  /** Works after `stop()`, too. False if it could not be stored. */
  correct(entry: EntryId, correction: string | null): Promise<boolean>;
  /** Rejects with an `InterviewError` if waiting does not help. */
  join(): Promise<Joined>;
  /** Ends the current wait and tries again now. */
  hurry(): void;
  /** Ends all waiting. Pending methods reject. */
  stop(): void;
}

export interface JoiningDeps {
  link: string;
  problems: Problems;
  fetch: typeof fetch;
  /** Called with what is waited for, or null when the answer came. */
  onWaiting(what: 'start_time' | 'service' | null): void;
}

const refusals: Record<string, ProblemCode> = {
  validation_failed: 'link_incomplete',
  not_found: 'link_dead',
  invitation_invalid: 'link_dead',
  invitation_used: 'used_elsewhere',
  session_ended: 'session_over',
  consent_required: 'consent_required',
};
const firstWaitMs = 2_000;
const longestWaitMs = 60_000;

function readLink(link: string): { origin: string; invitation: Invitation } | undefined {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  const sessionId = /\/join\/([^/]+)$/.exec(url?.pathname ?? '')?.[1];
  const code = url?.hash.slice(1);
  if (!url || !sessionId || !code) return undefined;
  const browser = browserSecret(browserStorage(), history);
  return { origin: url.origin, invitation: { session_id: sessionId, code, browser } };
}

export function createJoining({ link, problems, fetch, onWaiting }: JoiningDeps): Joining {
  let stopped = false;
  let wake = () => {};
  /** By this device's clock; 0: unknown. */
  let startsAt = 0;

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const read = () => {
    const parts = readLink(link);
    if (!parts) throw refuse('link_incomplete');
    return { api: createJoinApi(parts.origin, fetch), invitation: parts.invitation };
  };
  const refuse = (code: ProblemCode, requestId?: string): InterviewError => {
    problems.raise(code);
    return new InterviewError(code, { requestId });
  };

  /** Repeats a request until the service answers it. */
  const ask = async <T>(request: () => Promise<JoinAnswer<T>>): Promise<T> => {
    problems.settle('link_incomplete', 'link_dead', 'used_elsewhere', 'consent_required');
    for (let tries = 0; ; tries += 1) {
      const answer = stopped ? undefined : await request();
      if (!answer || stopped) throw new InterviewError('session_over');
      if (answer.kind === 'done') {
        problems.settle('service_unavailable', 'too_early');
        onWaiting(null);
        return answer.body;
      }
      const refusal = answer.kind === 'refused' ? answer : undefined;
      if (refusal && !refusal.passing) {
        problems.settle('service_unavailable', 'too_early');
        throw refuse(refusals[refusal.code] ?? 'link_dead', refusal.requestId);
      }
      const isEarly = refusal?.code === 'not_joinable';
      problems.settle(isEarly ? 'service_unavailable' : 'too_early');
      problems.raise(isEarly ? 'too_early' : 'service_unavailable');
      onWaiting(isEarly ? 'start_time' : 'service');
      const wishMs = refusal?.retryAfterMs ?? 0;
      // Too early: half of the time that is left, so that requests are few before the start and frequent near it.
      const backoffMs = isEarly ? (startsAt - Date.now()) / 2 : firstWaitMs * 2 ** tries;
      await pause(Math.min(longestWaitMs, Math.max(wishMs, firstWaitMs, backoffMs)));
    }
  };

  return {
    look: async () => {
      const { api, invitation } = read();
      const looked = await ask(() => api.look(invitation));
      startsAt = startOf(looked) ?? 0;
      if (looked.bound === 'elsewhere') problems.raise('used_elsewhere');
      return looked;
    },
    handover: async () => {
      const { api, invitation } = read();
      const { handover_code, expires_at } = await ask(() => api.handover(invitation));
      return { code: handover_code, expiresAt: Date.parse(expires_at) };
    },
    continueHere: async (handoverCode) => {
      const { api, invitation } = read();
      const answer = await api.continueHere(invitation, handoverCode);
      if (answer.kind === 'done') problems.settle('used_elsewhere');
      return answer.kind === 'done';
    },
    consent: async (textVersion) => {
      const { api, invitation } = read();
      await ask(() => api.consent(invitation, textVersion));
    },
    decline: async () => {
      const { api, invitation } = read();
      return (await ask(() => api.decline(invitation))).ending;
    },
    withdraw: async () => {
      const { api, invitation } = read();
      const answer = await api.withdraw(invitation);
      return answer.kind === 'done' ? answer.body.ending : undefined;
    },
    transcript: async () => {
      const { api, invitation } = read();
      const answer = await api.transcript(invitation);
      return answer.kind === 'done'
        ? answer.body.entries.filter(({ text }) => text !== '').map((entry) => Object.freeze({ ...entry, final: true }))
        : undefined;
    },
    correct: async (entry, correction) => {
      const { api, invitation } = read();
      return (await api.correct(invitation, entry, correction)).kind === 'done';
    },
    join: async () => {
      const { api, invitation } = read();
      return ask(() => api.join(invitation));
    },
    hurry: () => wake(),
    stop: () => {
      stopped = true;
      wake();
    },
  };
}
