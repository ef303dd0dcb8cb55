import { audiences, type WorkerClaims, workerClaims } from '@greenroom/shared/protocol/tokens.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createJwt, type Verified } from './jwt.ts';
import type { KeyRing } from './keys.ts';

/**
 * Tokens that Supabase accepts, signed with the `db` key. The holder of that key can mint any role, so it is guarded like a
 * service-role key. It is used in this file only.
 */
export interface DatabaseTokens {
  /** This process's own token, role `orchestrator`. Cached, and renewed before it expires. */
  own(): Promise<string>;
  /** For one worker, one session, one epoch: Supabase and the worker API. Lives `workerTokenMs`. */
  mintWorker(claims: WorkerClaims): Promise<{ token: string; expires_at: number }>;
  verifyWorker(token: string): Promise<Verified<WorkerClaims>>;
}

const ownLifeMs = 3_600_000;
const renewBeforeMs = 600_000;

interface DatabaseTokensDeps {
  keys: KeyRing;
  issuer: string;
  clock: Clock;
  workerTokenMs: number;
}

export function createDatabaseTokens({ keys, issuer, clock, workerTokenMs }: DatabaseTokensDeps): DatabaseTokens {
  const jwt = createJwt(keys, clock);
  let own: Promise<{ token: string; expiresAtMs: number }> | undefined;
  let renewAtMs = 0;
  const mintOwn = () => jwt.mint({ role: 'orchestrator' }, { issuer, audience: audiences.database, lifeMs: ownLifeMs });
  return {
    own: async () => {
      if (own === undefined || clock.now() >= renewAtMs) {
        renewAtMs = clock.now() + ownLifeMs - renewBeforeMs;
        own = mintOwn();
        own.catch(() => {
          own = undefined;
        });
      }
      return (await own).token;
    },
    mintWorker: async (claims) => {
      const audience = [audiences.database, audiences.workerApi];
      const { token, expiresAtMs } = await jwt.mint({ ...claims }, { issuer, audience, lifeMs: workerTokenMs });
      return { token, expires_at: expiresAtMs };
    },
    verifyWorker: (token) => jwt.verify(token, { issuer, audience: audiences.workerApi, claims: workerClaims }),
  };
}
