import { audiences, replayClaims, sessionClaims } from '@greenroom/shared/protocol/tokens.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { newId } from '@greenroom/shared/runtime/ids.ts';
import { type Deadlines, hardDeadlineMs } from '@greenroom/shared/session/deadlines.ts';
import type { z } from 'zod';
import { createJwt, type Verified } from './jwt.ts';
import type { KeyRing } from './keys.ts';

/** The tokens of browsers, and the token with which the edge admits a socket to a machine. Signed with the `join` keys. */
export type SessionClaims = z.output<typeof sessionClaims>;

export interface BrowserTokens {
  /** For the first connection. Lives `joinTokenMs`. */
  mintJoin(session: SessionClaims): Promise<string>;
  /** For later connections. Lives as long as the session can. @param maxDurationMs of the session. */
  mintReconnect(session: SessionClaims, maxDurationMs: number): Promise<string>;
  /** `transcript:append`, for late uploads. Outlives the session by `transcriptTokenMs`. @param maxDurationMs of the session. */
  mintTranscript(session: SessionClaims, maxDurationMs: number): Promise<string>;
  /** From edge to worker: the socket was admitted for this epoch after this wait, ms. Lives `replayStateMs`. */
  mintReplay(session: SessionClaims, epoch: number, waitedMs?: number): Promise<string>;
  /** Accepts a join or a reconnect token. */
  verify(token: string): Promise<Verified<SessionClaims>>;
  readonly keys: KeyRing;
  readonly issuer: string;
}

interface BrowserTokensDeps {
  keys: KeyRing;
  issuer: string;
  clock: Clock;
  deadlines: Deadlines;
}

export function createBrowserTokens({ keys, issuer, clock, deadlines }: BrowserTokensDeps): BrowserTokens {
  const jwt = createJwt(keys, clock);
  const mint = async (claims: Record<string, unknown>, audience: string, lifeMs: number) =>
    (await jwt.mint({ ...claims, jti: newId() }, { issuer, audience, lifeMs })).token;
  const named = ({ session_id, tenant_id }: SessionClaims) => ({ session_id, tenant_id });
  return {
    keys,
    issuer,
    mintJoin: (session) => mint(named(session), audiences.join, deadlines.joinTokenMs),
    mintReconnect: (session, maxDurationMs) =>
      mint(
        { ...named(session), ...(session.route ? { route: session.route } : {}) },
        audiences.reconnect,
        hardDeadlineMs(deadlines, maxDurationMs),
      ),
    mintTranscript: (session, maxDurationMs) =>
      mint(
        { ...named(session), scope: 'transcript:append' },
        audiences.transcript,
        hardDeadlineMs(deadlines, maxDurationMs) + deadlines.transcriptTokenMs,
      ),
    mintReplay: (session, epoch, waitedMs = 0) =>
      mint(
        replayClaims.parse({ ...named(session), epoch, waited_ms: Math.round(waitedMs) }),
        audiences.replay,
        deadlines.replayStateMs,
      ),
    verify: (token) =>
      jwt.verify(token, { issuer, audience: [audiences.join, audiences.reconnect], claims: sessionClaims }),
  };
}
