import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * Ends long-lived responses (event streams) whose credential is no longer valid.
 *
 * - Each credential is checked again every `everyMs`, once for all of its streams. A credential that was
 *   revoked, has expired or has lost its scope therefore loses its streams within a second, whichever
 *   orchestrator revoked it.
 * - If a check fails because the database does not answer, the stream stays open. No new events can be read
 *   then, so it reveals nothing.
 */
export interface StandingWatch {
  /**
   * @param credential identifies the credential; streams with the same value share one check
   * @param stands whether the credential is still valid; throws if that is unknown
   * @param onLost called once, when it is not
   * @returns a function that ends the watch
   */
  watch(credential: string, stands: () => Promise<boolean>, onLost: () => void): () => void;
}

interface Held {
  stands: () => Promise<boolean>;
  losers: Set<() => void>;
}

export function createStandingWatch(clock: Clock, everyMs: number): StandingWatch {
  const held = new Map<string, Held>();
  let ticking = false;

  const judge = async (credential: string, { stands, losers }: Held): Promise<void> => {
    if (await stands().catch(() => true)) return;
    held.delete(credential);
    for (const lose of [...losers]) lose();
  };
  const round = async (): Promise<void> => {
    await Promise.all([...held].map(([credential, one]) => judge(credential, one)));
    ticking = false;
    tick();
  };
  const tick = (): void => {
    if (ticking || held.size === 0) return;
    ticking = true;
    clock.setTimer(() => void round(), everyMs);
  };

  return {
    watch: (credential, stands, onLost) => {
      const known = held.get(credential) ?? { stands, losers: new Set() };
      known.losers.add(onLost);
      held.set(credential, known);
      tick();
      return () => {
        known.losers.delete(onLost);
        if (known.losers.size === 0 && held.get(credential) === known) held.delete(credential);
      };
    },
  };
}
